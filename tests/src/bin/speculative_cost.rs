//! What speculative sampling costs beside sequential and Picard, on exact denoisers: rounds of a batch of 16 (the slowest
//! item's) and evaluations per sample, DDPM.
//!
//! `cargo run --release -p picardy-tests --bin speculative_cost`

use picardy::{Form, Mixture, Noise, Picard, Plan, Prediction, Report, Sampler, Speculative};
use picardy_tests::{Ring, Solved, plan, run};

const BATCH: usize = 16;

fn cost(sampler: &impl Sampler, plan: &Plan<'_>, mixture: Mixture<'_>, dim: usize) -> anyhow::Result<Report> {
    let mut model = mixture.predicting(Prediction::Epsilon);
    let outcome = run::<f64, _, _, _>(sampler, plan, &mut model, &Noise::seeded(0), BATCH, dim)?;
    Ok(outcome.report)
}

fn main() -> anyhow::Result<()> {
    // A hundred points of 64 numbers, each with a little noise.
    let mut points = vec![0.0; 100 * 64];
    for (item, point) in points.chunks_mut(64).enumerate() {
        Noise::seeded(1).fill(1.0, item, 0, point);
    }
    let ring = Ring::default();
    let data = [
        ("two modes, 1-D", Mixture::new(&[-1.0, 1.0], &[0.5, 0.5], 0.1, 1)?, 1),
        ("eight modes, 2-D", ring.mixture(), 2),
        ("100 modes, 64-D", Mixture::new(&points, &[1.0; 100], 0.1, 64)?, 64),
    ];
    println!("| data | steps | sampler | rounds | evaluations per sample |\n|---|---|---|---|---|");
    for (name, mixture, dim) in data {
        for steps in [100, 1000] {
            let nodes = plan(Solved::Ddpm, steps);
            let plan = Plan::new(&nodes, Form::Data)?;
            let line = |sampler: &str, report: Report| {
                let each = report.evaluations as f64 / BATCH as f64;
                println!("| {name} | {steps} | {sampler} | {} | {each:.0} |", report.rounds);
            };
            line("Picard, tolerance 0.05", cost(&Picard::default(), &plan, mixture, dim)?);
            for (draft, sweeps) in
                [(usize::MAX, 0), (200, 0), (100, 0), (50, 0), (20, 0), (usize::MAX, 1), (usize::MAX, 2)]
            {
                if draft >= steps && draft != usize::MAX {
                    continue;
                }
                let sampler = Speculative { draft, sweeps, ..Speculative::default() };
                let draft = if draft == usize::MAX { "all".into() } else { draft.to_string() };
                line(
                    &format!("Speculative, draft {draft}, sweeps {sweeps}"),
                    cost(&sampler, &plan, mixture, dim)?,
                );
            }
        }
    }
    Ok(())
}
