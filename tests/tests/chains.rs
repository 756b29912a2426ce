//! A tensor that runs chains in one product gets the samples of one that goes node by node.

use picardy::{
    AnySolver, Betas, DdimStride, Level, Link, Memory, Mixture, Need, Node, Noise, Picard, Pndm, Prediction,
    Sampler, SliceFrames, Slope, Solver, Tcd, Tensor, Workspace,
};
use picardy_tests::distance;
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
    fn chain(&mut self, links: impl Iterator<Item = Link>) {
        self.chains.set(self.chains.get() + 1);
        self.inner.chain(links);
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
    let mut walkers = Vec::new();
    for (name, solver) in AnySolver::list() {
        let mut levels = [Level::default(); 101];
        let betas = Betas::linear(1000, 1e-4, 2e-2);
        let grid = betas.trailing(100, &mut levels).unwrap();
        // Solvers that look levels up do so in the grid's table.
        let solver = match solver {
            AnySolver::Tcd(tcd) => Tcd { betas, ..tcd }.into(),
            AnySolver::DdimStride(ddim) => DdimStride { betas, ..ddim }.into(),
            AnySolver::Pndm(pndm) => Pndm { betas, ..pndm }.into(),
            other => other,
        };
        let mut nodes = vec![Node::default(); solver.nodes(grid.steps())];
        let plan = solver.plan(&grid, Prediction::Epsilon, &mut nodes).unwrap();
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
                // What is read before it is written must not go unseen.
                let mut numbers = vec![f64::NAN; 2 * rows];
                let (mut spans, mut marks) =
                    (vec![Default::default(); spans], vec![Default::default(); marks]);
                let frames =
                    Chained { inner: SliceFrames::new(&mut numbers, 2), chains: &chains, others: &others };
                let mut workspace = Workspace::new(frames, &mut spans).with_marks(&mut marks);
                let by_chain = picard
                    .run_watched(&plan, &mut model, &noise, &mut chained, &mut workspace, watch)
                    .unwrap();

                let at = format!("{name} {slope:?} window {window} stride {stride} stop {stop}");
                if chains.get() == before {
                    walkers.push(name);
                }
                let near = (by_walk.residual - by_chain.residual).abs() <= 1e-6 * by_walk.residual;
                let same = (by_walk.rounds, by_walk.evaluations, by_walk.finished)
                    == (by_chain.rounds, by_chain.evaluations, by_chain.finished);
                assert!(same && near, "{at}: {by_walk:?} {by_chain:?}");
                let apart = distance(&walked, &chained);
                assert!(apart < 1e-9, "{at}: {apart}");
            }
        }
    }
    assert!(others.get() > 0);
    walkers.dedup();
    assert_eq!(walkers, Vec::<&str>::new(), "these went node by node");
}
