//! Layer normalisation.

use picardy::nn::{Kernel, LANES, Scalar, dispatch};

/// The backward pass of [`picardy::nn::layer_norm`] over rows of `weight`'s width, with their `stats` [n, 2]. With
/// `n = (x - mean) r`, r the reciprocal deviation, and g = dy * weight:
///
/// ```text
/// dy <- dx = r (g - mean(g) - n mean(g n))          means over the row, in place
/// dweight += sum over rows of dy n,   dbias += sum over rows of dy
/// ```
pub fn layer_norm_backward<T: Scalar>(
    weight: &[T],
    x: &[T],
    stats: &[T],
    dy: &mut [T],
    gradients: (&mut [T], &mut [T]),
) {
    let (weight_gradient, bias_gradient) = gradients;
    dispatch(Backward { weight, x, stats, dy, weight_gradient, bias_gradient });
}

struct Backward<'a, T> {
    weight: &'a [T],
    x: &'a [T],
    stats: &'a [T],
    dy: &'a mut [T],
    weight_gradient: &'a mut [T],
    bias_gradient: &'a mut [T],
}

impl<T: Scalar> Kernel for Backward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { weight, x, stats, dy, weight_gradient, bias_gradient } = self;
        let width = weight.len();
        let reciprocal = T::ONE / T::from_f64(width as f64);
        let rows = x.chunks_exact(width).zip(dy.chunks_exact_mut(width));
        for ((x, dy), stats) in rows.zip(stats.chunks_exact(2)) {
            let (mean, inverse) = (stats[0], stats[1]);
            let gradients = weight_gradient.iter_mut().zip(bias_gradient.iter_mut());
            for ((&x, &dy), (dw, db)) in x.iter().zip(dy.iter()).zip(gradients) {
                *dw += dy * ((x - mean) * inverse);
                *db += dy;
            }
            let (g, gn) = means(x, dy, weight, mean, inverse);
            let (g, gn) = (g * reciprocal, gn * reciprocal);
            for ((dy, &x), &weight) in dy.iter_mut().zip(x).zip(weight) {
                let n = (x - mean) * inverse;
                *dy = inverse * (*dy * weight - g - n * gn);
            }
        }
    }
}

/// `sum g` and `sum g n` over a row, in lanes.
#[inline(always)]
fn means<T: Scalar>(x: &[T], dy: &[T], weight: &[T], mean: T, inverse: T) -> (T, T) {
    let (mut sums, mut products) = ([T::ZERO; LANES], [T::ZERO; LANES]);
    let whole = x.len() - x.len() % LANES;
    let chunks = x.chunks_exact(LANES).zip(dy.chunks_exact(LANES)).zip(weight.chunks_exact(LANES));
    for ((x, dy), weight) in chunks {
        for lane in 0..LANES {
            let g = dy[lane] * weight[lane];
            sums[lane] += g;
            products[lane] += g * ((x[lane] - mean) * inverse);
        }
    }
    let (mut sum, mut product) = (T::ZERO, T::ZERO);
    for lane in 0..LANES {
        sum += sums[lane];
        product += products[lane];
    }
    for at in whole..x.len() {
        let g = dy[at] * weight[at];
        sum += g;
        product += g * ((x[at] - mean) * inverse);
    }
    (sum, product)
}

#[cfg(test)]
mod tests {
    use super::layer_norm_backward;
    use crate::op::testing::{check_gradient, values, weighted};

    #[test]
    fn gradients() {
        let width = 11;
        let (w, b, x, up) = (values(width, 1), values(width, 2), values(2 * width, 3), values(2 * width, 4));
        let run = |w: &[f64], b: &[f64], x: &[f64]| {
            let (mut y, mut stats) = (vec![0.0; 2 * width], vec![0.0; 4]);
            picardy::nn::layer_norm_with_stats(x, w, b, &mut y, &mut stats).unwrap();
            (weighted(&y, &up), stats)
        };
        let stats = run(&w, &b, &x).1;
        let (mut dw, mut db, mut dx) = (vec![0.0; width], vec![0.0; width], up.clone());
        layer_norm_backward(&w, &x, &stats, &mut dx, (&mut dw, &mut db));
        check_gradient(&w, &dw, |w| run(w, &b, &x).0);
        check_gradient(&b, &db, |b| run(&w, b, &x).0);
        check_gradient(&x, &dx, |x| run(&w, &b, x).0);
    }
}
