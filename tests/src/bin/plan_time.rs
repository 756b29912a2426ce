//! What a plan of 1000 steps costs: `cargo run --release -p picardy-tests --bin plan_time` prints one line per solver, the
//! median of 101 times, with the grid (cosine betas, trailing) and without.

use picardy::{AnySolver, Betas, Level, Node, Prediction, Solver};
use std::hint::black_box;
use std::time::Instant;

fn median(mut body: impl FnMut()) -> f64 {
    let mut micros: Vec<f64> = (0..101)
        .map(|_| {
            let start = Instant::now();
            body();
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    micros.sort_by(f64::total_cmp);
    micros[50]
}

fn main() -> anyhow::Result<()> {
    let betas = Betas::cosine(1000);
    let mut levels = vec![Level::default(); 1001];
    let grid_alone = median(|| {
        black_box(betas.trailing(1000, &mut levels).is_ok());
    });
    println!("{:<22} {grid_alone:>8.0} us", "(grid)");
    let grid = betas.trailing(1000, &mut levels)?;
    for (name, solver) in AnySolver::list() {
        let mut nodes = vec![Node::default(); solver.nodes(1000)];
        let plan = median(|| {
            black_box(solver.plan(&grid, Prediction::Epsilon, &mut nodes).is_ok());
        });
        println!("{name:<22} {plan:>8.0} us");
    }
    Ok(())
}
