//! The standard loss: the mean squared error of the predicted noise.

use super::{Denoising, LossError, NoiseTable};
use crate::model::Learner;
use crate::op::Element;
use crate::rng::Rng;

/// `mean |eps - eps_hat(sqrt(abar_t) x0 + sqrt(1 - abar_t) eps, t)|^2` over rows and coordinates, t uniform: [`Denoising`] of
/// its default settings (arXiv 2006.11239, eq. 14).
#[derive(Debug, Clone)]
pub struct Standard<T>(Denoising<T>);

impl<T: Element> Standard<T> {
    /// The loss for batches of up to `max_batch` items of `dim` coordinates.
    pub fn new(max_batch: usize, dim: usize) -> Self {
        Self(Denoising::standard(max_batch, dim))
    }

    /// Adds the loss's gradient on the batch x0 [n, dim] to the network's and gives the loss.
    ///
    /// Takes 1 + dim draws a row, or one more each for odd dimensions.
    ///
    /// # Errors
    ///
    /// [`LossError::Items`] where x0 is not whole items, [`LossError::Model`] where they are too many.
    pub fn step(
        &mut self,
        model: &mut dyn Learner<T>,
        table: &NoiseTable,
        x0: &[T],
        rng: &mut Rng,
    ) -> Result<f64, LossError> {
        self.0.step(model, table, x0, &[], rng)
    }
}

/// Standard normal numbers, two from each pair of draws.
pub(super) fn fill_normal<T: Element>(rng: &mut Rng, out: &mut [T]) {
    for pair in out.chunks_mut(2) {
        let (first, second) = rng.normal_pair();
        pair[0] = T::from_f64(first);
        if let Some(slot) = pair.get_mut(1) {
            *slot = T::from_f64(second);
        }
    }
}

/// `z = a x + s eps`.
pub(super) fn mix<T: Element>(a: T, x: &[T], s: T, eps: &[T], z: &mut [T]) {
    for ((z, &x), &eps) in z.iter_mut().zip(x).zip(eps) {
        *z = a * x + s * eps;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::contrastive::tests::{check_loss, small_model, table};
    use crate::op::testing::values;

    #[test]
    fn gradient_through_the_model() {
        let x0 = values(8, 1);
        let mut loss = Standard::new(4, 2);
        check_loss(small_model(4), |model| loss.step(model, &table(), &x0, &mut Rng::new(5, 0)).unwrap());
    }

    #[test]
    fn bad_batches_are_errors() {
        let mut loss = Standard::<f64>::new(2, 2);
        let mut rng = Rng::new(1, 0);
        let mut step = |x0: &[f64]| loss.step(&mut small_model(2), &table(), x0, &mut rng);
        assert!(matches!(step(&[]), Err(LossError::Empty(_))));
        assert!(matches!(step(&[0.0; 3]), Err(LossError::Items { .. })));
        assert!(matches!(step(&[0.0; 6]), Err(LossError::Model(_))));
        assert!(step(&[0.0; 2]).is_ok());
    }
}
