//! A scale and a shift for each channel (FiLM, arXiv 1709.07871).

use picardy::nn::{Kernel, Scalar, dispatch};

/// `out[p, c] = b[c] x[p, c] + b[channels + c]` for each item of `places`.
pub fn film<T: Scalar>(x: &[T], b: &[T], channels: usize, places: usize, out: &mut [T]) {
    dispatch(Film { x, b, channels, places, out });
}

struct Film<'a, T> {
    x: &'a [T],
    b: &'a [T],
    channels: usize,
    places: usize,
    out: &'a mut [T],
}

impl<T: Scalar> Kernel for Film<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { x, b, channels, places, out } = self;
        let size = channels * places;
        let items = x.chunks_exact(size).zip(b.chunks_exact(2 * channels)).zip(out.chunks_exact_mut(size));
        for ((x, b), out) in items {
            let (scale, shift) = b.split_at(channels);
            for (x, out) in x.chunks_exact(channels).zip(out.chunks_exact_mut(channels)) {
                for (((out, &x), &scale), &shift) in out.iter_mut().zip(x).zip(scale).zip(shift) {
                    *out = scale * x + shift;
                }
            }
        }
    }
}

/// `db[c] = sum over places of dy x`, `db[channels + c] = sum over places of dy`, and `dy <- dx = scale dy` in place.
pub fn film_backward<T: Scalar>(
    x: &[T],
    b: &[T],
    channels: usize,
    places: usize,
    dy: &mut [T],
    db: &mut [T],
) {
    dispatch(Backward { x, b, channels, places, dy, db });
}

struct Backward<'a, T> {
    x: &'a [T],
    b: &'a [T],
    channels: usize,
    places: usize,
    dy: &'a mut [T],
    db: &'a mut [T],
}

impl<T: Scalar> Kernel for Backward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { x, b, channels, places, dy, db } = self;
        let size = channels * places;
        db.fill(T::ZERO);
        let items = x.chunks_exact(size).zip(b.chunks_exact(2 * channels));
        let slopes = dy.chunks_exact_mut(size).zip(db.chunks_exact_mut(2 * channels));
        for ((x, b), (dy, db)) in items.zip(slopes) {
            let (dscale, dshift) = db.split_at_mut(channels);
            let scale = &b[..channels];
            for (x, dy) in x.chunks_exact(channels).zip(dy.chunks_exact_mut(channels)) {
                let sums = dscale.iter_mut().zip(dshift.iter_mut());
                for (((dy, &x), &scale), (dscale, dshift)) in dy.iter_mut().zip(x).zip(scale).zip(sums) {
                    *dscale += *dy * x;
                    *dshift += *dy;
                    *dy *= scale;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{film, film_backward};
    use crate::op::testing::{check_gradient, values, weighted};

    #[test]
    fn gradients() {
        let (x, b, up) = (values(24, 1), values(12, 2), values(24, 3));
        let run = |x: &[f64], b: &[f64]| {
            let mut y = vec![0.0; 24];
            film(x, b, 3, 4, &mut y);
            weighted(&y, &up)
        };
        let (mut dx, mut db) = (up.clone(), vec![9.0; 12]);
        film_backward(&x, &b, 3, 4, &mut dx, &mut db);
        check_gradient(&x, &dx, |x| run(x, &b));
        check_gradient(&b, &db, |b| run(&x, b));
    }
}
