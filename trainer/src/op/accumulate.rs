//! Sums of gradients: of a value used twice, and of what was added to every row.

use picardy::nn::Scalar;

use super::wide;

/// `target += source`, elementwise: the backward pass of any value used twice.
pub fn accumulate<T: Scalar>(target: &mut [T], source: &[T]) {
    wide(|| {
        for (target, &source) in target.iter_mut().zip(source) {
            *target += source;
        }
    });
}

/// `sums[c] += sum over rows of dy[row, c]`: the gradient of a bias.
pub fn column_sums<T: Scalar>(dy: &[T], sums: &mut [T]) {
    wide(|| {
        for row in dy.chunks_exact(sums.len().max(1)) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += value;
            }
        }
    });
}

/// `out[p, c] = x[p, c] + b[c]` for each item of `places`.
pub fn add_places<T: Scalar>(x: &[T], b: &[T], channels: usize, places: usize, out: &mut [T]) {
    let size = channels * places;
    wide(|| {
        let items = x.chunks_exact(size).zip(b.chunks_exact(channels)).zip(out.chunks_exact_mut(size));
        for ((x, b), out) in items {
            for (x, out) in x.chunks_exact(channels).zip(out.chunks_exact_mut(channels)) {
                for ((out, &x), &b) in out.iter_mut().zip(x).zip(b) {
                    *out = x + b;
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::{accumulate, add_places, column_sums};
    use crate::op::testing::{check_gradient, values, weighted};

    #[test]
    fn both_sides_get_the_gradient() {
        let (a, b, up) = (values(7, 1), values(7, 2), values(7, 3));
        let run = |a: &[f64], b: &[f64]| {
            let mut y = vec![0.0; 7];
            picardy::nn::add(a, b, &mut y).unwrap();
            weighted(&y, &up)
        };
        let mut gradient = vec![0.0; 7];
        accumulate(&mut gradient, &up);
        check_gradient(&a, &gradient, |a| run(a, &b));
        check_gradient(&b, &gradient, |b| run(&a, b));
    }

    #[test]
    fn a_vector_at_each_place_gets_their_sum() {
        let (x, b, up) = (values(24, 1), values(6, 2), values(24, 3));
        let mut db = vec![0.0; 6];
        for (up, db) in up.chunks(12).zip(db.chunks_mut(3)) {
            column_sums(up, db);
        }
        check_gradient(&b, &db, |b| {
            let mut y = vec![0.0; 24];
            add_places(&x, b, 3, 4, &mut y);
            weighted(&y, &up)
        });
    }
}
