//! Equations that samples must fulfil, for the physics-informed loss ([`crate::loss::Informed`]).
//!
//! | what | where |
//! |---|---|
//! | the trait to implement for one's own | [`Residual`] |
//! | points on the unit sphere, and draws of them | [`Circle`] |
//! | pressure and permeability of flow through a porous medium, and a generator of such fields | [`Darcy`], [`DarcyData`] |

mod circle;
mod darcy;
mod darcy_data;

pub use circle::Circle;
pub use darcy::{Darcy, DarcyError};
pub use darcy_data::{DarcyData, Medium};

use picardy::Real;

/// What a sample must fulfil, in the data's own units: `r(x) = 0`, `g(x) <= 0`, and `J(x)` small.
///
/// Implement the equality residual and its vector-Jacobian product; the rest is optional. The methods see one item at a time,
/// `[dim]`, possibly far from all data: early in training x is anything finite. Values that are NaN or infinite stop the
/// training with an error that names them; so do not guard against them here.
///
/// ```
/// use picardy_trainer::physics::{Residual, check_pull_back};
/// /// Points on the parabola `y = x^2`.
/// #[derive(Debug)]
/// struct Parabola;
/// impl Residual<f64> for Parabola {
///     fn len(&self, dim: usize) -> Option<usize> {
///         (dim == 2).then_some(1)
///     }
///     fn residual(&self, x: &[f64], r: &mut [f64]) {
///         r[0] = x[1] - x[0] * x[0];
///     }
///     fn pull_back(&self, x: &[f64], dr: &[f64], dx: &mut [f64]) {
///         dx[0] -= 2.0 * x[0] * dr[0];
///         dx[1] += dr[0];
///     }
/// }
/// assert!(check_pull_back(&Parabola, &[0.3, -1.2]) < 1e-6);
/// ```
pub trait Residual<T>: std::fmt::Debug + Send + Sync {
    /// How many residuals an item of `dim` coordinates has; `None` where it is for items of other sizes.
    fn len(&self, dim: usize) -> Option<usize>;

    /// Whether entry `index` of an item is given when samples are made (an inpainted start, a place that was measured). r, g and J
    /// then see the data's own entry in place of the network's estimate, and no slope goes to it: the network is asked to make
    /// the rest fit what it will be given.
    fn is_given(&self, _index: usize) -> bool {
        false
    }

    /// Writes r(x), `[len]`.
    fn residual(&self, x: &[T], r: &mut [T]);

    /// Adds `(dr/dx)^T dr` to dx, `[dim]`.
    fn pull_back(&self, x: &[T], dr: &[T], dx: &mut [T]);

    /// How many inequalities there are.
    fn inequalities(&self) -> usize {
        0
    }

    /// Writes g(x), `[inequalities]`: what is above 0 is punished.
    fn inequality(&self, _x: &[T], _g: &mut [T]) {}

    /// Adds `(dg/dx)^T dg` to dx.
    fn pull_back_inequality(&self, _x: &[T], _dg: &[T], _dx: &mut [T]) {}

    /// J(x); `None` where there is none.
    fn objective(&self, _x: &[T]) -> Option<T> {
        None
    }

    /// Adds `scale dJ/dx` to dx.
    fn pull_back_objective(&self, _x: &[T], _scale: T, _dx: &mut [T]) {}
}

/// The largest error of a residual's [`pull_back`](Residual::pull_back) at x, relative to 1 and the exact slope, against central
/// differences of [`residual`](Residual::residual); of the inequalities and the objective too. For tests of one's own
/// residuals: at most about 1e-6 where they are right. NaN or infinity where there is no number, or no residual for x's size.
pub fn check_pull_back(residual: &dyn Residual<f64>, x: &[f64]) -> f64 {
    let (Some(equalities), inequalities) = (residual.len(x.len()), residual.inequalities()) else {
        return f64::INFINITY;
    };
    // A fixed weight for each entry, so that one comparison sees all.
    let weights = |n: usize| (0..n).map(|i| (1.0 + i as f64).sin()).collect::<Vec<f64>>();
    let (dr, dg) = (weights(equalities), weights(inequalities));
    let value = |x: &[f64]| {
        let (mut r, mut g) = (vec![0.0; equalities], vec![0.0; inequalities]);
        residual.residual(x, &mut r);
        residual.inequality(x, &mut g);
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        dot(&r, &dr) + dot(&g, &dg) + 0.5 * residual.objective(x).unwrap_or(0.0)
    };
    let mut dx = vec![0.0; x.len()];
    residual.pull_back(x, &dr, &mut dx);
    residual.pull_back_inequality(x, &dg, &mut dx);
    residual.pull_back_objective(x, 0.5, &mut dx);
    let mut moved = x.to_vec();
    let mut worst = 0.0f64;
    for (i, got) in dx.iter().enumerate() {
        let step = 1e-5 * (1.0 + x[i].abs());
        moved[i] = x[i] + step;
        let above = value(&moved);
        moved[i] = x[i] - step;
        let want = (above - value(&moved)) / (2.0 * step);
        moved[i] = x[i];
        let error = (got - want).abs() / (1.0 + want.abs());
        worst = if error.is_nan() { return f64::NAN } else { worst.max(error) };
    }
    worst
}

/// The mean of `|r|` over samples [n, dim] in the data's own units and over their residuals: the physics-informed paper's
/// measure of samples. NaN without samples, or for a residual of another size.
///
/// ```
/// use picardy_trainer::physics::{Circle, mean_residual};
/// assert_eq!(mean_residual(&Circle, &[1.0, 0.0, 0.0, 2.0], 2), 1.5);
/// ```
pub fn mean_residual<T: Real>(residual: &dyn Residual<T>, samples: &[T], dim: usize) -> f64 {
    let Some(len) = residual.len(dim).filter(|_| dim > 0) else { return f64::NAN };
    let mut r = vec![T::ZERO; len];
    let (mut sum, mut count) = (0.0, 0usize);
    for x in samples.chunks_exact(dim) {
        residual.residual(x, &mut r);
        sum += r.iter().map(|r| r.to_f64().abs()).sum::<f64>();
        count += len;
    }
    sum / count as f64
}
