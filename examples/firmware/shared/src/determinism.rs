//! Digests of everything that must be the same bits on every target: noise, schedules, plans.

use crate::Digest;
use core::fmt;
use picardy::{
    AnySolver, Betas, Curve, Final, FlowShift, Grid, Level, Node, Noise, Plan, Prediction, ScheduleError,
    SigmaShape, Sigmas, Solver, Spacing,
};

/// Steps of the grids.
const STEPS: usize = 10;
/// Room for the longest plan of them: two nodes a step, and some.
const NODES: usize = 32;

const BETAS: [Betas; 4] = [
    Betas::linear(1000, 1e-4, 2e-2),
    Betas::scaled_linear(1000, 0.00085, 0.012),
    Betas::cosine(1000),
    Betas::sigmoid(1000, 1e-4, 2e-2),
];

const SHAPES: [SigmaShape; 3] =
    [SigmaShape::Karras { rho: 7.0 }, SigmaShape::Exponential, SigmaShape::Beta { alpha: 0.6, beta: 0.6 }];

const SPACINGS: [Spacing; 7] = [
    Spacing::Trailing,
    Spacing::Leading { offset: 1 },
    Spacing::Linspace,
    Spacing::LinspaceFractional,
    Spacing::LeadingOpen { offset: 1 },
    Spacing::LinspaceOpen,
    Spacing::Distilled { original: 50 },
];

/// Writes a line for each digest: `hash NAME COUNT DIGEST`, where COUNT is how much went into it.
///
/// # Errors
/// The writer's.
pub fn write_digests(out: &mut impl fmt::Write) -> fmt::Result {
    noise(out)?;
    schedules(out)?;
    plans(out)
}

fn noise(out: &mut impl fmt::Write) -> fmt::Result {
    let (mut normals, mut uniforms, mut count) = (Digest::new(), Digest::new(), 0);
    for seed in [0, 7, u64::MAX] {
        for item in [0, 1, 1 << 20] {
            for node in 0..20 {
                let noise = Noise::seeded(seed).from_item(1 << 40);
                for block in 0..8 {
                    normals.numbers(noise.block(item, node, block));
                    count += 4;
                }
                uniforms.numbers(noise.uniform(item, node));
            }
        }
    }
    writeln!(out, "hash noise/normal {count} {:016x}", normals.value())?;
    writeln!(out, "hash noise/uniform {} {:016x}", count / 32, uniforms.value())
}

/// A digest of grids, and how many there were.
struct Grids {
    digest: Digest,
    count: usize,
    levels: [Level; STEPS + 1],
}

impl Grids {
    fn new() -> Self {
        Self { digest: Digest::new(), count: 0, levels: [Level::EMPTY; STEPS + 1] }
    }

    /// Takes in the grid that `make` makes; one that is an error counts for nothing.
    fn take(&mut self, make: impl FnOnce(&mut [Level]) -> Result<Grid<'_>, ScheduleError>) {
        if let Ok(grid) = make(&mut self.levels) {
            self.digest.numbers(grid.levels().iter().flat_map(numbers));
            self.count += 1;
        }
    }

    fn write(&self, kind: &str, name: &str, out: &mut impl fmt::Write) -> fmt::Result {
        writeln!(out, "hash {kind}/{name} {} {:016x}", self.count, self.digest.value())
    }
}

fn schedules(out: &mut impl fmt::Write) -> fmt::Result {
    for betas in BETAS {
        let (mut digest, mut count) = (Digest::new(), 0);
        for bar in betas.alpha_bars().chain(betas.zero_snr().alpha_bars()) {
            digest.number(bar);
            count += 1;
        }
        writeln!(out, "hash betas/{} {count} {:016x}", betas.name(), digest.value())?;

        let mut spaced = Grids::new();
        for spacing in SPACINGS {
            for last in [Final::Data, Final::FirstTimestep] {
                spaced.take(|levels| betas.grid(STEPS, spacing, last, levels));
            }
        }
        spaced.write("spacings", betas.name(), out)?;

        let mut curved = Grids::new();
        for shape in SHAPES {
            let curve = Curve { shape, ..Curve::karras() };
            curved.take(|levels| betas.respaced(STEPS, &curve, Final::Data, levels));
        }
        curved.write("curves", betas.name(), out)?;
    }
    let mut sigmas = Grids::new();
    for shape in SHAPES {
        sigmas.take(|levels| Sigmas { sigma_min: 0.002, sigma_max: 80.0, shape }.grid(STEPS, 0.0, levels));
    }
    sigmas.write("schedules", "sigmas", out)?;
    let (mut flow, shift) = (Grids::new(), FlowShift { train_steps: 1000, shift: 3.0 });
    flow.take(|levels| shift.grid(STEPS, levels));
    flow.take(|levels| shift.open_grid(STEPS, 1.0, 0.001, levels));
    flow.write("schedules", "flow", out)
}

fn plans(out: &mut impl fmt::Write) -> fmt::Result {
    let mut levels = [[Level::EMPTY; STEPS + 1]; 4];
    let [linear, cosine, karras, flow] = &mut levels;
    let grids = [
        BETAS[0].trailing(STEPS, linear),
        BETAS[2].trailing(STEPS, cosine),
        BETAS[1].respaced(STEPS, &Curve::karras(), Final::Data, karras),
        FlowShift { train_steps: 1000, shift: 3.0 }.open_grid(STEPS, 1.0, 0.001, flow),
    ];
    for (name, solver) in AnySolver::list() {
        let (mut digest, mut count, mut nodes) = (Digest::new(), 0, [Node::EMPTY; NODES]);
        for grid in grids.iter().flatten() {
            for prediction in Prediction::ALL {
                // A solver that has no plan there (flow's levels are in no table of betas) is left out on every target.
                if let Ok(plan) = solver.plan(grid, prediction, &mut nodes) {
                    take_plan(&mut digest, &plan);
                    count += 1;
                }
            }
        }
        writeln!(out, "hash plans/{name} {count} {:016x}", digest.value())?;
    }
    Ok(())
}

fn take_plan(digest: &mut Digest, plan: &Plan<'_>) {
    let reach = plan.reach();
    digest.numbers([reach.states as f64, reach.outputs as f64, f64::from(u8::from(reach.scaled))]);
    for node in plan.nodes() {
        digest.numbers(numbers(&node.level));
        digest.numbers(node.evaluate.into_iter().flat_map(|read| [read.input, read.state, read.output]));
        let terms = node.state_terms().chain(node.output_terms());
        digest.numbers(terms.flat_map(|term| [f64::from(term.back), term.weight]));
        digest.number(node.noise);
    }
}

fn numbers(level: &Level) -> [f64; 3] {
    [level.alpha, level.sigma, level.t]
}
