//! A diffusion policy: DDIM in ten steps of a temporal U-Net, as diffusers runs it.

use crate::Error;
use picardy::guard::{Clamp, Guarded, RawNoise};
use picardy::nn::{Architecture, Artifact, Network, NetworkDenoiser, Step, Unet1d, Weights, Widths};
use picardy::{Betas, Ddim, Final, Level, Node, Noise, Prediction, Sampler, Sequential, SliceFrames, Solver};
use picardy::{Spacing, Workspace};

const STEPS: usize = 10;

/// A policy's sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Channels of the U-Net's levels.
    pub widths: &'static [usize],
    /// Numbers of the timestep's embedding.
    pub embedding: usize,
    /// Groups of the norms.
    pub groups: usize,
    /// Actions of a plan.
    pub horizon: usize,
    /// Numbers of an action.
    pub actions: usize,
    /// Numbers of an observation.
    pub observation: usize,
}

impl Policy {
    /// One that fits a small microcontroller.
    pub const SMALL: Self =
        Self { widths: &[8, 16], embedding: 8, groups: 4, horizon: 16, actions: 2, observation: 5 };
    /// One of the size that PyTorch's policies have.
    pub const WIDE: Self =
        Self { widths: &[64, 128, 256], embedding: 64, groups: 8, horizon: 16, actions: 2, observation: 20 };

    /// Numbers of a plan.
    pub const fn dim(&self) -> usize {
        self.horizon * self.actions
    }

    /// The network; none for more levels than there can be.
    pub fn architecture(&self) -> Option<Architecture> {
        let widths = Widths::new(self.widths)?;
        let (embedding, groups) = (self.embedding, self.groups);
        Some(Architecture::Unet1d(Unet1d { widths, embedding, kernel: 5, groups, scale: true }))
    }
}

/// The memory of a plan: static in an image.
#[derive(Debug)]
pub struct PolicyMemory<'m, 'w> {
    /// The network's program.
    pub program: &'m mut [Step<Weights<'w>>],
    /// The network's scratch.
    pub scratch: &'m mut [f32],
    /// The observation.
    pub observation: &'m mut [f32],
    /// A state, an output and what the guard keeps: three of them.
    pub states: &'m mut [f32],
}

/// A plan of actions in [-1, 1] into `x`.
///
/// # Errors
/// Weights that are not the policy's, or memory that is too small for it.
// Inlined, its frame would lie above where the stack is measured from.
#[inline(never)]
pub fn plan_actions<'w>(
    policy: &Policy,
    weights: &'w [u8],
    x: &mut [f32],
    memory: &mut PolicyMemory<'_, 'w>,
) -> Result<(), Error> {
    let PolicyMemory { program, scratch, observation, states } = memory;
    let architecture = policy.architecture().ok_or(picardy::nn::ModelError::UnknownModel)?;
    let artifact = Artifact::parse(weights)?;
    let shape = [policy.horizon, policy.actions];
    let network = Network::new(&artifact, &architecture, &shape, policy.observation, program)?;
    for (i, number) in observation.iter_mut().enumerate() {
        *number = (i * 7 % 11) as f32 / 5.5 - 1.0;
    }
    let (mut levels, mut nodes) = ([Level::EMPTY; STEPS + 1], [Node::EMPTY; STEPS + 1]);
    let grid = Betas::cosine(100).grid(STEPS, Spacing::Leading { offset: 0 }, Final::Data, &mut levels)?;
    let plan = Ddim::default().plan(&grid, Prediction::Epsilon, &mut nodes)?;
    let (frames, kept) = states.split_at_mut(states.len() / 3 * 2);
    let guard = RawNoise::new(Clamp::symmetric(1.0)?, &plan, kept)?;
    let mut denoiser = Guarded::new(NetworkDenoiser::new(network, observation, scratch), guard);
    let noise = Noise::seeded(7);
    plan.start(&noise, policy.dim(), x);
    let mut workspace = Workspace::new(SliceFrames::new(frames, policy.dim()), &mut []);
    Sequential.run(&plan, &mut denoiser, &noise, x, &mut workspace)?;
    Ok(())
}
