//! How much of a run is not the network: the sampler's share of the time, batch 1, with the residual MLP of width 128.
//!
//! `cargo run --release -p picardy-tests --bin overhead` prints one JSON object per run.

use picardy::nn::{Artifact, MlpDenoiser, ResidualMlp};
use picardy::{Form, Memory, Noise, Picard, Plan, Sampler, Sequential, Slope};
use picardy_tests::{Solved, Timed, plan};
use picardy_trainer::model::{MlpConfig, Network, Precision};
use std::time::Instant;

fn measure(name: &str, sampler: &impl Sampler, solver: Solved, steps: usize) -> anyhow::Result<()> {
    let bytes = Network::<f32>::new(MlpConfig::new(2), 1, 0)?.to_safetensors(&[], Precision::F32)?;
    let model = ResidualMlp::from_artifact(&Artifact::parse(&bytes)?)?;
    let mut scratch = vec![0.0; model.scratch_len(64)];
    let nodes = plan(solver, steps);
    let plan = Plan::new(&nodes, Form::Data)?;
    let noise = Noise::seeded(0);
    let mut memory = Memory::new();
    let mut shares = Vec::new();
    let mut micros = Vec::new();
    for _ in 0..21 {
        let mut x = [0.0f32; 2];
        plan.start(&noise, 2, &mut x);
        let mut workspace = memory.workspace(sampler.need(&plan, 1), 2);
        let mut model = Timed::new(MlpDenoiser::new(model, &mut scratch));
        let start = Instant::now();
        let report = sampler.run(&plan, &mut model, &noise, &mut x, &mut workspace)?;
        let total = start.elapsed();
        shares.push(1.0 - model.spent.as_secs_f64() / total.as_secs_f64());
        micros.push(total.as_secs_f64() * 1e6 / report.evaluations as f64);
    }
    shares.sort_by(f64::total_cmp);
    micros.sort_by(f64::total_cmp);
    println!(
        "{}",
        serde_json::json!({ "run": name, "overhead_share": shares[10], "microseconds_per_evaluation": micros[10] })
    );
    Ok(())
}

fn main() -> anyhow::Result<()> {
    measure("ddim 50, sequential", &Sequential, Solved::Ddim(0.0), 50)?;
    measure("ddpm 1000, sequential", &Sequential, Solved::Ddpm, 1000)?;
    measure("ddpm 1000, picard", &Picard::default(), Solved::Ddpm, 1000)?;
    let two = Picard { slope: Slope::Multisecant(2), ..Picard::default() };
    measure("ddpm 1000, picard with multisecant2", &two, Solved::Ddpm, 1000)?;
    measure("ddpm 1000, paradigms", &Picard::paradigms(usize::MAX, 0.1), Solved::Ddpm, 1000)
}
