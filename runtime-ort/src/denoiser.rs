//! An ONNX model as a denoiser: x `[n, d...]` and t to out `[n, d...]`.

mod around;

use std::ops::Range;

use around::Around;
pub(crate) use around::Parts;
use picardy::{Batch, Denoiser, HostTensor};

use crate::{
    array::Array,
    binding::{self, Bound, Told},
    conditions::{Asked, Input},
    element::Element,
    error::OrtError,
    provider::{Exclusively, exclusive},
    session::{Model, Port},
    signature::{Channels, Layout, Signature, Times, list},
    split::{self, Limit},
};

/// The memory for one run's rows is kept for this many different row counts: a sliding window asks
/// for few different ones, and the least recently used goes first.
const KEPT: usize = 8;

/// A model that can be asked for outputs, by rows.
///
/// Which input is x and which is t, [`Signature`] says. The rest:
///
/// - x and the answer are f32, f16, bf16 or f64; states are f32 here, and rounded to the model's type.
/// - t is a float or an integer, one for each row (`[n]`, `[n, 1]`) or one for a run (`[]`, `[1]`): a call whose rows
///   have several is then made in as many runs.
/// - A batch that the graph fixes is filled up with copies of the last row, and longer calls are made in several runs.
/// - An answer with twice the channels has a learned variance in the second half: the first half is taken
///   ([`learned_variance`](Self::learned_variance)).
/// - Other inputs are conditions, bound once: [`bind`](Self::bind).
/// - Where the device's memory does not hold a run's rows, it is made with half as many, and so are later ones:
///   [`splits`](Self::splits).
#[derive(Debug)]
pub struct OrtDenoiser {
    model: Model,
    layout: Layout,
    conditions: Vec<Input>,
    /// Most recently used last.
    bound: Vec<Exclusively<Bound>>,
    limit: Limit,
    /// The rows of the call, kept for its memory.
    asked: Vec<Asked>,
    /// Of runs whose rows stay on the device, what is told beside them.
    told: Vec<Told>,
    around: Around,
    /// Why its runs are not captured.
    uncaptured: Option<String>,
}

impl OrtDenoiser {
    /// Takes a model whose form its names, types and metadata tell.
    ///
    /// # Errors
    /// [`OrtError::NotADenoiser`] where the model's inputs or outputs are none of a denoiser, or an extent of an item
    /// is free (then see [`with_signature`](Self::with_signature)).
    pub fn new(model: Model) -> Result<Self, OrtError> {
        Self::with_signature(model, &Signature::default())
    }

    /// As [`new`](Self::new), with the shape of one item where the model leaves extents of it free.
    ///
    /// # Errors
    /// [`OrtError::NotADenoiser`], where `item` disagrees with the model too.
    pub fn with_item_shape(model: Model, item: Option<&[usize]>) -> Result<Self, OrtError> {
        Self::with_signature(model, &Signature { item: item.map(<[usize]>::to_vec), ..Signature::default() })
    }

    /// As [`new`](Self::new), with the caller's word for what the model does not tell.
    ///
    /// # Errors
    /// [`OrtError::NotADenoiser`], where `signature` disagrees with the model too.
    pub fn with_signature(model: Model, signature: &Signature) -> Result<Self, OrtError> {
        let layout = Layout::new(&model, signature)?;
        let conditions =
            layout.conditions.iter().map(|&i| Input::new(&model.inputs()[i], layout.batch)).collect();
        let bound = Vec::with_capacity(KEPT);
        Ok(Self {
            model,
            layout,
            conditions,
            bound,
            limit: Limit::default(),
            asked: Vec::new(),
            told: Vec::new(),
            around: Around::Untried,
            uncaptured: None,
        })
    }

    /// Binds what the input `name` gets in all later calls. An input with a batch axis takes one row's value, which all
    /// rows share, or `[items, ...]`, of which a row gets its item's. Rows without their condition
    /// ([`Guided`](picardy::Guided)) get `null`, of the same shape or one for all; without a null they get zeros where
    /// the input is of floats, and an error where it is of integers, whose 0 is a class or a token like others.
    ///
    /// ```no_run
    /// # use picardy_ort::{Array, Model, Options, OrtDenoiser};
    /// # let model = Model::load("model.onnx".as_ref(), Options::default())?;
    /// let mut denoiser = OrtDenoiser::new(model)?;
    /// // A class for each of three items, and 1000 for none, as the network was trained.
    /// let classes = Array::integers(&[3], vec![207, 360, 387])?;
    /// denoiser.bind("class_labels", classes, Some(Array::integers(&[1], vec![1000])?))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`OrtError::Condition`]: no such input, or the array has another shape or numbers than it can take.
    pub fn bind(&mut self, name: &str, given: Array, null: Option<Array>) -> Result<(), OrtError> {
        let Some(input) = self.conditions.iter_mut().find(|input| input.name == name) else {
            let others: Vec<Port> = self.conditions().cloned().collect();
            let what = if others.is_empty() {
                "the model has none besides x and t".to_owned()
            } else {
                format!("the model is not conditioned on it, it has {}: name one of them", list(&others))
            };
            return Err(OrtError::Condition { name: name.to_owned(), what });
        };
        input.bind(given, null)?;
        self.bound.clear();
        self.told.clear();
        self.forget();
        Ok(())
    }

