//! Networks as ONNX graphs.

use super::OnnxError;
use super::lower::Lowering;
use crate::model::Network;

/// The network's graph as the bytes of an ONNX file.
///
/// Inputs, for any n: `x` `[n, item...]`, channels last as items are, `t` `[n]`, and where the network takes a condition,
/// `condition` `[n, c]`, of which a row of zeros is none. Output: `out` `[n, item...]`. All are 32-bit floats. `metadata` goes into
/// the file's metadata_props.
///
/// # Errors
/// [`OnnxError`]: a parameter is not finite, a metadata key is given twice, or the file would pass 2 GiB.
///
/// # Examples
///
/// ```
/// use picardy_trainer::model::{MlpConfig, Network};
/// use picardy_trainer::onnx::export_network;
/// let model = Network::<f32>::new(MlpConfig::new(2), 1, 7)?;
/// let file = export_network(&model, &[("picardy.prediction".to_owned(), "epsilon".to_owned())])?;
/// assert!(file.len() > 4 * model.parameters().len());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn export_network(model: &Network<f32>, metadata: &[(String, String)]) -> Result<Vec<u8>, OnnxError> {
    let mut lowering = Lowering::new(model);
    for (key, value) in metadata {
        lowering.graph.metadata(key, value)?;
    }
    lowering.inputs();
    lowering.forward("out")?;
    let items = lowering.items();
    lowering.graph.output("out", &items);
    Ok(lowering.graph.finish()?)
}
