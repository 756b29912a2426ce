//! ONNX files: the part of the format that is written here, and a graph builder.
//!
//! The field numbers are those of the public ONNX specification (onnx.proto, IR version 8). Written
//! by hand as prost structs, because the build must need no protobuf compiler.

mod builder;
mod graft;
mod proto;

pub use builder::{Attribute, Extent, GraphBuilder, OPSET};
pub(crate) use graft::graft;
pub use proto::ModelProto;

pub use crate::element::Element;

/// Why a graph could not be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// A constant holds another number of values than its shape says.
    #[error("parameter `{name}` of shape {shape:?} holds {got} values")]
    Length {
        /// The constant's name.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// The values it holds.
        got: usize,
    },
    /// A constant holds NaN or an infinity.
    #[error(
        "parameter `{name}` holds {value} at index {index}: the training diverged (export an earlier checkpoint), or the \
         data are too large (rescale them)"
    )]
    NotFinite {
        /// The constant's name.
        name: String,
        /// Where.
        index: usize,
        /// What.
        value: String,
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
