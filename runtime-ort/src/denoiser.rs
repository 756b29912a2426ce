//! An ONNX model as a denoiser: x `[n, d...]` and t `[n]` to out `[n, d...]`.

use std::ops::Range;

use ort::value::TensorElementType;
use picardy::{Batch, Denoiser, HostTensor};

use crate::{
    binding::Bound,
    error::OrtError,
    provider::{Exclusively, exclusive},
    session::{Model, Port},
};

/// The element types a model's timestep input may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeType {
    /// 32-bit floats.
    F32,
    /// 64-bit floats.
    F64,
    /// 64-bit integers: whole timesteps alone.
    I64,
    /// 32-bit integers: whole timesteps alone.
    I32,
}

impl TimeType {
    pub(crate) const NAMES: &'static str = "f32, f64, i64 or i32";

    fn of(element: TensorElementType) -> Option<Self> {
        Some(match element {
            TensorElementType::Float32 => Self::F32,
            TensorElementType::Float64 => Self::F64,
            TensorElementType::Int64 => Self::I64,
            TensorElementType::Int32 => Self::I32,
            _ => return None,
        })
    }
}

/// The memory for one run's rows is kept for this many different row counts: a sliding window asks
/// for few different ones, and the least recently used goes first.
const KEPT: usize = 8;

/// A model that can be asked for outputs, by rows.
///
/// Inputs are taken by place and not by name: x is the model's first, t its second, and its first
/// output is the answer.
#[derive(Debug)]
pub struct OrtDenoiser {
    model: Model,
    item: Vec<usize>,
    dim: usize,
    time: TimeType,
    /// Most recently used last.
    bound: Vec<Exclusively<Bound>>,
}

impl OrtDenoiser {
    /// Takes a model whose inputs are x (f32, `[n, d...]`) and t (`[n]`).
    ///
    /// # Errors
    /// [`OrtError::NotADenoiser`] where the model's inputs or outputs are others, its batch is fixed,
    /// or an extent of an item is free (then see [`with_item_shape`](Self::with_item_shape)).
    pub fn new(model: Model) -> Result<Self, OrtError> {
        Self::with_item_shape(model, None)
    }

    /// As [`new`](Self::new), with the shape of one item where the model leaves extents of it free.
    ///
    /// # Errors
    /// [`OrtError::NotADenoiser`], where `item` disagrees with the model too.
    pub fn with_item_shape(model: Model, item: Option<&[usize]>) -> Result<Self, OrtError> {
        let form = |what: String| OrtError::NotADenoiser { what };
        let [x, t] = model.inputs() else {
            return Err(form(format!(
                "the model has {} inputs ({})",
                model.inputs().len(),
                list(model.inputs())
            )));
        };
        let Some(out) = model.outputs().first() else {
            return Err(form("the model has no output".to_owned()));
        };
        for port in [x, out] {
            if port.element != Some(TensorElementType::Float32) || port.shape.len() < 2 {
                return Err(form(format!("`{port}` is not f32 of rank 2 or more")));
            }
        }
        for port in [x, t, out] {
            if let Some(&batch @ 0..) = port.shape.first() {
                return Err(form(format!(
                    "the batch of `{port}` is fixed at {batch}: export the model with a dynamic batch"
                )));
            }
        }
        let time = t.element.and_then(TimeType::of);
        let (Some(time), 1) = (time, t.shape.len()) else {
            return Err(form(format!("`{t}` is no vector of timesteps")));
        };
        let item = item_shape(x, item).map_err(form)?;
        // The output has the input's shape, as far as it is known: the rest is checked in a run.
        let agrees = out.shape.len() == x.shape.len()
            && out.shape[1..].iter().zip(&item).all(|(&have, &want)| have < 0 || have == want as i64);
        if !agrees {
            return Err(form(format!("the output `{out}` has another shape than the input `{x}`")));
        }
        let dim = item
            .iter()
            .try_fold(1usize, |product, &extent| product.checked_mul(extent))
            .ok_or_else(|| form(format!("an item of shape {item:?} is too large")))?;
        Ok(Self { item, dim, time, model, bound: Vec::with_capacity(KEPT) })
    }

