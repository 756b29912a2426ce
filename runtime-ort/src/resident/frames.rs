//! Rows on a device, and what was recorded for them.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use ort::value::DynTensor;
use picardy::{Foreseen, Need};

use super::{
    foresight::Foresight,
    graph::{Form, PutForm},
    known::Known,
    program::{Program, Put, Stage},
    repeat::Repeats,
    run::{Answer, Question},
    traffic::{Counter, Crossed, Traffic},
};
use crate::{
    device::{self, DeviceMemory, DeviceTensor},
    element::Element,
    error::OrtError,
    provider::{Exclusively, Provider},
    session::Model,
};

/// Rows of noise that wait for their state.
pub(super) const STAGED: usize = 64;

/// The most answers whose memory is kept.
const ANSWERS: usize = 16;

/// A row of a call: so many times a row that is there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shown {
    pub(super) scale: f32,
    pub(super) row: usize,
}

/// Rows of states on a provider's device.
///
/// ```no_run
/// use std::path::Path;
/// use picardy::{Betas, Ddpm, Level, Mark, Node, Noise, Picard, Prediction, Sampler, Slope, Solver, Span, Workspace};
/// use picardy_ort::{Model, Options, OrtDenoiser, Provider, ResidentFrames};
///
/// let (mut levels, mut nodes) = ([Level::default(); 101], [Node::default(); 101]);
/// let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(100, &mut levels)?;
/// let plan = Ddpm::default().plan(&grid, Prediction::Epsilon, &mut nodes)?;
/// let options = Options { provider: Provider::WebGpu, ..Options::default() };
/// let mut denoiser = OrtDenoiser::new(Model::load(Path::new("model.onnx"), options)?)?;
/// let picard = Picard { slope: Slope::Secant, ..Picard::default() };
/// let (noise, mut x) = (Noise::seeded(7), vec![0.0; 16 * denoiser.dim()]); // sixteen items
/// plan.start(&noise, denoiser.dim(), &mut x);
/// let need = picard.need(&plan, 16);
/// let frames = ResidentFrames::new(denoiser.model().provider(), need, denoiser.item_shape())?;
/// let (mut spans, mut marks) = (vec![Span::default(); need.spans], vec![Mark::default(); need.marks]);
/// let mut workspace = Workspace::new(frames, &mut spans).with_marks(&mut marks);
/// picard.run(&plan, &mut denoiser, &noise, &mut x, &mut workspace)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A trait of infallible operations hides what fails on a device. The first failure is kept ([`failure`](Self::failure)) and
/// nothing runs after it: numbers that are asked for are NaN, a sample that is read is NaN, and each later call of the network
/// returns it as [`OrtError::Device`]. The rows are lost, the frames are not: the next run that begins on them forgets the
/// failure. What fails in a call of the network itself loses nothing, and the same rows may be asked for again.
#[derive(Debug)]
pub struct ResidentFrames {
    pub(super) memory: DeviceMemory,
    pub(super) item: Vec<usize>,
    pub(super) dim: usize,
    pub(super) rows: usize,
    /// The rows `[rows + 2 + STAGED, dim]`, and where the next run writes them: a device may not write what it reads.
    pub(super) current: DeviceTensor<f32>,
    pub(super) spare: DeviceTensor<f32>,
    pub(super) program: Program,
    /// A row that was set to zero last, which is not recorded yet: noise mostly follows.
    pub(super) zeroed: Option<usize>,
    pub(super) staged: usize,
    pub(super) graphs: HashMap<Form, Model>,
    /// Graphs whose runs are captured.
    pub(super) repeats: Repeats,
    /// Memory for the model's answers that comes again, so that captured runs find it where it was.
    answers: Vec<(Element, Exclusively<DynTensor>)>,
    traffic: Arc<Mutex<Crossed>>,
    pub(super) known: Known,
    /// What was said of the next call's answer, or of the last one's with what it gave.
    pub(super) foreseen: Vec<Foreseen>,
    pub(super) foresight: Option<Foresight>,
    /// Why rows are lost.
    pub(super) lost: Option<String>,
}

