//! Addition: the residual connection, and the embedding that is added to the state.

use picardy::nn::{Kernel, Scalar, dispatch};

/// `target += source`, elementwise: the backward pass of a residual connection, and of any value used twice.
///
/// The forward pass is [`picardy::nn::add`].
pub fn accumulate<T: Scalar>(target: &mut [T], source: &[T]) {
    dispatch(Accumulate { target, source });
}

struct Accumulate<'a, T> {
    target: &'a mut [T],
    source: &'a [T],
}

impl<T: Scalar> Kernel for Accumulate<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (target, &source) in self.target.iter_mut().zip(self.source) {
            *target += source;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::op::testing::{check_gradient, values};

    #[test]
    fn both_sides_get_the_gradient() {
        let (a, b, up) = (values(7, 1), values(7, 2), values(7, 3));
        let run = |a: &[f64], b: &[f64]| {
            let mut y = vec![0.0; 7];
            picardy::nn::add(a, b, &mut y).unwrap();
            y.iter().zip(&up).map(|(y, g)| y * g).sum::<f64>()
        };
        let mut gradient = vec![0.0; 7];
        super::accumulate(&mut gradient, &up);
        check_gradient(&a, &gradient, |a| run(a, &b));
        check_gradient(&b, &gradient, |b| run(&a, b));
    }
}
