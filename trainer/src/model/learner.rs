//! What a loss asks of a network.

use super::{Network, NetworkError};
use crate::op::Element;

/// A network that a loss can be taken of, wherever it computes: [`Network`] on the processor,
/// [`OrtTrainer`](crate::onnx::OrtTrainer) on the device of an ONNX Runtime provider.
///
/// A loss shows it rows, compares its answer, and hands back the slope, as often as it likes in one step; the gradients add up.
///
/// ```
/// use picardy_trainer::model::{Learner, MlpConfig, Network, NetworkError};
/// /// Adds the gradient of `|out|^2` and gives that.
/// fn square(model: &mut dyn Learner<f32>, x: &[f32], t: &[f32]) -> Result<f32, NetworkError> {
///     let out = model.forward(x, t, &[])?.to_vec();
///     let dout: Vec<f32> = out.iter().map(|out| 2.0 * out).collect();
///     model.backward(&dout)?;
///     Ok(out.iter().map(|out| out * out).sum())
/// }
/// let mut model = Network::new(MlpConfig::new(2), 1, 7)?;
/// assert!(square(&mut model, &[0.1, 0.2], &[10.0])? > 0.0);
/// assert!(model.gradients().iter().any(|g| *g != 0.0));
/// # Ok::<(), NetworkError>(())
/// ```
pub trait Learner<T> {
    /// Coordinates of an item.
    fn dim(&self) -> usize;

    /// Numbers of a row's condition.
    fn condition(&self) -> usize;

    /// The most rows of one call.
    fn max_batch(&self) -> usize;

    /// The output [n, dim] for x [n, dim] told t `[n]` and the condition c [n, condition]; it stays until the next call.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Batch`], [`NetworkError::Shape`]; [`NetworkError::Device`] where a device fails.
    fn forward(&mut self, x: &[T], t: &[T], c: &[T]) -> Result<&[T], NetworkError>;

    /// Adds the gradient of `sum(out * dout)` with respect to every parameter, for the last forward pass.
    ///
    /// # Errors
    ///
    /// As [`Learner::forward`].
    fn backward(&mut self, dout: &[T]) -> Result<(), NetworkError>;

    /// [`Learner::backward`], and the gradient with respect to x [n, dim] into `dx`.
    ///
    /// # Errors
    ///
    /// As [`Learner::forward`].
    fn backward_input(&mut self, dout: &[T], dx: &mut [T]) -> Result<(), NetworkError>;
}

impl<T: Element> Learner<T> for Network<T> {
    fn dim(&self) -> usize {
        self.dim()
    }

    fn condition(&self) -> usize {
        self.condition()
    }

    fn max_batch(&self) -> usize {
        self.max_batch()
    }

    fn forward(&mut self, x: &[T], t: &[T], c: &[T]) -> Result<&[T], NetworkError> {
        self.forward(x, t, c)
    }

    fn backward(&mut self, dout: &[T]) -> Result<(), NetworkError> {
        self.backward(dout)
    }

    fn backward_input(&mut self, dout: &[T], dx: &mut [T]) -> Result<(), NetworkError> {
        self.backward_input(dout, dx)
    }
}

/// A network without a way back: a loss's value, which no gradient changes, for a third of the work.
#[derive(Debug)]
pub struct ForwardOnly<L>(pub L);

impl<T: Element> Learner<T> for ForwardOnly<Network<T>> {
    fn dim(&self) -> usize {
        self.0.dim()
    }

    fn condition(&self) -> usize {
        self.0.condition()
    }

    fn max_batch(&self) -> usize {
        self.0.max_batch()
    }

    fn forward(&mut self, x: &[T], t: &[T], c: &[T]) -> Result<&[T], NetworkError> {
        self.0.forward(x, t, c)
    }

    fn backward(&mut self, _: &[T]) -> Result<(), NetworkError> {
        Ok(())
    }

    fn backward_input(&mut self, _: &[T], dx: &mut [T]) -> Result<(), NetworkError> {
        dx.fill(T::ZERO);
        Ok(())
    }
}
