//! One call spread over several sessions.

mod common;

use common::PlainMlp;
use picardy::{
    Betas, Ddpm, Level, Memory, Node, Noise, Picard, Prediction, Report, Sampler, SliceFrames, Solver,
    Threaded,
};
use picardy_ort::{Model, Options, OrtDenoiser, ensure_runtime};

fn sample<D: for<'a> picardy::Denoiser<SliceFrames<'a, f32>>>(denoiser: &mut D) -> (Vec<f32>, Report) {
    let (mut levels, mut nodes) = ([Level::default(); 41], [Node::default(); 41]);
    let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(40, &mut levels).unwrap();
    let plan = Ddpm::default().plan(&grid, Prediction::Epsilon, &mut nodes).unwrap();
    let (noise, mut memory, mut x) = (Noise::seeded(7), Memory::new(), vec![0.0f32; 6 * 2]);
    plan.start(&noise, 2, &mut x);
    // To the exact end: the same samples, whatever rounding does to convergence.
    let picard = Picard { window: 20, tolerance: 0.0, ..Picard::default() };
    let mut workspace = memory.workspace(picard.need(&plan, 6), 2);
    let report =
        picard.run(&plan, denoiser, &noise, &mut x, &mut workspace).map_err(|_| "a failed run").unwrap();
    (x, report)
}

#[test]
fn two_sessions_give_the_samples_of_one() {
    ensure_runtime().unwrap();
    let bytes = PlainMlp::new(2, 32, 1).onnx(&[]);
    let session = || OrtDenoiser::new(Model::from_bytes(&bytes, Options::default()).unwrap()).unwrap();
    let (want, _) = sample(&mut session());
    let (got, report) = sample(&mut Threaded::new(vec![session(), session()]).least_rows(1));
    assert!(report.finished);
    // ONNX Runtime's sums may depend on how many rows a product has.
    assert!(want.iter().zip(&got).all(|(a, b)| (a - b).abs() <= 1e-4 * a.abs().max(1.0)), "{want:?} {got:?}");
}
