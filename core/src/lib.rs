//! Picardy samples diffusion models, in sequence and in parallel over time, without std and without a heap.
//!
//! # The one idea
//!
//! Every solver of the field updates the state affinely in what it has: states, the network's outputs, noise.
//! So a solver is a table of coefficients, and a sampler decides who is evaluated when:
//!
//! ```text
//! schedule --> grid --> solver --> PLAN --> sampler --> samples
//! which noise levels    how to step          |  who is evaluated when
//! there are | chosen    between them         denoiser, noise
//!
//! x_k = sum_j A[k,j] x_j + sum_j B[k,j] m_j + C[k] z_k        one Node of the plan
//! ```
//!
//! ```
//! use picardy::{Betas, Ddpm, Level, Mixture, Node, Noise, Picard, Prediction, Sampler, SliceFrames, Solver};
//! # use picardy::{Mark, Span, Workspace};
//! let mut denoiser = Mixture::new(&[-1.0, 1.0], &[0.5, 0.5], 0.1, 1)?.predicting(Prediction::Epsilon);
//! let (mut levels, mut nodes) = ([Level::default(); 51], [Node::default(); 51]);
//!
//! let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(50, &mut levels)?; // which noise levels
//! let plan = Ddpm::default().plan(&grid, Prediction::Epsilon, &mut nodes)?; // how to step between them
//! let sampler = Picard { window: 16, tolerance: 0.01, ..Picard::default() }; // who is evaluated when
//! let noise = Noise::seeded(7);
//! let mut x = [0.0f32; 8]; // eight items of one number
//! plan.start(&noise, 1, &mut x);
//! // sampler.need(&plan, 8) says how much
//! let (mut memory, mut spans, mut marks) = ([0.0; 1024], [Span::default(); 16], [Mark::default(); 136]);
//! let mut workspace = Workspace::new(SliceFrames::new(&mut memory, 1), &mut spans).with_marks(&mut marks);
//! let report = sampler.run(&plan, &mut denoiser, &noise, &mut x, &mut workspace)?;
//! assert!(report.rounds < 50); // on a microcontroller: Sequential in place of Picard
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The rooms
//!
//! | room | what is in it |
//! |---|---|
//! | [`Level`], [`schedule`], [`Grid`] | noise levels; betas and sigmas; the levels of one run |
//! | [`Prediction`] | what the network's output means |
//! | [`Plan`], [`solver`] | the nodes; the solvers that make them |
//! | [`Noise`] | Gaussian noise keyed by (seed, item, node) |
//! | [`Tensor`], [`Denoiser`] | rows of states; the network |
//! | [`guard`], [`Guided`] | limits and known entries on the data estimate; classifier-free guidance |
//! | [`horizon`] | chunks of actions: shifted, held at their overlap, started warm |
//! | [`sampler`] | [`Sequential`], [`Picard`], [`Parareal`] and [`Speculative`], over the caller's [`Workspace`]; [`Auto`] chooses |
//! | `Threaded` (feature `std`) | one call of the network on several threads |
//! | [`likelihood`] | how likely an input is, and how noisy: the noise classifier |
//! | [`nn`] | inference of the trainer's networks, weights read in place |
//! | [`Mixture`] | an exact denoiser, for tests |
//!
//! # Features
//!
//! `nn` (default) needs neither std nor alloc. `alloc` adds [`Memory`], `std` CPU detection in the matrix
//! products and `Threaded`, `ndarray` frames over array views, `config` the reader of diffusers'
//! `scheduler_config.json`.

#![no_std]

#[cfg(feature = "alloc")]
extern crate alloc;

#[cfg(feature = "config")]
pub mod config;
pub mod denoiser;
mod grid;
pub mod guard;
mod guidance;
pub mod horizon;
mod level;
pub mod likelihood;
mod math;
mod mixture;
mod name;
#[cfg(feature = "nn")]
pub mod nn;
pub mod noise;
mod plan;
mod prediction;
mod real;
pub mod sampler;
pub mod schedule;
pub mod solver;
mod tensor;
#[cfg(feature = "std")]
mod threaded;

pub use denoiser::{Batch, Denoiser, Row, Span};
pub use grid::Grid;
pub use guard::{Guard, GuardError, Guarded};
pub use guidance::{Guided, GuidedError, SpareRows};
pub use level::Level;
pub use mixture::{Mixture, MixtureDenoiser, MixtureError};
pub use name::Name;
pub use noise::Noise;
pub use plan::{MAX_OUTPUTS, MAX_STATES, Node, Plan, PlanError, Reach, Term};
pub use prediction::{Form, Prediction, Readout, UnknownPrediction};
pub use real::Real;
#[cfg(feature = "alloc")]
pub use sampler::Memory;
pub use sampler::{
    AnyRun, AnySampler, Auto, Bound, Criterion, MAX_ANDERSON, MAX_HISTORY, Mark, Need, Parareal, Picard,
    PicardRun, Report, Round, Run, SampleError, Sampler, Sequential, SetupError, Slope, Speculative, Start,
    Workspace,
};
pub use schedule::{
    BetaKind, Betas, Curve, Final, FlowShift, NoiseSchedule, ScheduleError, SigmaShape, Sigmas, Spacing, Told,
};
pub use solver::{
    AnySolver, Bh, Coordinates, Ddim, DdimStride, Ddpm, Deis, DpmSolverPp, DpmSolverSingle, Edm, Euler,
    EulerAncestral, GradientEstimation, Heun, Lcm, Lms, Pinned, Pndm, Solver, Tcd, UniPc, UnknownSolver,
    Variance, Variant,
};
#[cfg(feature = "ndarray")]
pub use tensor::LayoutError;
pub use tensor::{Foreseen, HostTensor, Link, MAX_CARRIES, SliceFrames, Tensor};
#[cfg(feature = "std")]
pub use threaded::{Threaded, ThreadedError};
