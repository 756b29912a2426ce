//! The quantile of the beta distribution.

use crate::math;

/// The `x` in [0, 1] with `I_x(a, b) = p`, `I` the regularised incomplete beta function: by bisection, which needs
/// no derivative (infinite at the ends for `a, b < 1`) and ends after as many turns as an `f64` has bits.
pub(super) fn beta_quantile(p: f64, a: f64, b: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if incomplete(middle, a, b) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// `I_x(a, b) = x^a (1-x)^b / (a B(a, b)) / K`, `K` the continued fraction `1 + d_1/(1 + d_2/(1 + ...))` (DLMF 8.17.22),
/// which is fast for `x < (a+1)/(a+b+2)`; beyond, `1 - I_(1-x)(b, a)`.
fn incomplete(x: f64, a: f64, b: f64) -> f64 {
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - front(1.0 - x, b, a);
    }
    front(x, a, b)
}

fn front(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    // From the far end back to the front: 60 terms are more than f64 can tell apart for x in this half.
    let mut tail = 1.0;
    for n in (1..=60).rev() {
        let m = (n / 2) as f64;
        let d = if n % 2 == 0 {
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        } else {
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        };
        tail = 1.0 + d / tail;
    }
    let ln_beta = math::lgamma(a) + math::lgamma(b) - math::lgamma(a + b);
    math::exp(a * math::ln(x) + b * math::ln(1.0 - x) - ln_beta) / (a * tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_the_known_ones() {
        // The arcsine law: Q(p) = sin^2(pi p/2).
        for p in [0.01, 0.2, 0.5, 0.77, 0.999] {
            let known = libm::sin(p * core::f64::consts::FRAC_PI_2);
            assert!((beta_quantile(p, 0.5, 0.5) - known * known).abs() < 1e-12, "{p}");
        }
        // Beta(2, 1): x^2; Beta(1, 3): 1 - (1-x)^3.
        assert!((beta_quantile(0.3, 2.0, 1.0) - math::sqrt(0.3)).abs() < 1e-12);
        assert!((beta_quantile(0.3, 1.0, 3.0) - (1.0 - math::pow(0.7, 1.0 / 3.0))).abs() < 1e-12);
    }
}
