//! Runs in one line.

use picardy::{
    Betas, Ddim, Ddpm, Denoiser, Level, Memory, Node, Noise, Plan, Prediction, Real, Report, SampleError,
    Sampler, SliceFrames, Solver,
};

/// Which solver.
#[derive(Clone, Copy, Debug)]
pub enum Solved {
    /// DDPM, small variance.
    Ddpm,
    /// DDIM with this eta.
    Ddim(f64),
}

/// A plan of `steps` trailing steps on DDPM's linear betas, in memory of its own.
pub fn plan(solver: Solved, steps: usize) -> Vec<Node> {
    let (mut levels, mut nodes) = (vec![Level::default(); steps + 1], vec![Node::default(); steps + 1]);
    let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(steps, &mut levels).expect("a sound grid");
    match solver {
        Solved::Ddpm => Ddpm::default().plan(&grid, Prediction::Epsilon, &mut nodes).map(|_| ()),
        Solved::Ddim(eta) => Ddim { eta }.plan(&grid, Prediction::Epsilon, &mut nodes).map(|_| ()),
    }
    .expect("a sound plan");
    nodes
}

/// What a run gave.
#[derive(Clone, Debug)]
pub struct Outcome<T> {
    /// The samples.
    pub x: Vec<T>,
    /// What it cost.
    pub report: Report,
}

/// Draws starts and samples a batch.
///
/// # Errors
/// The sampler's.
pub fn run<T, S, D, E>(
    sampler: &S,
    plan: &Plan<'_>,
    denoiser: &mut D,
    noise: &Noise<'_>,
    batch: usize,
    dim: usize,
) -> Result<Outcome<T>, SampleError<E>>
where
    T: Real,
    S: Sampler,
    D: for<'a> Denoiser<SliceFrames<'a, T>, Error = E>,
{
    let mut x = vec![T::ZERO; batch * dim];
    plan.start(noise, dim, &mut x);
    let mut memory = Memory::new();
    let mut workspace = memory.workspace(sampler.need(plan, batch), dim);
    let report = sampler.run(plan, denoiser, noise, &mut x, &mut workspace)?;
    Ok(Outcome { x, report })
}

/// The mean absolute distance of two runs.
pub fn distance<T: Real>(a: &[T], b: &[T]) -> f64 {
    let sum: f64 = a.iter().zip(b).map(|(a, b)| (a.to_f64() - b.to_f64()).abs()).sum();
    sum / a.len() as f64
}
