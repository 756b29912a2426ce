//! ONNX files: the part of the format that the export writes, a graph builder, and the lowering of
//! the residual MLP and of exact denoisers.
//!
//! The field numbers are those of the public ONNX specification (onnx.proto, IR version 8). Written
//! by hand as prost structs, because the build must need no protobuf compiler.

mod builder;
mod exact;
mod mlp;
mod proto;

pub use builder::{Attribute, Element, Extent, GraphBuilder, OPSET};
pub use exact::export_exact;
pub use mlp::export_mlp;
pub use proto::ModelProto;

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
    /// A parameter holds another number of values than its shape says.
    #[error("parameter `{name}` of shape {shape:?} holds {got} values")]
    Length {
        /// The parameter's name.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// The values it holds.
        got: usize,
    },
    /// A parameter holds NaN or an infinity.
    #[error(
        "parameter `{name}` holds {value} at index {index}: the training diverged (export an earlier checkpoint), or the \
         data are too large (rescale them)"
    )]
    NotFinite {
        /// The parameter's name.
        name: String,
        /// Where.
        index: usize,
        /// What.
        value: String,
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
    /// A metadata key was given twice; readers of ONNX files keep either.
    #[error("the metadata key `{key}` is given twice")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// The file would pass the format's limit.
    #[error("the model takes {bytes} bytes; one ONNX file holds less than {limit}")]
    TooLarge {
        /// What it takes.
        bytes: usize,
        /// What protobuf allows.
        limit: usize,
    },
}
