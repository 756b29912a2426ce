//! Group normalisation.

use picardy::nn::{Kernel, Scalar, dispatch};

/// The backward pass of [`picardy::nn::group_norm`] for one item x [places, channels] with its `stats` [groups, 2]. With
/// `n = (x - mean) r`, r the group's reciprocal deviation, and g = dy * weight:
///
/// ```text
/// dy <- dx = r (g - mean(g) - n mean(g n))          means over the group, in place
/// dweight += sum over places of dy n,   dbias += sum over places of dy
/// ```
///
/// `sums` [3, channels] is room.
pub fn group_norm_backward<T: Scalar>(
    weight: &[T],
    x: &[T],
    stats: &[T],
    dy: &mut [T],
    gradients: (&mut [T], &mut [T]),
    sums: &mut [T],
) {
    if weight.is_empty() || stats.len() < 2 {
        return;
    }
    let (weight_gradient, bias_gradient) = gradients;
    dispatch(Backward { weight, x, stats, dy, weight_gradient, bias_gradient, sums });
}

struct Backward<'a, T> {
    weight: &'a [T],
    x: &'a [T],
    stats: &'a [T],
    dy: &'a mut [T],
    weight_gradient: &'a mut [T],
    bias_gradient: &'a mut [T],
    sums: &'a mut [T],
}

impl<T: Scalar> Kernel for Backward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { weight, x, stats, dy, weight_gradient, bias_gradient, sums } = self;
        let channels = weight.len();
        let per = channels / (stats.len() / 2);
        let count = T::ONE / T::from_f64((x.len() / channels * per) as f64);
        let (slopes, rest) = sums[..3 * channels].split_at_mut(channels);
        let (products, scales) = rest.split_at_mut(channels);
        slopes.fill(T::ZERO);
        products.fill(T::ZERO);
        for (x, dy) in x.chunks_exact(channels).zip(dy.chunks_exact(channels)) {
            let sums = slopes.iter_mut().zip(products.iter_mut());
            for ((&x, &dy), (slope, product)) in x.iter().zip(dy).zip(sums) {
                *slope += dy;
                *product += dy * x;
            }
        }
        // From sums of dy x to sums of dy n, and to each channel's part of dx = a dy + b x + c.
        for (group, stats) in stats.chunks_exact(2).enumerate() {
            let (mean, inverse) = (stats[0], stats[1]);
            let (mut g, mut gn) = (T::ZERO, T::ZERO);
            for c in group * per..(group + 1) * per {
                products[c] = (products[c] - mean * slopes[c]) * inverse;
                weight_gradient[c] += products[c];
                bias_gradient[c] += slopes[c];
                g += weight[c] * slopes[c];
                gn += weight[c] * products[c];
            }
            let factor = inverse * inverse * (gn * count);
            for c in group * per..(group + 1) * per {
                slopes[c] = factor;
                products[c] = inverse * (g * count) - factor * mean;
                scales[c] = inverse * weight[c];
            }
        }
        for (x, dy) in x.chunks_exact(channels).zip(dy.chunks_exact_mut(channels)) {
            let parts = slopes.iter().zip(products.iter()).zip(scales.iter());
            for ((dy, &x), ((&factor, &offset), &scale)) in dy.iter_mut().zip(x).zip(parts) {
                *dy = scale * *dy - factor * x - offset;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::group_norm_backward;
    use crate::op::testing::{check_gradient, values, weighted};

    #[test]
    fn gradients() {
        for (places, channels, groups) in [(3, 6, 2), (1, 8, 4), (5, 4, 1)] {
            let n = places * channels;
            let (w, b, x, up) = (values(channels, 1), values(channels, 2), values(n, 3), values(n, 4));
            let run = |w: &[f64], b: &[f64], x: &[f64]| {
                let (mut y, mut stats) = (vec![0.0; n], vec![0.0; 2 * groups]);
                picardy::nn::group_norm(x, w, b, &mut y, &mut stats).unwrap();
                (weighted(&y, &up), stats)
            };
            let stats = run(&w, &b, &x).1;
            let (mut dw, mut db, mut dx) = (vec![0.0; channels], vec![0.0; channels], up.clone());
            group_norm_backward(&w, &x, &stats, &mut dx, (&mut dw, &mut db), &mut vec![0.0; 3 * channels]);
            check_gradient(&w, &dw, |w| run(w, &b, &x).0);
            check_gradient(&b, &db, |b| run(&w, b, &x).0);
            check_gradient(&x, &dx, |x| run(&w, &b, x).0);
        }
    }
}
