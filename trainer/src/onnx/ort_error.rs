//! What goes wrong in training by ONNX Runtime.

use picardy_ort::OrtError;

use super::OnnxError;

/// Why a step is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OrtTrainError {
    /// The graph cannot be built.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// ONNX Runtime's.
    #[error(transparent)]
    Ort(#[from] OrtError),
    /// More rows than the graph was made for, or none.
    #[error("{got} rows were given to a training graph for 1 to {max}: make it for more, or give fewer")]
    Rows {
        /// The rows given.
        got: usize,
        /// The most it can take.
        max: usize,
    },
    /// Numbers of another length than the rows'.
    #[error("`{what}` holds {got} numbers where the rows have {expected}: give {expected}")]
    Length {
        /// Which.
        what: &'static str,
        /// How many it holds.
        got: usize,
        /// How many it must.
        expected: usize,
    },
    /// A rate out of range.
    #[error("`{what}` is {got}: it must be {expected}")]
    Rate {
        /// Which.
        what: &'static str,
        /// What it is.
        got: f64,
        /// What it must be.
        expected: &'static str,
    },
    /// A loss, a gradient or new parameters that are no numbers. The step was not taken: all is as before it.
    #[error(
        "step {step}: the loss is {loss}, the gradient's norm {norm} and that of the new parameters {parameters}, so that it was \
         not taken: lower the learning rate, or look for values in the batch that are not finite"
    )]
    NotFinite {
        /// The step, from 0.
        step: u64,
        /// The loss; 0 where it is not known here.
        loss: f64,
        /// The gradient's norm.
        norm: f64,
        /// The norm of the parameters that the step would have made.
        parameters: f64,
    },
    /// A network of other sizes.
    #[error("a network of {got} parameters is not the one trained here, of {expected}: give that")]
    Network {
        /// Its parameters.
        got: usize,
        /// Those trained.
        expected: usize,
    },
}
