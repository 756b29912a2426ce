//! Which sampler, from what was measured.

use super::{AnySampler, Picard, Sampler, Sequential, Slope};
use crate::{Plan, math};

/// Chooses a sampler by the time it would take, in calls of the network.
///
/// A call of up to `rows` rows costs one; a larger one costs as many as it fills. A sequential run of `N` evaluations takes
/// `N ceil(batch / rows)` of them, Picard's about the greater of its rounds and `batch evaluations / rows`. Both are from the
/// tables of [measured runs](#measured), between whose lines is interpolated: of `N`, of the tolerance and of the window. The
/// window that costs least and fits in the memory is taken, and in sequence it goes where nothing costs less.
///
/// ```
/// use picardy::{AnySampler, Auto, Betas, Ddpm, Level, Node, Prediction, Solver};
/// let (mut levels, mut nodes) = ([Level::default(); 101], [Node::default(); 101]);
/// let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(100, &mut levels)?;
/// let plan = Ddpm::default().plan(&grid, Prediction::Epsilon, &mut nodes)?;
/// let auto = Auto { rows: 256, ..Auto::default() };
/// assert!(matches!(auto.choose(&plan, 4, 64), AnySampler::Picard(_)));
/// // A device that a batch fills samples fastest in sequence.
/// assert!(matches!(auto.choose(&plan, 256, 64), AnySampler::Sequential(_)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Measured
///
/// Rounds and evaluations per item of what is chosen for a wide device (tolerance 0.01, batch 16, seed 0): [`Picard`] with slopes
/// of two directions, with all nodes on the trained dino network (2 coordinates), with strides on the trained 8x8 digits
/// network (64):
///
/// | N | DDIM, 2 | DDPM, 2 | DDIM, 64 | DDPM, 64 |
/// |---|---|---|---|---|
/// | 20 | 5 / 55 | 5 / 59 | 9 / 76 | 11 / 81 |
/// | 50 | 5 / 140 | 6 / 148 | 11 / 207 | 14 / 234 |
/// | 100 | 6 / 288 | 7 / 301 | 10 / 421 | 14 / 495 |
/// | 1000 | 6 / 2942 | 9 / 2985 | 11 / 4214 | 16 / 5028 |
///
/// by `tests/peers/parallel_models.sh`, then `cargo run --release -p picardy-tests --bin parallel_bench --
/// target/parallel-models/dino.onnx --method auto --solver ddim --steps 20` and so on. At tolerance 0, which is exact, `exact-digits.onnx --steps 100
/// --tolerance 0` took 33 rounds and 1288 evaluations: it is taken as a third of N and 13 a node.
///
/// Each decade of tolerance (`--method picard --slope multisecant2 --tolerance 0.1`, 0.01, 0.001, 0.0001; both models and
/// solvers, 100 and 1000 steps) multiplied the evaluations by 0.82, 1, 1.18, 1.37 and the rounds by 0.89, 1, 1.09, 1.21 in the mean.
///
/// Windows of a part of N (DDPM, both models, 100 and 1000 steps, `--window W`), in the mean, times the whole run's:
///
/// | window / N | 1 | 0.5 | 0.25 | 0.1 | 0.05 | 0.025 | 0.01 |
/// |---|---|---|---|---|---|---|---|
/// | rounds | 1 | 1.36 | 1.64 | 2.9 | 5.2 | 8.7 | 21 |
/// | evaluations | 1 | 0.95 | 0.78 | 0.65 | 0.58 | 0.57 | 0.54 |
///
/// So a narrow window is what a narrow device wants, and what little memory wants too: [`Parareal`](crate::Parareal) is not chosen, as with
/// as many rows (356 an item at N = 1000) Picard takes fewer rounds and evaluations (85 to 130 and 2,000 to 2,400 with 25 nodes open,
/// beside 124 to 155 and 2,000 to 2,100). [`Speculative`](crate::Speculative) is not chosen either: its samples have the right law, but
/// are not the sequential run's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Auto {
    /// The rows that the device evaluates in the time of one: 1 for a core that one row fills, hundreds on a GPU.
    pub rows: usize,
    /// The most numbers that the workspace may hold: narrows the window.
    pub memory: usize,
    /// How far the sample may be from the sequential one, in standard deviations of the data.
    pub tolerance: f64,
    /// The variance of the data per coordinate.
    pub data_variance: f64,
    /// States stay on a device, whose [chains](crate::Tensor::has_chains) a slope of several directions would break: the secant is
    /// taken, which costs a round or two more.
    pub on_device: bool,
}

impl Default for Auto {
    fn default() -> Self {
        let Picard { tolerance, data_variance, .. } = Picard::default();
        Self { rows: 1, memory: usize::MAX, tolerance, data_variance, on_device: false }
    }
}

