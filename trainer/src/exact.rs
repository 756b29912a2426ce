//! The exact denoiser of a data set as a file that samples like a trained network's.

use crate::data::Dataset;
use crate::export::{About, metadata};
use crate::onnx::{OnnxError, export_exact};
use picardy::nn::Architecture;
use picardy::{Betas, Prediction, ScheduleError};

/// Why there is no exact denoiser.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ExactError {
    /// The schedule is none.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The graph cannot be written.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
}

/// The ONNX file of the exact epsilon-predicting denoiser of `data` plus isotropic noise of standard deviation
/// `std`, in standardised coordinates, on the timesteps of `schedule`.
///
/// It is [`export_exact`] with a model card: runtimes sample it as they do a trained network. In the card, the
/// width is the number of points.
///
/// # Errors
/// A schedule that is none, or a negative `std`.
///
/// # Examples
///
/// ```
/// use picardy_trainer::{data::dino_points, exact::exact_onnx};
/// let bytes = exact_onnx(&dino_points(), 0.0, picardy::Betas::linear(1000, 1e-4, 2e-2))?;
/// # assert!(bytes.len() > 1000);
/// # Ok::<(), picardy_trainer::exact::ExactError>(())
/// ```
pub fn exact_onnx(data: &Dataset, std: f64, schedule: Betas) -> Result<Vec<u8>, ExactError> {
    schedule.check()?;
    let about = About {
        architecture: Architecture::ExactPoints { points: data.len() },
        condition: 0,
        shape: &[data.dim()],
        schedule: schedule.into(),
        prediction: Prediction::Epsilon,
        loss: "exact",
        seed: 0,
        added_variance: std * std,
    };
    let alpha_bars: Vec<f64> = schedule.alpha_bars().collect();
    Ok(export_exact(&data.data(), data.dim(), std, &alpha_bars, &metadata(data, &about))?)
}
