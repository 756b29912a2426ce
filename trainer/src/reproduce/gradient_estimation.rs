//! Few evaluations: gradient estimation beside DDIM and DPM-Solver++ (arXiv 2306.04848).

use super::chart::{Line, chart};
use super::digits::{DISTANCE, Judge, Networks, Size, betas, networks};
use super::network::{draw, nodes};
use super::report::{folder, write_report};
use super::spread::Spread;
use picardy::{
    AnySolver, Betas, Curve, Ddim, DpmSolverPp, Final, GradientEstimation, Level, Plan, SigmaShape, Told,
};
use serde_json::{Value, json};
use std::path::Path;

/// Evaluations of the network for a sample.
const EVALUATIONS: [usize; 4] = [5, 10, 20, 50];
/// DDIM steps of what the solvers are to come to.
const CONVERGED: usize = 200;

fn solvers() -> [(&'static str, AnySolver); 3] {
    [
        ("gradient-estimation", GradientEstimation::default().into()),
        ("ddim", Ddim::default().into()),
        ("dpmsolver++2m", DpmSolverPp::order2().into()),
    ]
}

/// The levels of `steps` steps: of equal steps in time, or in ln sigma as the paper's samplers have them.
fn levels(grid: &str, betas: &Betas, steps: usize) -> anyhow::Result<Vec<Level>> {
    let mut levels = vec![Level::default(); steps + 1];
    if grid == "trailing" {
        betas.trailing(steps, &mut levels)?;
    } else {
        let curve = Curve { shape: SigmaShape::Exponential, between: None, told: Told::Fractional };
        betas.respaced(steps, &curve, Final::Data, &mut levels)?;
    }
    Ok(levels)
}

/// The distance of samples to the digits at 5, 10, 20 and 50 evaluations: gradient estimation (gamma 2, no noise), DDIM and
/// DPM-Solver++ 2M, on two grids, by a 2-D U-Net of the standard loss; mean and spread over seeds (of training and noise). The
/// paper's own figures are CIFAR-10's FID.
///
/// Networks are kept in the folder `networks` beside `out`, which [`churn`](super::churn()) shares. `seeds` are 3 where it says
/// nothing; `quick` takes seconds.
///
/// # Errors
///
/// The file system's; a loss or a sample that is not finite.
pub fn gradient_estimation(out: &Path, quick: bool, seeds: Option<u64>) -> anyhow::Result<Value> {
    folder(out)?;
    let size = Size::new(quick, seeds);
    let judge = Judge::new()?;
    let betas = betas()?;
    let mut rows = Vec::new();
    for network in networks(&out.with_file_name("networks"), &size, false)? {
        judged(out, &size, &judge, &betas, &network, &mut rows)?;
    }
    let ours = summary(&rows);
    for row in &ours {
        println!("{row}");
    }
    for key in ["pixels", "features"] {
        for grid in ["trailing", "log-linear"] {
            let lines: Vec<Line> = solvers().iter().map(|(name, _)| line(&rows, grid, name, key)).collect();
            let title = format!("Digits, {grid} grid: distance ({key})");
            let path = out.join(format!("distance-{grid}-{key}.png"));
            chart(&path, &title, "evaluations", "Frechet distance", &lines)?;
        }
    }
    let converged = |key| Spread::over(&rows, &[("solver", json!("ddim")), ("nfe", json!(CONVERGED))], key);
    let report = json!({
        "experiment": "gradient-estimation", "source": "arXiv 2306.04848",
        "paper": { "what": "FID on CIFAR-10", "evaluations": EVALUATIONS,
                   "gradient-estimation": [12.57, 3.79, 3.32, 3.41], "ddim": [47.2, 16.9, 8.3, 4.8] },
        "distance": DISTANCE, "network": format!("unet2d, widths {:?}, standard loss, {:?} steps", size.widths, size.steps),
        "seeds": size.seeds, "samples": size.samples, "resampled_data": judge.floor(size.samples)?,
        "ddim200": { "pixels": converged("pixels"), "features": converged("features") },
        "ours": ours, "runs": rows,
    });
    println!("resampled data {}, DDIM {CONVERGED} {}", report["resampled_data"], report["ddim200"]);
    write_report(out, &report)?;
    Ok(report)
}

fn judged(
    out: &Path,
    size: &Size,
    judge: &Judge,
    betas: &Betas,
    network: &Networks,
    rows: &mut Vec<Value>,
) -> anyhow::Result<()> {
    let mut add = |grid: &str, name: &str, solver: &AnySolver, nfe: usize| -> anyhow::Result<()> {
        let (nodes, form) = nodes(solver, &levels(grid, betas, nfe)?)?;
        let plan = Plan::new(&nodes, form)?;
        anyhow::ensure!(plan.evaluations() == nfe, "{name} takes {} evaluations", plan.evaluations());
        let samples = draw(&network.standard, &plan, size.samples, network.seed)?;
        let distances = judge.distances(&samples)?;
        if network.seed == 0 && nfe == 10 {
            judge.picture(&samples, &out.join(format!("{name}-{grid}-{nfe}.png")))?;
        }
        let row = json!({ "seed": network.seed, "grid": grid, "solver": name, "nfe": nfe,
                          "pixels": distances.pixels, "features": distances.features });
        println!("{row}");
        rows.push(row);
        Ok(())
    };
    for grid in ["trailing", "log-linear"] {
        for (name, solver) in solvers() {
            for nfe in EVALUATIONS {
                add(grid, name, &solver, nfe)?;
            }
        }
    }
    add("trailing", "ddim", &Ddim::default().into(), CONVERGED)
}

fn chosen(grid: &str, name: &str, nfe: usize) -> [(&'static str, Value); 3] {
    [("grid", json!(grid)), ("solver", json!(name)), ("nfe", json!(nfe))]
}

fn line(rows: &[Value], grid: &str, name: &str, key: &str) -> Line {
    let point = |nfe: usize| (nfe as f64, Spread::over(rows, &chosen(grid, name, nfe), key));
    (name.to_owned(), EVALUATIONS.map(point).to_vec())
}

/// Each grid and number of evaluations: every solver's distances.
fn summary(rows: &[Value]) -> Vec<Value> {
    let mut all = Vec::new();
    for grid in ["trailing", "log-linear"] {
        for nfe in EVALUATIONS {
            let mut row = json!({ "grid": grid, "nfe": nfe });
            for (name, _) in solvers() {
                let of = |key| Spread::over(rows, &chosen(grid, name, nfe), key);
                row[name] = json!({ "pixels": of("pixels"), "features": of("features") });
            }
            all.push(row);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quick_experiment_judges_every_solver() {
        let place = tempfile::tempdir().unwrap();
        let out = place.path().join("gradient-estimation");
        let report = gradient_estimation(&out, true, None).unwrap();
        let ours = report["ours"].as_array().unwrap();
        assert_eq!(ours.len(), 8);
        // More steps of one solver come nearer to its own end.
        let end = report["ddim200"]["pixels"]["mean"].as_f64().unwrap();
        let of = |row: &Value| (row["ddim"]["pixels"]["mean"].as_f64().unwrap() - end).abs();
        assert!(of(&ours[3]) < of(&ours[0]), "{ours:?}");
        assert!(
            out.join("distance-trailing-pixels.png").exists() && out.join("ddim-log-linear-10.png").exists()
        );
        assert!(out.join("report.json").exists() && place.path().join("networks").is_dir());
    }
}