    /// The inputs besides x and t.
    pub fn conditions(&self) -> impl Iterator<Item = &Port> {
        self.layout.conditions.iter().map(|&i| &self.model.inputs()[i])
    }

    /// Those of them that nothing is bound to: a call is an error while there is one.
    pub fn unbound(&self) -> impl Iterator<Item = &Port> {
        self.conditions()
            .zip(&self.conditions)
            .filter(|(_, input)| input.bound.is_none())
            .map(|(port, _)| port)
    }

    /// The input that is x, the input that is t, and the output that is the answer.
    #[must_use]
    pub fn ports(&self) -> [&Port; 3] {
        let (inputs, outputs) = (self.model.inputs(), self.model.outputs());
        [&inputs[self.layout.x], &inputs[self.layout.t], &outputs[self.layout.out]]
    }

    /// The shape of one item.
    #[must_use]
    pub fn item_shape(&self) -> &[usize] {
        &self.layout.item
    }

    /// The numbers in one item.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.layout.dim
    }

    /// The element type of the model's timesteps.
    #[must_use]
    pub fn time_type(&self) -> Element {
        self.layout.t_element
    }

    /// The rows of every run, where the graph fixes them.
    #[must_use]
    pub fn fixed_batch(&self) -> Option<usize> {
        self.layout.batch
    }

    /// Whether the model's answer has twice the channels of x, of which the first half is taken. Of a graph that leaves
    /// its output's extents open it is known after the first call, and false before.
    #[must_use]
    pub fn learned_variance(&self) -> bool {
        self.layout.channels == Channels::Twice
    }

    /// How often a run was halved because the device's memory did not hold it.
    #[must_use]
    pub fn splits(&self) -> usize {
        self.limit.splits
    }

    /// The most rows of a run, where there is such a limit: [`limit_rows`](Self::limit_rows)'s, or what memory left.
    #[must_use]
    pub fn row_limit(&self) -> Option<usize> {
        self.limit.rows
    }

    /// Sets the most rows of a run, longer calls being made in several; `None` for any number, which also forgets what
    /// memory was found wanting. 0 counts as 1.
    pub fn limit_rows(&mut self, rows: Option<usize>) {
        self.limit.rows = rows.map(|rows| rows.max(1));
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Finds out what the graph does not say of its answer.
    fn settle_channels(&mut self) -> Result<(), OrtError> {
        if self.layout.channels == Channels::Open {
            memory_of(&mut self.model, &mut self.layout, &self.conditions, 1)?;
        }
        Ok(())
    }

    /// Sees that a model of integer timesteps is told such.
    fn check_times(&self, asked: &[Asked]) -> Result<(), OrtError> {
        for (row, asked) in asked.iter().enumerate().filter(|_| !self.layout.t_element.is_float()) {
            binding::whole(row, asked.t, self.layout.t_element)?;
        }
        Ok(())
    }

    /// Evaluates the model: `x` `[n, dim]` and one t for each row to `out` `[n, dim]`, row-major.
    ///
    /// The number of rows n is `x.len() / dim`; row i is item i, with its condition. Rows as many as in an earlier run
    /// use that run's memory again. Takes `&mut self` because a session's bound memory serves one run at a time.
    ///
    /// # Errors
    /// [`OrtError::Length`] where `x`, `out` and `t` disagree, [`OrtError::FractionalTime`] where a
    /// model of integer timesteps is told another number, [`OrtError::Unbound`], [`OrtError::Condition`] and
    /// [`OrtError::NoNull`] about conditions, [`OrtError::OutOfMemory`], [`OrtError::OutputShape`] and
    /// [`OrtError::Run`] from the run. `out` keeps its old values then, but for a call in several runs, whose earlier
    /// ones may be there.
    pub fn run(&mut self, x: &[f32], t: impl Iterator<Item = f64>, out: &mut [f32]) -> Result<(), OrtError> {
        self.run_rows(t.enumerate().map(|(item, t)| Asked { item, t, conditional: true }), x, out)
    }

    /// [`run`](Self::run) of rows of any items.
    pub(crate) fn run_rows(
        &mut self,
        asked: impl Iterator<Item = Asked>,
        x: &[f32],
        out: &mut [f32],
    ) -> Result<(), OrtError> {
        let (rows, dim) = (x.len() / self.layout.dim, self.layout.dim);
        self.asked.clear();
        self.asked.extend(asked);
        for (what, got, dim) in [("x", x.len(), dim), ("out", out.len(), dim), ("t", self.asked.len(), 1)] {
            if got != rows * dim {
                return Err(OrtError::Length { what, got, rows, dim });
            }
        }
        self.run_asked(x, out)
    }

    /// Runs the rows of `self.asked`, as many as `x` and `out` hold.
    fn run_asked(&mut self, x: &[f32], out: &mut [f32]) -> Result<(), OrtError> {
        let _turn = exclusive(self.model.provider());
        self.alone()?;
        self.check_times(&self.asked)?;
        let asked = std::mem::take(&mut self.asked);
        let shared = matches!(self.layout.times, Times::Shared(_));
        // Rows that lie apart and share a t are run together.
        let result = if shared && !asked.is_sorted_by(|a, b| a.t <= b.t) {
            self.run_sorted(&asked, x, out)
        } else {
            self.run_parts(&asked, x, out)
        };
        self.asked = asked;
        result
    }

    fn run_sorted(&mut self, asked: &[Asked], x: &[f32], out: &mut [f32]) -> Result<(), OrtError> {
        let dim = self.layout.dim;
        let mut order: Vec<usize> = (0..asked.len()).collect();
        order.sort_by(|&a, &b| asked[a].t.total_cmp(&asked[b].t));
        let sorted: Vec<Asked> = order.iter().map(|&row| asked[row]).collect();
        let states: Vec<f32> = order.iter().flat_map(|&row| &x[row * dim..][..dim]).copied().collect();
        let mut answers = vec![0.0; states.len()];
        self.run_parts(&sorted, &states, &mut answers)?;
        for (answer, &row) in answers.chunks(dim).zip(&order) {
            out[row * dim..][..dim].copy_from_slice(answer);
        }
        Ok(())
    }

    fn run_parts(&mut self, asked: &[Asked], x: &[f32], out: &mut [f32]) -> Result<(), OrtError> {
        let Self { model, layout, conditions, bound: kept, limit, .. } = self;
        let dim = layout.dim;
        let mut fixed = Limit { rows: layout.batch, ..Limit::default() };
        let (limit, can_halve) = if layout.batch.is_some() { (&mut fixed, false) } else { (limit, true) };
        let shared = matches!(layout.times, Times::Shared(_));
        let breaks = |row: usize| shared && asked[row].t.to_bits() != asked[row - 1].t.to_bits();
        split::in_parts(asked.len(), limit, can_halve, breaks, |part| {
            let rows = layout.batch.unwrap_or(part.len());
            let numbers = part.start * dim..part.end * dim;
            let result = memory(kept, rows, || memory_of(model, layout, conditions, rows)).and_then(|at| {
                let bound = &mut kept[at];
                bound.run(model, layout, conditions, &asked[part], &x[numbers.clone()], &mut out[numbers])
            });
            if let Err(OrtError::Run(error)) = &result
                && split::out_of_memory(error.message())
            {
                // What the larger runs held is of use to the smaller ones.
                kept.clear();
            }
            result
        })
    }
}

fn memory_of(
    model: &mut Model,
    layout: &mut Layout,
    conditions: &[Input],
    rows: usize,
) -> Result<Exclusively<Bound>, OrtError> {
    Ok(Exclusively::new(Bound::new(model, layout, conditions, rows)?, model.provider()))
}

/// The place of the memory for `rows` rows: that of an earlier run, or new.
fn memory(
    kept: &mut Vec<Exclusively<Bound>>,
    rows: usize,
    make: impl FnOnce() -> Result<Exclusively<Bound>, OrtError>,
) -> Result<usize, OrtError> {
    match kept.iter().position(|bound| bound.rows() == rows) {
        Some(place) => kept[place..].rotate_left(1),
        None => {
            if kept.len() == KEPT {
                kept.remove(0);
            }
            kept.push(make()?);
        }
    }
    Ok(kept.len() - 1)
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
        for (what, got) in [("x", x.len()), ("out", out.len())] {
            if got != batch.len().saturating_mul(self.layout.dim) {
                return Err(OrtError::Length { what, got, rows: batch.len(), dim: self.layout.dim });
            }
        }
        self.asked.clear();
        self.asked.extend(batch.iter().map(Asked::from));
        self.run_asked(x, out)
    }
}
