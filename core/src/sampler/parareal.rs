//! Blocks of the plan at a time: parareal.

mod blocks;
mod lanes;
mod rows;
mod run;

use super::{Need, Sampler, SetupError, Workspace, batch_of, check_start};
use crate::{Noise, Plan, Tensor};
use blocks::{Blocks, divide};
use lanes::{At, Lane, Lanes, Stage};
use rows::Rows;

pub use run::PararealRun;

/// The parareal sampler (SRDS, arXiv 2412.08292, algorithm 1), for plans that can be cut.
///
/// The plan is cut into blocks. A coarse solver `G` runs ahead over all of them, block after block; the fine solver
/// `F`, which is the plan itself, follows in all blocks at once; and the starts `x_i` of the blocks are mended by what the
/// two differ:
///
/// ```text
/// x_{i+1} <- F(x_i old) + G(x_i new) - G(x_i old)
/// ```
///
/// `G` runs the block's nodes with the same noise, from one evaluation at the first, whose output is carried along as if
/// the data were Gaussian of variance `v`, with the mean that this output speaks of:
///
/// ```text
/// m_j = g_j x_j + (c_j / c_e) (m_e - g_e x_e)        e: the block's first evaluated node
/// data form:   g = a v/(a^2 v + s^2),  c = s^2/(a^2 v + s^2)
/// noise form:  g = s/(a^2 v + s^2),    c = a s/(a^2 v + s^2)
/// ```
///
/// (the paper's is one DDIM step; this serves any plan, and needs fewer sweeps). That evaluation is also the fine
/// solver's first, so `G` costs none of its own.
///
/// Start `i` is exact after `i` sweeps, to the last bit of [`Sequential`]'s: a plan of `B` blocks takes at most `B`
/// sweeps, and a block whose start is exact is done after one more. A sweep takes as many rounds as a block has
/// evaluations, about `sqrt(N)`, and the first one `B` more, so [`Picard`] takes far fewer rounds. What parareal has to
/// offer is memory, `O(sqrt(N))` rows per item ([`need`](Sampler::need)), calls no larger than that, and few
/// evaluations.
///
/// With a tolerance, a start is final too when in a sweep neither it nor one before it has changed by more than
/// `tolerance`: root mean square, in standard deviations of the state at its level, `sqrt(a^2 v + s^2)`, which at the end of
/// the plan is the data's. The blocks before it cost no more, and the item is done when its end is final. That is also
/// the unit of [`Round::residual`](super::Round::residual), the largest such change; it is infinite before the second
/// sweep. Each item goes on by itself, and none depends on the others.
///
/// Under a [guard](crate::guard) all samples, and all guesses of a run that is stopped, are ends of a coarse or a fine
/// run, whose last estimate the guard has seen, so that they keep what it promises.
///
/// Only plans whose steps stand alone can be cut: those of one-step solvers everywhere, those of Heun and of the
/// singlestep DPM-Solver between steps. For multistep solvers (DPM-Solver++ 2M, UniPC, DEIS, LMS) see
/// [`SetupError::Uncut`].
///
/// ```
/// use picardy::{Betas, Ddim, Level, Mixture, Node, Noise, Parareal, Prediction, Sampler, SliceFrames, Solver};
/// # use picardy::{Span, Workspace};
/// let mut denoiser = Mixture::new(&[-1.0, 1.0], &[0.5, 0.5], 0.1, 1)?.predicting(Prediction::Epsilon);
/// let (mut levels, mut nodes) = ([Level::default(); 101], [Node::default(); 101]);
/// let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(100, &mut levels)?;
/// let plan = Ddim::default().plan(&grid, Prediction::Epsilon, &mut nodes)?;
///
/// let noise = Noise::seeded(7);
/// let mut x = [0.0f64; 4];
/// plan.start(&noise, 1, &mut x);
/// let parareal = Parareal::default();
/// let (mut memory, mut spans) = ([0.0; 447], [Span::default(); 94]); // parareal.need(&plan, 4)
/// let mut workspace = Workspace::new(SliceFrames::new(&mut memory, 1), &mut spans);
/// let report = parareal.run(&plan, &mut denoiser, &noise, &mut x, &mut workspace)?;
/// assert!(report.rounds < 100 && report.finished);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [`Sequential`]: super::Sequential
/// [`Picard`]: super::Picard
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parareal {
    /// How many blocks; 0 for the square root of the evaluations. There are fewer where the plan cannot be cut so often.
    pub blocks: usize,
    /// When a start is final, in standard deviations of the state; 0 runs to the exact end.
    pub tolerance: f64,
    /// Every block goes on as soon as its start is there. Otherwise each sweep waits for the one before it: about
    /// twice as many rounds, of fewer rows.
    pub pipelined: bool,
    /// `v`, the variance of the data per coordinate, for the coarse solver and the tolerance.
    pub data_variance: f64,
}

