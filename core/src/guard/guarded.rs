//! A denoiser with a guard.

use super::Guard;
use crate::{Batch, Denoiser, Tensor};
use core::ops::Range;

/// A denoiser whose estimates pass a guard before they are used.
///
/// ```
/// use picardy::guard::{Clamp, Guarded, Inpaint};
/// use picardy::{Betas, Ddim, Level, Mixture, Node, Noise, Prediction, Sampler, Sequential, Solver};
/// use picardy::{SliceFrames, Workspace};
/// let model = Mixture::new(&[-1.0, -1.0, 1.0, 1.0], &[0.5, 0.5], 0.1, 2)?.predicting(Prediction::Epsilon);
/// let known = Inpaint::new(&[1.0, 0.0], &[0.9, 0.0])?; // the first coordinate is 0.9
/// let mut model = Guarded::new(model, (Clamp::new(-1.0, 1.0)?, known));
///
/// let (mut levels, mut nodes) = ([Level::default(); 21], [Node::default(); 21]);
/// let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(20, &mut levels)?;
/// let plan = Ddim::default().plan(&grid, Prediction::Epsilon, &mut nodes)?;
/// let noise = Noise::seeded(3);
/// let mut x = [0.0f32; 8]; // four items of two numbers
/// plan.start(&noise, 2, &mut x);
/// let mut memory = [0.0; 16];
/// let mut workspace = Workspace::new(SliceFrames::new(&mut memory, 2), &mut []);
/// Sequential.run(&plan, &mut model, &noise, &mut x, &mut workspace)?;
/// assert!(x.chunks(2).all(|x| x[0] == 0.9 && x[1] > 0.5)); // the network follows what is known
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guarded<D, G> {
    /// The network.
    pub denoiser: D,
    /// What its estimates pass.
    pub guard: G,
}

impl<D, G> Guarded<D, G> {
    /// `denoiser` behind `guard`. Of two nested ones the outer guard works alone; give a tuple of guards instead.
    pub const fn new(denoiser: D, guard: G) -> Self {
        Self { denoiser, guard }
    }
}

impl<F, D, G> Denoiser<F> for Guarded<D, G>
where
    F: Tensor + ?Sized,
    D: Denoiser<F>,
    G: Guard<F>,
{
    type Error = D::Error;

    fn evaluate(
        &mut self,
        batch: &Batch<'_>,
        frames: &mut F,
        x: Range<usize>,
        out: Range<usize>,
    ) -> Result<(), D::Error> {
        self.denoiser.evaluate(batch, frames, x, out)
    }

    fn guard(&mut self) -> Option<&mut dyn Guard<F>> {
        Some(&mut self.guard)
    }
}