/// N, then (rounds, evaluations) of DDIM and DDPM in 2 coordinates, of DDIM and DDPM in 64: see [`Auto`].
const MEASURED: [(f64, [(f64, f64); 4]); 4] = [
    (20.0, [(5.0, 55.0), (5.0, 59.0), (9.0, 76.0), (11.0, 81.0)]),
    (50.0, [(5.0, 140.0), (6.0, 148.0), (11.0, 207.0), (14.0, 234.0)]),
    (100.0, [(6.0, 288.0), (7.0, 301.0), (10.0, 421.0), (14.0, 495.0)]),
    (1000.0, [(6.0, 2942.0), (9.0, 2985.0), (11.0, 4214.0), (16.0, 5028.0)]),
];

/// Part of N that is open, then the factors of rounds and evaluations: see [`Auto`].
const WINDOWS: [(f64, f64, f64); 7] = [
    (1.0, 1.0, 1.0),
    (0.5, 1.36, 0.95),
    (0.25, 1.64, 0.78),
    (0.1, 2.9, 0.65),
    (0.05, 5.2, 0.58),
    (0.025, 8.7, 0.57),
    (0.01, 21.0, 0.54),
];

/// What a decade of tolerance adds to the rounds and the evaluations, as a part of those at [`TOLERANCE`].
const DECADE: (f64, f64) = (0.1, 0.18);
const TOLERANCE: f64 = 0.01;

/// Up to so many coordinates a state is like the dino's, above like the digits'.
const FEW: usize = 8;

impl Auto {
    /// The sampler for `batch` items of `dim` coordinates.
    pub fn choose(&self, plan: &Plan<'_>, batch: usize, dim: usize) -> AnySampler {
        let (rows, batch) = (self.rows.max(1), batch.max(1));
        let few = dim <= FEW;
        let picard = |window: usize| Picard {
            // A second direction saves a round or two; in few coordinates what a stride saves is taken by the rounds it costs.
            slope: if dim > 1 && !self.on_device { Slope::Multisecant(2) } else { Slope::Secant },
            stride: if few { 1 } else { Picard::default().stride },
            rows: rows.max(batch),
            tolerance: self.tolerance,
            data_variance: self.data_variance,
            window,
            ..Picard::default()
        };
        // A tolerance that is none is for the run to refuse: there is nothing to weigh.
        if self.tolerance.is_nan() || self.tolerance < 0.0 {
            return AnySampler::Picard(picard(plan.last()));
        }
        let (rounds, evaluations) = self.expected(plan, dim);
        let mut best = (plan.evaluations() as f64 * batch.div_ceil(rows) as f64, None);
        for (part, of_rounds, of_evaluations) in WINDOWS {
            let picard = picard(((plan.last() as f64 * part) as usize).max(1));
            let cost = (rounds * of_rounds).max(batch as f64 * evaluations * of_evaluations / rows as f64);
            let fits = picard.need(plan, batch).numbers(dim) <= self.memory;
            // A window of one node is a sequential run.
            if fits && picard.window > 1 && cost < best.0 {
                best = (cost, Some(picard));
            }
        }
        best.1.map_or(AnySampler::Sequential(Sequential), AnySampler::Picard)
    }

    /// The rounds, and the evaluations per item, that Picard is expected to take with all nodes open.
    fn expected(&self, plan: &Plan<'_>, dim: usize) -> (f64, f64) {
        let steps = plan.evaluations() as f64;
        if self.tolerance == 0.0 {
            return (steps / 3.0, 13.0 * steps);
        }
        let stochastic = plan.nodes().iter().skip(1).any(|node| node.noise != 0.0);
        let column = usize::from(stochastic) + if dim <= FEW { 0 } else { 2 };
        let at = |line: &(f64, [(f64, f64); 4])| (line.0, line.1.get(column).copied().unwrap_or_default());
        let upper = MEASURED.iter().position(|line| line.0 >= steps).unwrap_or(MEASURED.len() - 1).max(1);
        let (Some(low), Some(high)) = (MEASURED.get(upper - 1).map(at), MEASURED.get(upper).map(at)) else {
            return (steps, steps);
        };
        let w = (steps - low.0) / (high.0 - low.0);
        let line = |low: f64, high: f64| (low + w * (high - low)).max(1.0);
        // No further than it was measured, or little: tolerances of 0.1 to 1e-6.
        let decades = (math::ln(TOLERANCE / self.tolerance) / core::f64::consts::LN_10).clamp(-1.0, 4.0);
        let rounds = line(low.1.0, high.1.0) * (1.0 + DECADE.0 * decades);
        (rounds.min(steps), line(low.1.1, high.1.1) * (1.0 + DECADE.1 * decades))
    }
}