impl Default for Parareal {
    fn default() -> Self {
        Self { blocks: 0, tolerance: 0.01, pipelined: true, data_variance: 1.0 }
    }
}

impl Parareal {
    fn need_of(&self, blocks: &Blocks, plan: &Plan<'_>, batch: usize) -> Need {
        let rows = Rows::new(blocks, plan, batch, self.pipelined);
        Need { rows: rows.len(), spans: Lanes::need(blocks.count, batch), marks: 0 }
    }
}

impl Sampler for Parareal {
    type Run<'r, F: Tensor + 'r> = PararealRun<'r, F>;

    fn need(&self, plan: &Plan<'_>, batch: usize) -> Need {
        self.need_of(&divide(plan, self.blocks, |_, _| ()), plan, batch)
    }

    fn begin<'r, F: Tensor>(
        &self,
        plan: &'r Plan<'r>,
        noise: &'r Noise<'r>,
        x: &[F::Scalar],
        workspace: &'r mut Workspace<'_, F>,
    ) -> Result<Self::Run<'r, F>, SetupError> {
        if self.tolerance.is_nan() || self.tolerance < 0.0 {
            return Err(SetupError::Tolerance(self.tolerance));
        }
        if !(self.data_variance > 0.0 && self.data_variance.is_finite()) {
            return Err(SetupError::DataVariance(self.data_variance));
        }
        let (blocks, evaluations) = (divide(plan, self.blocks, |_, _| ()), plan.evaluations());
        // Three is a step of a singlestep solver: a plan of one or two such steps is no multistep one.
        if blocks.stretch > (evaluations / 2).max(3) {
            return Err(SetupError::Uncut { evaluations, stretch: blocks.stretch });
        }
        let dim = workspace.frames.dim();
        let batch = batch_of(x.len(), dim)?;
        let (need, given) = (self.need_of(&blocks, plan, batch), workspace.size());
        let Workspace { frames, spans, .. } = workspace;
        let (true, Some(mut lanes)) = (given.rows >= need.rows, Lanes::new(spans, blocks.count, batch))
        else {
            return Err(SetupError::Workspace { need, given });
        };
        noise.check(plan.last(), batch, dim)?;
        check_start(x, dim)?;
        divide(plan, self.blocks, |i, block| lanes.set_block(i, &block));
        let rows = Rows::new(&blocks, plan, batch, self.pipelined);
        frames.begin();
        for (item, x) in x.chunks(dim.max(1)).enumerate() {
            frames.load(rows.next_start(item, 0), x);
            let start = Lane { stage: Stage::Due, node: lanes.block(0).asked, settled: true, calm: true };
            lanes.set(item, At::Next(0), start);
        }
        Ok(PararealRun {
            parareal: *self,
            plan,
            noise,
            frames,
            lanes,
            rows,
            rounds: 0,
            evaluations: 0,
            residual: f64::INFINITY,
        })
    }
}
