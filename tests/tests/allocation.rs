//! Nothing is allocated while sampling: counted, not believed.

#![allow(unsafe_code)]

use picardy::guard::{Clamp, DynamicThreshold, Inpaint};
use picardy::nn::{Artifact, MlpDenoiser, ResidualMlp};
use picardy::{
    AnySolver, Form, Guarded, Guided, Memory, Mixture, Noise, Parareal, Picard, Plan, Prediction, Sampler,
    Sequential, SliceFrames, Slope, Solver, Speculative, Start,
};
use picardy_tests::{Solved, plan};
use picardy_trainer::model::{MlpConfig, Network, Precision};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    // The test harness's own threads allocate when they like.
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

fn calls() -> usize {
    CALLS.with(Cell::get)
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that ends has none.
        let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations<T>(body: impl FnOnce() -> T) -> (usize, T) {
    let before = calls();
    let result = body();
    (calls() - before, result)
}

#[test]
fn sampling_allocates_nothing() {
    let (count, _) = allocations(|| vec![1u8; 100]);
    assert_eq!(count, 1, "the counter counts");

    let mixture = Mixture::new(&[-1.0, 0.0, 1.0, 0.5], &[0.5, 0.5], 0.1, 2).unwrap();
    let mut model = mixture.predicting(Prediction::Epsilon);
    let nodes = plan(Solved::Ddpm, 100);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let noise = Noise::seeded(1);
    let mut memory = Memory::<f32>::new();
    let mut x = vec![0.0f32; 2 * 8];
    let slope = |slope| Picard { slope, window: 30, ..Picard::default() };
    for picard in [
        Picard::paradigms(30, 0.1),
        slope(Slope::Frozen),
        slope(Slope::Gaussian),
        slope(Slope::Secant),
        slope(Slope::Multisecant(1)),
        slope(Slope::Multisecant(4)),
        Picard { stride: 4, rows: 40, anderson: 5, start: Start::Coarse(5), ..Picard::default() },
    ] {
        let mut workspace = memory.workspace(picard.need(&plan, 8), 2);
        plan.start(&noise, 2, &mut x);
        let (count, report) = allocations(|| picard.run(&plan, &mut model, &noise, &mut x, &mut workspace));
        assert!(report.unwrap().finished);
        assert_eq!(count, 0, "{picard:?}");
    }
    for pipelined in [true, false] {
        let parareal = Parareal { pipelined, ..Parareal::default() };
        let mut workspace = memory.workspace(parareal.need(&plan, 8), 2);
        plan.start(&noise, 2, &mut x);
        let (count, report) = allocations(|| parareal.run(&plan, &mut model, &noise, &mut x, &mut workspace));
        assert!(report.unwrap().finished);
        assert_eq!(count, 0, "parareal, pipelined {pipelined}");
    }
    let mut workspace = memory.workspace(Sequential.need(&plan, 8), 2);
    let (count, report) = allocations(|| Sequential.run(&plan, &mut model, &noise, &mut x, &mut workspace));
    assert!(report.unwrap().finished);
    assert_eq!(count, 0, "sequential");

    let speculative = Speculative { draft: 30, sweeps: 1, ..Speculative::default() };
    let mut workspace = memory.workspace(speculative.need(&plan, 8), 2);
    let (count, report) = allocations(|| speculative.run(&plan, &mut model, &noise, &mut x, &mut workspace));
    assert!(report.unwrap().finished);
    assert_eq!(count, 0, "speculative");

    // With the network too, its weights and its scratch.
    let bytes =
        Network::<f32>::new(MlpConfig::new(2), 1, 0).unwrap().to_safetensors(&[], Precision::F32).unwrap();
    let mut x = vec![0.0f32; 2 * 8];
    let network = ResidualMlp::from_artifact(&Artifact::parse(&bytes).unwrap()).unwrap();
    let mut scratch = vec![0.0; network.scratch_len(48)];
    let picard = Picard { window: 30, ..Picard::default() };
    let mut workspace = memory.workspace(picard.need(&plan, 8), 2);
    let (count, report) = allocations(|| {
        let network = ResidualMlp::from_artifact(&Artifact::parse(&bytes).unwrap()).unwrap();
        let mut network = MlpDenoiser::new(network, &mut scratch);
        picard.run(&plan, &mut network, &noise, &mut x, &mut workspace)
    });
    assert!(report.unwrap().finished);
    assert_eq!(count, 0, "with the network");

    // Under guards and guidance.
    let mut rows = vec![0.0f32; 2 * Guided::<(), SliceFrames<'_, f32>>::rows(8 * 30)];
    let (mask, known) = ([1.0f32, 0.0], [0.2f32, 0.0]);
    let mut workspace = memory.workspace(picard.need(&plan, 8), 2);
    let (count, report) = allocations(|| {
        let inpaint = Inpaint::new(&mask, &known).unwrap();
        let guard = (Clamp::symmetric(1.0).unwrap(), DynamicThreshold::new(0.9).unwrap(), inpaint);
        let guided = Guided::new(model, SliceFrames::new(&mut rows, 2), 2.0).rescaled(0.5);
        picard.run(&plan, &mut Guarded::new(guided, guard), &noise, &mut x, &mut workspace)
    });
    assert!(report.unwrap().finished);
    assert_eq!(count, 0, "guarded and guided");

    // Planning neither, whichever solver.
    let mut levels = [picardy::Level::default(); 51];
    let mut nodes = vec![picardy::Node::default(); 151];
    for (name, solver) in AnySolver::list() {
        let (count, evaluations) = allocations(|| {
            let solver: AnySolver = name.parse().unwrap();
            let betas = picardy::Betas::scaled_linear(1000, 0.00085, 0.012);
            let grid = betas.trailing(50, &mut levels).unwrap();
            let first = solver.plan(&grid, Prediction::Epsilon, &mut nodes).unwrap().evaluations();
            let curve = picardy::Curve::karras();
            let grid = betas.respaced(50, &curve, picardy::Final::Data, &mut levels).unwrap();
            first + solver.plan(&grid, Prediction::Epsilon, &mut nodes).unwrap().evaluations()
        });
        assert!(evaluations >= 100);
        assert_eq!(count, 0, "planning {solver:?}");
    }
}
