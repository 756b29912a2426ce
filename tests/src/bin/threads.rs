//! What threads save: Picard, DDPM 100, batch 64, the default network in core's own inference; the best of 40 runs.
//!
//! `cargo run --release -p picardy-tests --bin threads`

use picardy::nn::{Artifact, MlpDenoiser, ResidualMlp};
use picardy::{Form, Memory, Noise, Picard, Plan, Sampler, Threaded};
use picardy_tests::{Solved, plan};
use picardy_trainer::model::{MlpConfig, Network, Precision};
use std::time::Instant;

fn main() -> anyhow::Result<()> {
    let bytes = Network::<f32>::new(MlpConfig::new(2), 1, 0)?.to_safetensors(&[], Precision::F32)?;
    let artifact = Artifact::parse(&bytes)?;
    let network = ResidualMlp::from_artifact(&artifact)?;
    let nodes = plan(Solved::Ddpm, 100);
    let plan = Plan::new(&nodes, Form::Data)?;
    let (noise, picard, mut memory) = (Noise::seeded(1), Picard::default(), Memory::new());
    let mut start = vec![0.0f32; 2 * 64];
    plan.start(&noise, 2, &mut start);
    let mut one = f64::NAN;
    for threads in [1, 2, 4] {
        let mut scratch = vec![vec![0.0; network.scratch_len(64)]; threads];
        let denoisers = scratch.iter_mut().map(|scratch| MlpDenoiser::new(network, scratch)).collect();
        let mut denoiser = Threaded::new(denoisers);
        let mut workspace = memory.workspace(picard.need(&plan, 64), 2);
        let mut best = f64::INFINITY;
        let mut rounds = 0;
        for _ in 0..40 {
            let mut x = start.clone();
            let begun = Instant::now();
            rounds = picard.run(&plan, &mut denoiser, &noise, &mut x, &mut workspace)?.rounds;
            best = best.min(begun.elapsed().as_secs_f64());
        }
        if threads == 1 {
            one = best;
        }
        println!(
            "{threads} threads: {:.1} ms ({rounds} rounds), {:.2} times as fast",
            1e3 * best,
            one / best
        );
    }
    Ok(())
}
