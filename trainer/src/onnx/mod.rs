//! The lowering of the residual MLP and of exact denoisers to ONNX.

mod exact;
mod mlp;
mod network;

pub use exact::export_exact;
pub use mlp::export_mlp;
pub use network::export_network;
pub use picardy_ort::onnx::{Attribute, Element, Extent, GraphBuilder, GraphError, ModelProto, OPSET};

/// Why a network could not be exported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OnnxError {
    /// The network has no such parameter.
    #[error("the network has no parameter `{name}`, which the export needs")]
    MissingParameter {
        /// The parameter's name.
        name: String,
    },
    /// A parameter has another shape than the network's sizes say.
    #[error("parameter `{name}` has the shape {got:?}, and the network's sizes need {expected:?}")]
    Shape {
        /// The parameter's name.
        name: String,
        /// The shape it has.
        got: Vec<usize>,
        /// The shape it must have.
        expected: Vec<usize>,
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
    /// A network that cannot be exported yet.
    #[error(
        "a {network} with conditions of {condition} numbers has no ONNX graph yet: use its safetensors file"
    )]
    NotLowered {
        /// The network.
        network: &'static str,
        /// Numbers of its condition.
        condition: usize,
    },
    /// The graph cannot be built.
    #[error(transparent)]
    Graph(#[from] GraphError),
}
