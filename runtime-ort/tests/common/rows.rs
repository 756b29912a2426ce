//! Runs on the host path and on rows that stay on the device.

use std::ops::Range;
use std::sync::OnceLock;

use picardy::{
    Batch, Betas, Ddim, Deis, Denoiser, Level, Mark, Memory, Node, Noise, Plan, Prediction, Report,
    SampleError, Sampler, SliceFrames, Solver, Span, Workspace,
};
use picardy_ort::resident::Traffic;
use picardy_ort::{
    GpuGraphs, Model, Options, OrtDenoiser, OrtError, Provider, ResidentFrames, Runtime, Signature,
    ensure_runtime,
};
use picardy_trainer::onnx::GraphBuilder;

pub(crate) const BETAS: Betas = Betas::linear(1000, 1e-4, 2e-2);
const SEED: u64 = 11;

/// The provider of PICARDY_TEST_PROVIDER, or the processor's.
pub(crate) fn provider() -> Provider {
    static PROVIDER: OnceLock<Provider> = OnceLock::new();
    *PROVIDER.get_or_init(|| {
        let provider =
            std::env::var("PICARDY_TEST_PROVIDER").map_or(Provider::Cpu, |name| name.parse().unwrap());
        if Runtime::load_for(provider, None).is_err() {
            ensure_runtime().unwrap();
        }
        provider
    })
}

/// That provider's, with captured runs as PICARDY_TEST_GRAPHS says.
pub(crate) fn options() -> Options {
    let graphs = std::env::var("PICARDY_TEST_GRAPHS").map_or(GpuGraphs::Off, |text| text.parse().unwrap());
    Options { provider: provider(), graphs, ..Options::default() }
}

pub(crate) fn denoiser(graph: GraphBuilder, output: Option<&str>) -> OrtDenoiser {
    let model = Model::from_bytes(&graph.finish().unwrap(), options()).unwrap();
    let signature = Signature { output: output.map(str::to_owned), ..Signature::default() };
    OrtDenoiser::with_signature(model, &signature).unwrap()
}

/// A denoiser that is a function of the batch, the rows, those to read and those to write.
pub(crate) struct Called<F>(F);

pub(crate) fn called<F>(f: F) -> Called<F>
where
    F: FnMut(&Batch<'_>, &mut ResidentFrames, Range<usize>, Range<usize>) -> Result<(), OrtError>,
{
    Called(f)
}

impl<F> Denoiser<ResidentFrames> for Called<F>
where
    F: FnMut(&Batch<'_>, &mut ResidentFrames, Range<usize>, Range<usize>) -> Result<(), OrtError>,
{
    type Error = OrtError;

    fn evaluate(
        &mut self,
        batch: &Batch<'_>,
        frames: &mut ResidentFrames,
        x: Range<usize>,
        out: Range<usize>,
    ) -> Result<(), OrtError> {
        (self.0)(batch, frames, x, out)
    }
}

/// DDIM's nodes.
pub(crate) fn ddim(steps: usize) -> Vec<Node> {
    let (mut levels, mut nodes) = (vec![Level::default(); steps + 1], vec![Node::default(); steps + 1]);
    let grid = BETAS.trailing(steps, &mut levels).unwrap();
    Ddim::default().plan(&grid, Prediction::Epsilon, &mut nodes).unwrap();
    nodes
}

/// DEIS's nodes, of one step each, in noise form.
pub(crate) fn deis(steps: usize) -> Vec<Node> {
    let (mut levels, mut nodes) = (vec![Level::default(); steps + 1], vec![Node::default(); steps + 1]);
    let grid = BETAS.trailing(steps, &mut levels).unwrap();
    Deis { order: 1, ..Deis::default() }.plan(&grid, Prediction::Epsilon, &mut nodes).unwrap();
    nodes
}

fn start(plan: &Plan<'_>, items: usize, dim: usize) -> Vec<f32> {
    let mut x = vec![0.0; items * dim];
    plan.start(&Noise::seeded(SEED), dim, &mut x);
    x
}

pub(crate) fn on_host(
    sampler: &impl Sampler,
    plan: &Plan<'_>,
    denoiser: &mut impl for<'a> Denoiser<SliceFrames<'a, f32>, Error: std::error::Error>,
    (items, dim): (usize, usize),
) -> (Vec<f32>, Report) {
    let (mut x, mut memory) = (start(plan, items, dim), Memory::new());
    let mut workspace = memory.workspace(sampler.need(plan, items), dim);
    let report = sampler.run(plan, denoiser, &Noise::seeded(SEED), &mut x, &mut workspace).unwrap();
    (x, report)
}

/// With `spare` rows behind those of the run.
pub(crate) fn on_device<D: Denoiser<ResidentFrames>>(
    sampler: &impl Sampler,
    plan: &Plan<'_>,
    denoiser: &mut D,
    (items, item): (usize, &[usize]),
    spare: usize,
) -> Result<(Vec<f32>, Report, Traffic), SampleError<D::Error>> {
    let (dim, need) = (item.iter().product(), sampler.need(plan, items));
    let mut x = start(plan, items, dim);
    let rows = picardy::Need { rows: need.rows + spare, ..need };
    let frames = ResidentFrames::new(provider(), rows, item).unwrap();
    let counter = frames.counter();
    let (mut spans, mut marks) = (vec![Span::default(); need.spans], vec![Mark::default(); need.marks]);
    let mut workspace = Workspace::new(frames, &mut spans).with_marks(&mut marks);
    let report = sampler.run(plan, denoiser, &Noise::seeded(SEED), &mut x, &mut workspace)?;
    Ok((x, report, counter.get()))
}

/// The largest difference, over the largest number of `a`.
pub(crate) fn apart(a: &[f32], b: &[f32]) -> f32 {
    let largest = a.iter().fold(1.0f32, |largest, x| largest.max(x.abs()));
    assert!(a.len() == b.len() && a.iter().chain(b).all(|x| x.is_finite()));
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / largest
}