impl ResidentFrames {
    /// Rows for a run's need, of items of this shape, on the provider's device.
    ///
    /// # Errors
    /// [`OrtError`]: the provider cannot be used, or has no such memory.
    pub fn new(provider: Provider, need: Need, item: &[usize]) -> Result<Self, OrtError> {
        let memory = DeviceMemory::new(provider)?;
        let dim = item.iter().product();
        let shape = [need.rows.saturating_add(2 + STAGED), dim];
        let (mut current, spare) = (memory.tensor::<f32>(&shape)?, memory.tensor(&shape)?);
        // Sums are padded with a row of zeros, and memory comes as it is.
        device::upload(&vec![0.0; shape[0].saturating_mul(dim)], &mut current)?;
        Ok(Self {
            memory,
            item: item.to_vec(),
            dim,
            rows: need.rows,
            current,
            spare,
            program: Program::default(),
            zeroed: None,
            staged: 0,
            graphs: HashMap::new(),
            repeats: Repeats::default(),
            answers: Vec::new(),
            traffic: Arc::default(),
            known: Known::default(),
            foreseen: Vec::new(),
            foresight: None,
            lost: None,
        })
    }

    /// What has crossed the bus so far: a reader that stays good while a run holds the rows.
    #[must_use]
    pub fn counter(&self) -> Counter {
        Counter(Arc::clone(&self.traffic))
    }

