//! Networks as ONNX graphs.

use picardy::nn::Architecture;

use super::{OnnxError, export_mlp};
use crate::model::Network;

/// The network's graph as the bytes of an ONNX file.
///
/// # Errors
/// [`OnnxError`]: a parameter is not finite, a metadata key is given twice, or the file would pass 2 GiB.
pub fn export_network(model: &Network<f32>, metadata: &[(String, String)]) -> Result<Vec<u8>, OnnxError> {
    let config = model.config();
    match config.architecture {
        Architecture::ResidualMlp { width, blocks } if config.condition == 0 => {
            export_mlp(model.dim(), width, blocks, |name| model.parameter(name), metadata)
        }
        other => Err(OnnxError::NotLowered { network: other.name(), condition: config.condition }),
    }
}
