//! Sampling as firmware does it: the artifact read where it lies, every buffer static, no heap.
//!
//! `cargo run --release --bin no_heap`, after `cargo run --release --bin quickstart`; or `no_heap MODEL.safetensors`.

use picardy::nn::{Artifact, MlpDenoiser, ModelCard, ResidualMlp};
use picardy::{Ddim, Level, Node, Noise, Sampler, Sequential, SliceFrames, Solver, Workspace};

const STEPS: usize = 10;
const DIM: usize = 2;

fn main() -> anyhow::Result<()> {
    // On a microcontroller: `&Aligned(*include_bytes!("model.safetensors"))`, in flash.
    let path = std::env::args().nth(1).unwrap_or("target/quickstart/contrastive.safetensors".into());
    let bytes =
        std::fs::read(&path).map_err(|error| anyhow::anyhow!("{path}: {error}; run quickstart first"))?;
    let artifact = Artifact::parse(&bytes)?;
    let card = ModelCard::from_lookup(|key| artifact.metadata(key))?;
    let network = ResidualMlp::from_artifact(&artifact)?;
    let mut scratch = [0.0; 2048]; // network.scratch_len(1)
    let mut denoiser = MlpDenoiser::new(network, &mut scratch);

    let (mut levels, mut nodes) = ([Level::default(); STEPS + 1], [Node::default(); STEPS + 1]);
    let grid = card.schedule.trailing(STEPS, &mut levels)?;
    let plan = Ddim { eta: 0.0 }.plan(&grid, card.prediction, &mut nodes)?;

    let mut frames = [0.0f32; 2 * DIM]; // Sequential::rows(Reach::ONE_STEP, 1) rows
    let mut workspace = Workspace::new(SliceFrames::new(&mut frames, DIM), &mut []);
    for seed in 0..5 {
        let noise = Noise::seeded(seed);
        let mut x = [0.0f32; DIM];
        plan.start(&noise, DIM, &mut x);
        let report = Sequential.run(&plan, &mut denoiser, &noise, &mut x, &mut workspace)?;
        card.restore(&mut x);
        println!("({:6.2}, {:6.2}) after {} evaluations", x[0], x[1], report.evaluations);
    }
    Ok(())
}