    /// What failed on the device since the run began, and lost its rows. For the end of a run, where no call of the network
    /// follows that would return it.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.lost.as_deref()
    }

    /// The rows of a call, as they are without what is recorded, all of which runs first if it must.
    ///
    /// # Errors
    /// [`OrtError::Device`] where rows are lost, and those of a run.
    pub(super) fn shown(
        &mut self,
        rows: Range<usize>,
        foreseen: Option<&[Foreseen]>,
    ) -> Result<Vec<Shown>, OrtError> {
        self.settle();
        if let Some(said) = &self.lost {
            return Err(OrtError::Device { said: said.clone() });
        }
        let known = |of: &Foreseen| {
            let (base, said) = of.since.unzip();
            [Some(of.x), base, said].into_iter().flatten()
        };
        let there = |row: usize| self.program.copied(row).is_some_and(|shown| shown.row == row);
        if foreseen.unwrap_or_default().iter().flat_map(known).all(there)
            && let Some(shown) = rows.clone().map(|row| self.program.copied(self.source(row))).collect()
        {
            return Ok(shown);
        }
        self.run(&Question::None)?;
        Ok(rows.map(|row| Shown { scale: 1.0, row: self.source(row) }).collect())
    }

    /// A row is written, with this sum of others or with anything else.
    pub(super) fn note(&mut self, row: usize, terms: Option<&[(f64, usize)]>) {
        if let Some(foresight) = &mut self.foresight {
            foresight.note(row, terms);
        }
    }

    /// Records `row <- min(max(row, low), high)`; NaN stays.
    pub(super) fn clamp(&mut self, row: usize, low: f32, high: f32) {
        self.settle();
        self.note(row, None);
        let row = self.target(row);
        self.program.clamp(row, low, high);
    }

    /// Records `row <- row + mask (values - row)`.
    pub(super) fn blend(&mut self, row: usize, mask: &[f32], values: &[f32]) {
        self.settle();
        self.note(row, None);
        let row = self.target(row);
        if self.known.is_full() {
            // What waits names places among those that go.
            self.ask(&Question::None);
            self.known.clear();
        }
        let place = self.known.place(mask, values);
        self.program.blend(row, place);
    }

    pub(super) fn count(&self, count: impl FnOnce(&mut Traffic)) {
        count(&mut self.traffic.lock().unwrap_or_else(PoisonError::into_inner).traffic);
    }

    /// Says why runs are not captured, the first time.
    pub(crate) fn uncaptured(&self, why: &str) {
        let mut crossed = self.traffic.lock().unwrap_or_else(PoisonError::into_inner);
        if crossed.uncaptured.is_none() {
            tracing::warn!(why, "runs of a device are not captured");
            crossed.uncaptured = Some(why.to_owned());
        }
    }

    /// Memory for an answer of the model: where runs are captured, that of an earlier answer which was taken up.
    pub(super) fn answer(
        &mut self,
        element: Element,
        shape: &[usize],
    ) -> Result<Exclusively<DynTensor>, OrtError> {
        let fits = |(of, tensor): &(Element, Exclusively<DynTensor>)| {
            *of == element && tensor.shape().iter().copied().eq(shape.iter().map(|extent| *extent as i64))
        };
        match self.answers.iter().rposition(fits) {
            Some(place) => Ok(self.answers.remove(place).1),
            None => self.memory.dyn_tensor(element.ort(), shape),
        }
    }

    /// Keeps the memory of the answers that stages have taken up.
    pub(super) fn take_back(&mut self, stages: Vec<Stage>) {
        if self.repeats.graphs.after().is_none() {
            return;
        }
        for put in stages.into_iter().flat_map(|stage| stage.puts) {
            if self.answers.len() == ANSWERS {
                self.answers.remove(0);
            }
            self.answers.push((put.form.element, put.values));
        }
    }

    /// Sees that the device can turn rows into a model's element type, and back: without a model's run.
    ///
    /// # Errors
    /// [`OrtError::NotOnDevice`], such as for bf16 and f64 on WebGPU; [`OrtError::Run`] where this very device cannot.
    pub fn supports(&mut self, element: Element) -> Result<(), OrtError> {
        let question = Question::Rows(vec![self.zero() as i64], element);
        if element == Element::F32 { Ok(()) } else { self.run(&question).map(drop) }
    }

    /// The shape of one item.
    #[must_use]
    pub fn item_shape(&self) -> &[usize] {
        &self.item
    }

    pub(super) fn memory(&self) -> &DeviceMemory {
        &self.memory
    }

    /// Rows as a tensor `[n, item...]` of this type on the device, with rows of zeros up to `n`.
    pub(super) fn gather(
        &mut self,
        rows: Range<usize>,
        n: usize,
        element: Element,
    ) -> Result<Exclusively<DynTensor>, OrtError> {
        let padding = std::iter::repeat_n(self.zero(), n.saturating_sub(rows.len()));
        let places = rows.chain(padding).map(|row| row as i64).collect();
        match self.run(&Question::Rows(places, element))? {
            Answer::Rows(rows) => Ok(rows),
            _ => Err(OrtError::Device { said: "no rows were answered".to_owned() }),
        }
    }

    /// Takes in a model's answer on the device: its first rows, the others are of no use.
    pub(super) fn put(
        &mut self,
        values: Exclusively<DynTensor>,
        form: PutForm,
        rows: Range<usize>,
        n: usize,
    ) {
        self.settle();
        let padding = std::iter::repeat_n(self.waste(), n.saturating_sub(rows.len()));
        let rows = rows.map(|row| self.target(row)).chain(padding).collect();
        let waste = self.waste();
        self.program.put(Put { values, form, rows }, waste);
    }

    /// The rows that there are, with those of our own.
    pub(super) const fn all_rows(&self) -> usize {
        self.rows.saturating_add(2 + STAGED)
    }

    pub(super) const fn zero(&self) -> usize {
        self.rows
    }

    pub(super) const fn waste(&self) -> usize {
        self.rows + 1
    }

    /// Records what was put off.
    pub(super) fn settle(&mut self) {
        if let Some(row) = self.zeroed.take() {
            self.program.affine(row, Vec::new());
        }
    }

    /// A row that exists, or one whose value is of no use.
    pub(super) const fn target(&self, row: usize) -> usize {
        if row < self.rows { row } else { self.waste() }
    }

    pub(super) const fn source(&self, row: usize) -> usize {
        if row < self.rows { row } else { self.zero() }
    }
}
