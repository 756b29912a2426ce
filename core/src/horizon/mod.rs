//! Receding horizons: a plan of actions is made, its front is executed, and the next one goes on from what is left.
//!
//! An item is a chunk of actions `[places, channels]`. Every cycle:
//!
//! ```text
//! last chunk --shift--> its rest, the end repeated --> known and soft entries (Inpaint)   joins without a jerk
//!                                                  --> the start, or the guess            fewer evaluations
//! ```
//!
//! - [`shift`] moves what was executed out.
//! - [`Overlap`] says how far each action of the rest is held: 1 while the plan is computed, then less and less
//!   (real-time chunking, arXiv 2506.07339), for [`Inpaint`](crate::guard::Inpaint), without a backward pass.
//! - In sequence, [`renoise`] starts at a level partway ([`Grid::tail`](crate::Grid::tail)); in parallel, [`follow`] writes the
//!   whole path for [`Picard::begin_from`](crate::Picard::begin_from).
//! - A deadline is a [watch](crate::Sampler::run_watched): it ends the run after the round in which it passes, with the best
//!   chunk so far. A deadline of zero leaves one round. Where not even that can be waited for, the shifted chunk is the safe
//!   answer: it was a plan a cycle ago.
//!
//! ```
//! use picardy::guard::{Guarded, Inpaint};
//! use picardy::horizon::{Chunk, Overlap, renoise, shift};
//! use picardy::{Betas, Ddim, Level, Mixture, Node, Noise, Prediction, Sampler, Sequential, Solver};
//! use picardy::{SliceFrames, Workspace};
//! let model = Mixture::new(&[-1.0; 8], &[1.0], 0.2, 8)?.predicting(Prediction::Sample);
//! let (mut levels, mut nodes) = ([Level::default(); 11], [Node::default(); 6]);
//! let grid = Betas::cosine(100).trailing(10, &mut levels)?.tail(5)?; // half of ten steps
//! let plan = Ddim::default().plan(&grid, Prediction::Sample, &mut nodes)?;
//!
//! let chunk = Chunk::new(8, 1)?;
//! let mut last = [-0.9f32; 8]; // what the last cycle planned
//! shift(chunk, 3, &mut last)?; // three actions were executed
//! let mut mask = [0.0f32; 8];
//! Overlap { delay: 1, executed: 3 }.fill(chunk, &mut mask)?;
//! let mut model = Guarded::new(model, Inpaint::new(&mask, &last)?);
//!
//! let noise = Noise::seeded(3);
//! let (mut x, mut memory) = ([0.0f32; 8], [0.0; 16]);
//! renoise(&grid.levels()[0], &last, &noise, 8, &mut x)?;
//! let mut workspace = Workspace::new(SliceFrames::new(&mut memory, 8), &mut []);
//! let report = Sequential.run(&plan, &mut model, &noise, &mut x, &mut workspace)?;
//! assert!(report.rounds == 5 && (x[0] - -0.9).abs() < 1e-5); // what is executed meanwhile stays
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod chunk;
mod error;
mod overlap;
mod warm;

pub use chunk::{Chunk, shift};
pub use error::HorizonError;
pub use overlap::Overlap;
pub use warm::{follow, renoise};
