//! Finite differences.

use crate::rng::Rng;

/// `n` normal numbers of stream `stream`.
pub(crate) fn values(n: usize, stream: u64) -> Vec<f64> {
    let mut rng = Rng::new(41, stream);
    (0..n).map(|_| rng.normal()).collect()
}

/// `sum_i y_i up_i`: a loss whose slope with respect to y is `up`.
pub(crate) fn weighted(y: &[f64], up: &[f64]) -> f64 {
    y.iter().zip(up).map(|(y, g)| y * g).sum()
}

/// Checks `gradient` at `x` against central differences of `f`, every coordinate.
pub(crate) fn check_gradient(x: &[f64], gradient: &[f64], mut f: impl FnMut(&[f64]) -> f64) {
    let mut x = x.to_vec();
    for i in 0..x.len() {
        let at = x[i];
        let step = 1e-5;
        x[i] = at + step;
        let above = f(&x);
        x[i] = at - step;
        let below = f(&x);
        x[i] = at;
        let want = (above - below) / (2.0 * step);
        let error = (gradient[i] - want).abs();
        assert!(
            error <= 1e-7 * (1.0 + want.abs()),
            "coordinate {i}: {} where {want} was expected",
            gradient[i]
        );
    }
}
