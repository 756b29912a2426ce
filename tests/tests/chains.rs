//! A tensor that runs chains in one product gets the samples of one that goes node by node.

use picardy::{
    Form, Link, Memory, Mixture, Need, Noise, Picard, Plan, Prediction, Sampler, SliceFrames, Slope, Tensor,
    Workspace,
};
use picardy_tests::{Solved, distance, plan};
use std::cell::Cell;
use std::ops::ControlFlow;

/// Host frames that want chains, and count them.
struct Chained<'a> {
    inner: SliceFrames<'a, f64>,
    chains: &'a Cell<usize>,
    others: &'a Cell<usize>,
}

impl Tensor for Chained<'_> {
    type Scalar = f64;
    fn rows(&self) -> usize {
        self.inner.rows()
    }
    fn dim(&self) -> usize {
        self.inner.dim()
    }
    fn load(&mut self, row: usize, values: &[f64]) {
        self.inner.load(row, values);
    }
    fn store(&mut self, row: usize, values: &mut [f64]) {
        self.inner.store(row, values);
    }
    fn combine(&mut self, dst: usize, terms: &[(f64, usize)]) {
        self.inner.combine(dst, terms);
    }
    fn extrapolate(&mut self, dst: usize, base: usize, weight: f64, a: usize, b: usize) {
        self.inner.extrapolate(dst, base, weight, a, b);
    }
    fn add_noise(&mut self, dst: usize, weight: f64, noise: &Noise<'_>, item: usize, node: usize) {
        self.inner.add_noise(dst, weight, noise, item, node);
    }
    fn dot(&mut self, a: (usize, usize), b: (usize, usize)) -> f64 {
        self.others.set(self.others.get() + 1);
        self.inner.dot(a, b)
    }
    fn is_finite(&mut self, row: usize) -> bool {
        self.inner.is_finite(row)
    }
    fn has_chains(&self) -> bool {
        true
    }
    fn chain(&mut self, from: usize, links: impl Iterator<Item = Link>) {
        self.chains.set(self.chains.get() + 1);
        self.inner.chain(from, links);
    }
}

impl picardy::HostTensor for Chained<'_> {
    fn slices(&mut self, x: std::ops::Range<usize>, out: std::ops::Range<usize>) -> (&[f64], &mut [f64]) {
        self.inner.slices(x, out)
    }
}

#[test]
fn chains_give_what_the_walk_gives() {
    let (chains, others) = (Cell::new(0), Cell::new(0));
    for solver in [Solved::Ddpm, Solved::Ddim(0.0), Solved::Ddim(0.5)] {
        for slope in [Slope::Gaussian, Slope::Secant] {
            for (window, stride, stop) in [
                (usize::MAX, 3, usize::MAX),
                (usize::MAX, 1, usize::MAX),
                (23, 3, usize::MAX),
                (7, 2, usize::MAX),
                // Stopped: the best guess so far.
                (usize::MAX, 3, 2),
                (23, 3, 1),
                (23, 3, 4),
                (7, 2, 5),
            ] {
                let nodes = plan(solver, 100);
                let plan = Plan::new(&nodes, Form::Data).unwrap();
                let mut model = Mixture::new(&[-1.0, 0.5, 1.0, -0.5], &[0.5, 0.5], 0.1, 2)
                    .unwrap()
                    .predicting(Prediction::Epsilon);
                let noise = Noise::seeded(5);
                let mut start = vec![0.0; 12];
                plan.start(&noise, 2, &mut start);
                let picard = Picard { window, stride, slope, ..Picard::default() };
                let need = picard.need(&plan, 6);

                let mut walked = start.clone();
                let mut memory = Memory::new();
                let mut workspace = memory.workspace(need, 2);
                let watch = |round: &picardy::Round| {
                    if round.rounds == stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                };
                let by_walk = picard
                    .run_watched(&plan, &mut model, &noise, &mut walked, &mut workspace, watch)
                    .unwrap();

                let before = chains.get();
                let mut chained = start.clone();
                let Need { rows, spans, marks } = need;
                let mut numbers = vec![0.0; 2 * rows];
                let (mut spans, mut marks) =
                    (vec![Default::default(); spans], vec![Default::default(); marks]);
                let frames =
                    Chained { inner: SliceFrames::new(&mut numbers, 2), chains: &chains, others: &others };
                let mut workspace = Workspace::new(frames, &mut spans).with_marks(&mut marks);
                let by_chain = picard
                    .run_watched(&plan, &mut model, &noise, &mut chained, &mut workspace, watch)
                    .unwrap();

                let at = format!("{solver:?} {slope:?} window {window} stride {stride} stop {stop}");
                assert!(chains.get() > before, "{at}: no chain was run");
                assert_eq!(by_walk, by_chain, "{at}");
                let apart = distance(&walked, &chained);
                assert!(apart < 1e-9, "{at}: {apart}");
            }
        }
    }
    assert!(others.get() > 0);
}
