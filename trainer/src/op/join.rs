//! Values beside each other, and places several times.

use picardy::nn::{Scalar, Shape};

use super::wide;

/// Rows of `first` numbers of a and behind each as many of b as `second` says: channels, or places in turns.
pub fn join<T: Scalar>(a: &[T], b: &[T], first: usize, second: usize, out: &mut [T]) {
    let parts = a.chunks_exact(first).zip(b.chunks_exact(second));
    for ((a, b), out) in parts.zip(out.chunks_exact_mut(first + second)) {
        out[..first].copy_from_slice(a);
        out[first..].copy_from_slice(b);
    }
}

/// [`join`]'s backward pass: each side's numbers, where they are wanted.
pub fn split<T: Scalar>(dy: &[T], first: usize, second: usize, a: Option<&mut [T]>, b: Option<&mut [T]>) {
    let rows = || dy.chunks_exact(first + second);
    if let Some(a) = a {
        a.chunks_exact_mut(first).zip(rows()).for_each(|(a, dy)| a.copy_from_slice(&dy[..first]));
    }
    if let Some(b) = b {
        b.chunks_exact_mut(second).zip(rows()).for_each(|(b, dy)| b.copy_from_slice(&dy[first..]));
    }
}

/// Each place of items of shape `from` four times.
pub fn upsample<T: Scalar>(x: &[T], from: Shape, out: &mut [T]) {
    let Shape { width, channels, .. } = from;
    let row = width * channels;
    for (x, out) in x.chunks_exact(row).zip(out.chunks_exact_mut(4 * row)) {
        let (upper, lower) = out.split_at_mut(2 * row);
        for (x, out) in x.chunks_exact(channels).zip(upper.chunks_exact_mut(2 * channels)) {
            let (left, right) = out.split_at_mut(channels);
            left.copy_from_slice(x);
            right.copy_from_slice(x);
        }
        lower.copy_from_slice(upper);
    }
}

/// [`upsample`]'s backward pass: the four places' sum.
pub fn downsample<T: Scalar>(dy: &[T], from: Shape, dx: &mut [T]) {
    let Shape { width, channels, .. } = from;
    let row = width * channels;
    wide(|| {
        for (dx, dy) in dx.chunks_exact_mut(row).zip(dy.chunks_exact(4 * row)) {
            let (upper, lower) = dy.split_at(2 * row);
            let places = upper.chunks_exact(2 * channels).zip(lower.chunks_exact(2 * channels));
            for (dx, (upper, lower)) in dx.chunks_exact_mut(channels).zip(places) {
                for (c, dx) in dx.iter_mut().enumerate() {
                    *dx = (upper[c] + upper[channels + c]) + (lower[c] + lower[channels + c]);
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::testing::{check_gradient, values, weighted};

    #[test]
    fn gradients() {
        let (a, b, up) = (values(6, 1), values(9, 2), values(15, 3));
        let run = |a: &[f64], b: &[f64]| {
            let mut y = vec![0.0; 15];
            join(a, b, 2, 3, &mut y);
            weighted(&y, &up)
        };
        let (mut da, mut db) = (vec![0.0; 6], vec![0.0; 9]);
        split(&up, 2, 3, Some(&mut da), Some(&mut db));
        check_gradient(&a, &da, |a| run(a, &b));
        check_gradient(&b, &db, |b| run(&a, b));

        let from = Shape { height: 2, width: 3, channels: 2 };
        let (x, up) = (values(24, 1), values(96, 2));
        let mut dx = vec![0.0; 24];
        downsample(&up, from, &mut dx);
        check_gradient(&x, &dx, |x| {
            let mut y = vec![0.0; 96];
            upsample(x, from, &mut y);
            weighted(&y, &up)
        });
    }
}
