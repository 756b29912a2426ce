//! The lowering of networks, of their training, and of exact denoisers to ONNX.
//!
//! ```text
//! Network's steps --lower--> forward nodes ----------------------> export_network: x, t, condition -> out
//!                        \-> backward nodes, Adam --> train_graph: a step of training, or parts of one, as a graph
//!                                                        \-> OrtTrainer: weights stay on the device
//! ```

mod adam;
mod exact;
mod learner;
mod lower;
mod network;
mod ort_error;
mod ort_trainer;
mod part;
mod resident;
mod train_graph;
mod weights;

pub use adam::Rates;
pub use exact::export_exact;
pub use learner::Averaged;
pub use network::export_network;
pub use ort_error::OrtTrainError;
pub use ort_trainer::{Batch, OrtTrainer, Told};
pub use picardy_ort::onnx::{Attribute, Element, Extent, GraphBuilder, GraphError, ModelProto, OPSET};
pub use train_graph::{Pass, train_graph};

/// Why a network could not be exported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OnnxError {
    /// The network has no such parameter.
    #[error("the network has no parameter `{name}`, which the export needs")]
    MissingParameter {
        /// The parameter's name.
        name: String,
    },
    /// A size that no network can have.
    #[error("{what} is {got}: {mend}")]
    Size {
        /// Which size.
        what: &'static str,
        /// What it is.
        got: usize,
        /// What it must be.
        mend: &'static str,
    },
    /// Points that are not whole rows, or none.
    #[error(
        "{got} numbers are no points of dimension {dim}: give a multiple of the dimension, which is at least 1"
    )]
    Points {
        /// Coordinates of a point.
        dim: usize,
        /// The numbers given.
        got: usize,
    },
    /// A number out of range.
    #[error("{what} is {value}: {mend}")]
    Number {
        /// Which number.
        what: &'static str,
        /// What it is.
        value: String,
        /// What it must be.
        mend: &'static str,
    },
    /// An operation that has no lowering.
    #[error("the network's operation {op} has no ONNX lowering: use its safetensors file")]
    NotLowered {
        /// The operation.
        op: String,
    },
    /// A network that contradicts itself.
    #[error("the network cannot be lowered: {0}")]
    Network(String),
    /// The graph cannot be built.
    #[error(transparent)]
    Graph(#[from] GraphError),
}
