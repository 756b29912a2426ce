//! What is to be sampled.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use picardy::{
    AnySampler, Betas, Form, Grid, Guard, GuardError, Level, Node, Plan, Prediction, Row, Sequential,
    SliceFrames, Solver,
};

use super::error::PlanningError;

/// A plan that requests share: its nodes are in memory once.
#[derive(Clone, Debug)]
pub struct SharedPlan {
    nodes: Arc<[Node]>,
    form: Form,
}

impl SharedPlan {
    /// Copies a plan.
    #[must_use]
    pub fn new(plan: &Plan<'_>) -> Self {
        Self { nodes: plan.nodes().into(), form: plan.form() }
    }

    /// A solver's plan of `steps` trailing timesteps of `betas`, down to the data.
    ///
    /// # Errors
    /// No steps, more steps than timesteps, betas or a prediction that do not serve the solver.
    pub fn trailing(
        solver: &impl Solver,
        betas: &Betas,
        steps: usize,
        prediction: Prediction,
    ) -> Result<Self, PlanningError> {
        // More steps than timesteps are the grid's to refuse, not the allocator's.
        let slots = steps.min(betas.train_steps).min(Betas::MOST_STEPS);
        let mut levels = vec![Level::default(); slots + 1];
        Self::on(solver, &betas.trailing(steps, &mut levels)?, prediction)
    }

    /// A solver's plan over a grid.
    ///
    /// # Errors
    /// A grid or a prediction that do not serve the solver.
    pub fn on(solver: &impl Solver, grid: &Grid<'_>, prediction: Prediction) -> Result<Self, PlanningError> {
        let mut nodes = vec![Node::default(); solver.nodes(grid.steps())];
        Ok(Self::new(&solver.plan(grid, prediction, &mut nodes)?))
    }

    /// The plan.
    ///
    /// # Errors
    /// None: its nodes were a plan's.
    pub(super) fn plan(&self) -> Result<Plan<'_>, picardy::PlanError> {
        Plan::new(&self.nodes, self.form)
    }
}

/// What becomes of a request whose deadline has passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Late {
    /// It ends with [`RequestError::Expired`](super::RequestError::Expired).
    #[default]
    Fail,
    /// It gives the best estimate of the data so far, marked as [late](super::Sample::late). A request that had no round yet
    /// fails.
    Best,
}

/// A guard that a request can carry: any of core's that owns what it needs.
pub trait RequestGuard: for<'a> Guard<SliceFrames<'a, f32>> + Send + Sync {}

impl<G: for<'a> Guard<SliceFrames<'a, f32>> + Send + Sync> RequestGuard for G {}

/// Classifier-free guidance of a request: core's [`Guided`](picardy::Guided). The denoiser is shown every row twice, without
/// its condition and with it ([`Row::conditional`]).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guidance {
    /// The weight; 1 is no guidance.
    pub weight: f64,
    /// How much of the contrast is brought back: 0 for none, 1 for all.
    pub rescale: f64,
}

/// A request for samples.
///
/// ```
/// use picardy::{Betas, Ddim, Prediction};
/// use picardy_ort::pipeline::{Request, SharedPlan};
/// use std::time::Duration;
/// let betas = Betas::linear(1000, 1e-4, 2e-2);
/// let plan = SharedPlan::trailing(&Ddim::default(), &betas, 50, Prediction::Epsilon)?; // once, for all requests
/// let request = Request::new(&plan, 4).seed(7).within(Duration::from_secs(2));
/// # let _ = request;
/// # Ok::<(), picardy_ort::pipeline::PlanningError>(())
/// ```
pub struct Request {
    /// How to step.
    pub plan: SharedPlan,
    /// Who is evaluated when.
    pub sampler: AnySampler,
    /// The items.
    pub items: usize,
    /// The noise's seed.
    pub seed: u64,
    /// The noise of items `first_item ..`: what makes a batch that is given in parts equal the whole one.
    pub first_item: u64,
    /// The states to start from, `[items, dim]`; `None` for the plan's own start from noise.
    pub start: Option<Vec<f32>>,
    /// Classifier-free guidance.
    pub guidance: Option<Guidance>,
    /// What the data estimates pass.
    pub guard: Option<Box<dyn RequestGuard>>,
    /// A number of the caller's that the denoiser is shown with every row.
    pub tag: u64,
    /// When it must be done. Looked at between calls of the denoiser, so it is kept to one call.
    pub deadline: Option<Instant>,
    /// What becomes of it then.
    pub late: Late,
}

impl Request {
    /// `items` samples by `plan`, in sequence, seed 0, without a deadline.
    #[must_use]
    pub fn new(plan: &SharedPlan, items: usize) -> Self {
        Self {
            plan: plan.clone(),
            sampler: AnySampler::Sequential(Sequential),
            items,
            seed: 0,
            first_item: 0,
            start: None,
            guidance: None,
            guard: None,
            tag: 0,
            deadline: None,
            late: Late::Fail,
        }
    }

    /// With this seed.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// With this sampler.
    #[must_use]
    pub fn sampler(self, sampler: AnySampler) -> Self {
        Self { sampler, ..self }
    }

    /// With a deadline so far from now. A time that no clock reaches is none.
    #[must_use]
    pub fn within(self, time: Duration) -> Self {
        Self { deadline: Instant::now().checked_add(time), ..self }
    }

    /// With what becomes of it when it is late.
    #[must_use]
    pub fn late(self, late: Late) -> Self {
        Self { late, ..self }
    }

    /// With a tag.
    #[must_use]
    pub fn tag(self, tag: u64) -> Self {
        Self { tag, ..self }
    }

    /// With classifier-free guidance of this weight.
    #[must_use]
    pub fn guided(self, weight: f64) -> Self {
        Self { guidance: Some(Guidance { weight, rescale: 0.0 }), ..self }
    }

    /// With a guard.
    #[must_use]
    pub fn guard(self, guard: impl RequestGuard + 'static) -> Self {
        Self { guard: Some(Box::new(guard)), ..self }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("nodes", &self.plan.nodes.len())
            .field("sampler", &self.sampler)
            .field("items", &self.items)
            .field("seed", &self.seed)
            .field("first_item", &self.first_item)
            .field("tag", &self.tag)
            .field("deadline", &self.deadline)
            .field("late", &self.late)
            .finish_non_exhaustive()
    }
}

/// A request's guard as a guard of one kind of frames.
pub(super) struct Boxed(pub(super) Box<dyn RequestGuard>);

impl<'a> Guard<SliceFrames<'a, f32>> for Boxed {
    fn apply(&mut self, at: &Row, frames: &mut SliceFrames<'a, f32>, row: usize) -> Result<(), GuardError> {
        self.0.apply(at, frames, row)
    }
}
