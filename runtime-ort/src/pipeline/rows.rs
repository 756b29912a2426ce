//! What a pipeline asks of a network: rows of many requests in one call.

use std::error::Error;

use picardy::Row;

use crate::{OrtDenoiser, conditions::Asked};

/// Why an evaluation failed, whatever denoiser it was.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// One row of a call that is made of several requests' rows.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct RequestRow {
    /// The [tag](super::Request::tag) of the request that the row is of: what the network is conditioned on, say. An
    /// [`OrtDenoiser`] takes item `i` of the request to be row `tag + i` of its [bound](OrtDenoiser::bind) conditions.
    pub tag: u64,
    /// The row as the request's sampler has it: `item` counts within the request, `level` is what the network is told.
    pub row: Row,
}

/// A network that evaluates rows of any requests together.
///
/// It is core's [`Denoiser`](picardy::Denoiser) without a plan: the rows of one call belong to runs of different plans.
/// Rows must not influence each other, or a sample would depend on who else is sampled.
pub trait RowDenoiser: Send {
    /// The numbers in a row.
    fn dim(&self) -> usize;

    /// Evaluates the rows `x` (`[rows.len(), dim]`, row-major) to `out` of the same shape: the network's raw output.
    ///
    /// # Errors
    /// The denoiser's own. The rows may be asked for again in smaller calls.
    fn evaluate(&mut self, rows: &[RequestRow], x: &[f32], out: &mut [f32]) -> Result<(), BoxError>;
}

impl RowDenoiser for OrtDenoiser {
    fn dim(&self) -> usize {
        OrtDenoiser::dim(self)
    }

    fn evaluate(&mut self, rows: &[RequestRow], x: &[f32], out: &mut [f32]) -> Result<(), BoxError> {
        // A tag names the first row of the bound conditions that is the request's.
        let asked = rows.iter().map(|RequestRow { tag, row }| Asked {
            item: usize::try_from(*tag).unwrap_or(usize::MAX).saturating_add(row.item),
            ..Asked::from(*row)
        });
        Ok(self.run_rows(asked, x, out)?)
    }
}

/// A [`RowDenoiser`] from a function: see [`from_fn`].
#[derive(Clone, Copy, Debug)]
pub struct FnRows<D> {
    dim: usize,
    function: D,
}

/// Makes a denoiser of rows of `dim` numbers from a function of (rows, `x`, `out`).
///
/// ```
/// use picardy_ort::pipeline::{self, RequestRow};
/// // The exact x0-prediction for unit Gaussian data of two numbers.
/// let unit = pipeline::from_fn(2, |rows: &[RequestRow], x: &[f32], out: &mut [f32]| {
///     for ((row, x), out) in rows.iter().zip(x.chunks(2)).zip(out.chunks_mut(2)) {
///         out.iter_mut().zip(x).for_each(|(out, x)| *out = row.row.level.alpha as f32 * x);
///     }
///     Ok(())
/// });
/// # let _ = unit;
/// ```
pub fn from_fn<D>(dim: usize, function: D) -> FnRows<D>
where
    D: FnMut(&[RequestRow], &[f32], &mut [f32]) -> Result<(), BoxError> + Send,
{
    FnRows { dim, function }
}

impl<D> RowDenoiser for FnRows<D>
where
    D: FnMut(&[RequestRow], &[f32], &mut [f32]) -> Result<(), BoxError> + Send,
{
    fn dim(&self) -> usize {
        self.dim
    }

    fn evaluate(&mut self, rows: &[RequestRow], x: &[f32], out: &mut [f32]) -> Result<(), BoxError> {
        (self.function)(rows, x, out)
    }
}