    /// The shape of one item.
    #[must_use]
    pub fn item_shape(&self) -> &[usize] {
        &self.item
    }

    /// The numbers in one item.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The element type of the model's timesteps.
    #[must_use]
    pub fn time_type(&self) -> TimeType {
        self.time
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    pub(crate) fn model_mut(&mut self) -> &mut Model {
        &mut self.model
    }

    /// Evaluates the model: `x` `[n, dim]` and one t for each row to `out` `[n, dim]`, row-major.
    ///
    /// The number of rows n is `x.len() / dim`. Rows as many as in an earlier run use that run's
    /// memory again. Takes `&mut self` because a session's bound memory serves one run at a time.
    ///
    /// # Errors
    /// [`OrtError::Length`] where `x`, `out` and `t` disagree, [`OrtError::FractionalTime`] where a
    /// model of integer timesteps is told another number, [`OrtError::OutputShape`] and
    /// [`OrtError::Run`] from the run. `out` keeps its old values then.
    pub fn run(&mut self, x: &[f32], t: impl Iterator<Item = f64>, out: &mut [f32]) -> Result<(), OrtError> {
        let rows = x.len() / self.dim;
        for (what, got) in [("x", x.len()), ("out", out.len())] {
            if got != rows * self.dim {
                return Err(OrtError::Length { what, got, rows, dim: self.dim });
            }
        }
        if rows == 0 {
            return Ok(());
        }
        let provider = self.model.provider();
        let _turn = exclusive(provider);
        let bound = Self::bound(&mut self.bound, rows, || {
            let bound = Bound::new(&mut self.model, rows, &self.item, self.time)?;
            Ok(Exclusively::new(bound, provider))
        })?;
        bound.run(&mut self.model, x, t, out)
    }

    /// The memory for `rows` rows: that of an earlier run, or new.
    fn bound(
        kept: &mut Vec<Exclusively<Bound>>,
        rows: usize,
        make: impl FnOnce() -> Result<Exclusively<Bound>, OrtError>,
    ) -> Result<&mut Bound, OrtError> {
        match kept.iter().position(|bound| bound.rows() == rows) {
            Some(place) => {
                let last = kept.len() - 1;
                kept[place..=last].rotate_left(1);
                Ok(&mut kept[last])
            }
            None => {
                if kept.len() == KEPT {
                    kept.remove(0);
                }
                kept.push(make()?);
                let last = kept.len() - 1;
                Ok(&mut kept[last])
            }
        }
    }
}

/// The extents of an item: the model's, completed by the caller's.
fn item_shape(x: &Port, given: Option<&[usize]>) -> Result<Vec<usize>, String> {
    let own = &x.shape[1..];
    let Some(given) = given else {
        return own
            .iter()
            .map(|&extent| usize::try_from(extent).ok().filter(|&extent| extent > 0))
            .collect::<Option<_>>()
            .ok_or_else(|| format!("the shape of an item of `{x}` is not known: give it"));
    };
    let agrees = given.len() == own.len()
        && own.iter().zip(given).all(|(&own, &given)| given > 0 && (own < 0 || own == given as i64));
    if agrees { Ok(given.to_vec()) } else { Err(format!("an item of `{x}` cannot have the shape {given:?}")) }
}

fn list(ports: &[Port]) -> String {
    let names: Vec<String> = ports.iter().map(Port::to_string).collect();
    names.join("; ")
}

impl<F: HostTensor<Scalar = f32> + ?Sized> Denoiser<F> for OrtDenoiser {
    type Error = OrtError;

    fn evaluate(
        &mut self,
        batch: &Batch<'_>,
        frames: &mut F,
        x: Range<usize>,
        out: Range<usize>,
    ) -> Result<(), OrtError> {
        let (x, out) = frames.slices(x, out);
        // Frames of another dimension would pass as another number of rows.
        if x.len() != batch.len().saturating_mul(self.dim) {
            return Err(OrtError::Length { what: "x", got: x.len(), rows: batch.len(), dim: self.dim });
        }
        self.run(x, batch.iter().map(|row| row.level.t), out)
    }
}
