//! What the pipeline's tests share.

use std::sync::{Arc, Condvar, Mutex};

use picardy::guard::{Clamp, Guarded};
use picardy::{AnySolver, Betas, Ddim, Memory, Mixture, Node, Noise, Plan, Prediction, Sampler, Solver};
use picardy_ort::pipeline::{self, BoxError, Request, RequestRow, RowDenoiser, SharedPlan};

pub(crate) const BETAS: Betas = Betas::linear(1000, 1e-4, 2e-2);
pub(crate) const MEANS: [f64; 6] = [-1.0, 0.5, 1.0, 1.0, 0.0, -1.0];

pub(crate) fn mixture() -> Mixture<'static> {
    Mixture::new(&MEANS, &[0.3, 0.5, 0.2], 0.1, 2).unwrap()
}

/// The exact denoiser, of the data.
pub(crate) fn exact(rows: &[RequestRow], x: &[f32], out: &mut [f32]) -> Result<(), BoxError> {
    for ((row, x), out) in rows.iter().zip(x.chunks(2)).zip(out.chunks_mut(2)) {
        mixture().denoise(x, &row.row.level, out);
    }
    Ok(())
}

pub(crate) fn one(
    function: impl FnMut(&[RequestRow], &[f32], &mut [f32]) -> Result<(), BoxError> + Send + 'static,
) -> Vec<Box<dyn RowDenoiser>> {
    vec![Box::new(pipeline::from_fn(2, function))]
}

pub(crate) fn plan(solver: &impl Solver, steps: usize) -> SharedPlan {
    SharedPlan::trailing(solver, &BETAS, steps, Prediction::Sample).unwrap()
}

/// The same request by core alone.
pub(crate) fn alone(solver: &AnySolver, steps: usize, request: &Request, clamp: Option<Clamp>) -> Vec<f32> {
    let mut levels = vec![picardy::Level::default(); steps + 1];
    let grid = BETAS.trailing(steps, &mut levels).unwrap();
    let mut nodes = vec![Node::default(); solver.nodes(steps)];
    let plan: Plan<'_> = solver.plan(&grid, Prediction::Sample, &mut nodes).unwrap();
    let noise = Noise::seeded(request.seed).from_item(request.first_item);
    let mut x = vec![0.0f32; request.items * 2];
    plan.start(&noise, 2, &mut x);
    let mut memory = Memory::new();
    let mut workspace = memory.workspace(request.sampler.need(&plan, request.items), 2);
    let denoiser = mixture().predicting(Prediction::Sample);
    match clamp {
        None => {
            let mut denoiser = denoiser;
            request.sampler.run(&plan, &mut denoiser, &noise, &mut x, &mut workspace).unwrap();
        }
        Some(clamp) => {
            let mut guarded = Guarded::new(denoiser, clamp);
            request.sampler.run(&plan, &mut guarded, &noise, &mut x, &mut workspace).unwrap();
        }
    }
    x
}

/// A denoiser that stands still until it is let go.
#[derive(Default)]
pub(crate) struct Gate {
    state: Mutex<(bool, usize)>,
    changed: Condvar,
}

impl Gate {
    pub(crate) fn open(&self) {
        self.state.lock().unwrap().0 = true;
        self.changed.notify_all();
    }

    /// Waits until a call stands at the gate.
    pub(crate) fn wait_for_a_call(&self) {
        let mut state = self.state.lock().unwrap();
        while state.1 == 0 {
            state = self.changed.wait(state).unwrap();
        }
    }

    pub(crate) fn denoiser(self: &Arc<Self>) -> Vec<Box<dyn RowDenoiser>> {
        let gate = Arc::clone(self);
        one(move |rows, x, out| {
            let mut state = gate.state.lock().unwrap();
            state.1 += 1;
            gate.changed.notify_all();
            while !state.0 {
                state = gate.changed.wait(state).unwrap();
            }
            exact(rows, x, out)
        })
    }
}

pub(crate) fn request(seed: u64) -> Request {
    Request::new(&plan(&Ddim::default(), 10), 2).seed(seed)
}
