//! Rows on a device, and what was recorded for them.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use ort::{
    memory::Allocator,
    value::{DynTensor, Tensor as Value},
};
use picardy::{Link, Need, Noise, Tensor};

use super::{
    graph::{self, Form, PutForm, QuestionForm, StageForm},
    program::{Program, Put, Stage},
};
use crate::{
    device::{self, DeviceMemory, DeviceTensor},
    element::Element,
    error::OrtError,
    provider::{Exclusively, Provider, exclusive},
    session::{Model, Options},
};

/// Rows of noise that wait for their state.
const STAGED: usize = 64;

/// The most stages of one graph. Longer programs (a solver of many steps back, node by node) run in parts.
const STAGES: usize = 6;

/// The graphs that are kept. A run needs a handful; sliding windows of odd lengths a few more.
const GRAPHS: usize = 64;

/// What has crossed between host and device, and how often something ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Runs of small graphs.
    pub runs: usize,
    /// Rows of states and noise that came from the host.
    pub rows_up: usize,
    /// Rows that went to the host.
    pub rows_down: usize,
    /// Inner products that went to the host.
    pub products: usize,
    /// Coefficients and places that came from the host, in bytes.
    pub coefficients: usize,
}

impl Traffic {
    fn add(&mut self, more: &Self) {
        self.runs += more.runs;
        self.rows_up += more.rows_up;
        self.rows_down += more.rows_down;
        self.products += more.products;
        self.coefficients += more.coefficients;
    }
}

/// Rows of states on a provider's device.
///
/// ```no_run
/// use std::path::Path;
/// use picardy::{Picard, Sampler, Slope, Span, Mark, Workspace};
/// use picardy_ort::{Model, Options, OrtDenoiser, Provider, ResidentFrames};
/// # let (plan, noise, mut x): (picardy::Plan<'_>, picardy::Noise<'_>, Vec<f32>) = todo!();
///
/// let options = Options { provider: Provider::WebGpu, ..Options::default() };
/// let mut denoiser = OrtDenoiser::new(Model::load(Path::new("model.onnx"), options)?)?;
/// let picard = Picard { slope: Slope::Secant, ..Picard::default() };
/// let need = picard.need(&plan, 16);
/// let frames = ResidentFrames::new(denoiser.model().provider(), need, denoiser.item_shape())?;
/// let (mut spans, mut marks) = (vec![Span::default(); need.spans], vec![Mark::default(); need.marks]);
/// let mut workspace = Workspace::new(frames, &mut spans).with_marks(&mut marks);
/// picard.run(&plan, &mut denoiser, &noise, &mut x, &mut workspace)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A trait of infallible operations hides what fails on a device: the first failure is kept, nothing runs after it, and the
/// next call of the network returns it.
#[derive(Debug)]
pub struct ResidentFrames {
    memory: DeviceMemory,
    item: Vec<usize>,
    dim: usize,
    rows: usize,
    /// The rows `[rows + 2 + STAGED, dim]`, and where the next run writes them: a device may not write what it reads.
    current: DeviceTensor<f32>,
    spare: DeviceTensor<f32>,
    program: Program,
    /// A row that was set to zero last, which is not recorded yet: noise mostly follows.
    zeroed: Option<usize>,
    staged: usize,
    graphs: HashMap<Form, Model>,
    traffic: Arc<Mutex<Traffic>>,
    error: Option<OrtError>,
}

/// Reads the [`Traffic`] of [`ResidentFrames`].
#[derive(Clone, Debug)]
pub struct Counter(Arc<Mutex<Traffic>>);

impl Counter {
    /// So far.
    #[must_use]
    pub fn get(&self) -> Traffic {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number or rows that are asked for.
enum Question {
    None,
    Rows(Vec<i64>, Element),
    /// Rows for the host.
    Stored(Vec<i64>),
    Products([Vec<i64>; 4]),
}

enum Answer {
    None,
    Rows(Exclusively<DynTensor>),
    Numbers(Vec<f32>),
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
            traffic: Arc::default(),
            error: None,
        })
    }

    /// What has crossed the bus so far: a reader that stays good while a run holds the rows.
    #[must_use]
    pub fn counter(&self) -> Counter {
        Counter(Arc::clone(&self.traffic))
    }

    fn count(&self, count: impl FnOnce(&mut Traffic)) {
        count(&mut self.traffic.lock().unwrap_or_else(PoisonError::into_inner));
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
        match self.run(Question::Rows(places, element)) {
            Answer::Rows(rows) => Ok(rows),
            _ => Err(self
                .error
                .take()
                .unwrap_or(OrtError::Device { said: "no rows were answered".to_owned() })),
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
        self.program.put(Put { values, form, rows });
    }

    const fn zero(&self) -> usize {
        self.rows
    }

    const fn waste(&self) -> usize {
        self.rows + 1
    }

    /// Records what was put off.
    fn settle(&mut self) {
        if let Some(row) = self.zeroed.take() {
            self.program.affine(row, Vec::new());
        }
    }

    /// A row that exists, or one whose value is of no use.
    const fn target(&self, row: usize) -> usize {
        if row < self.rows { row } else { self.waste() }
    }

    const fn source(&self, row: usize) -> usize {
        if row < self.rows { row } else { self.zero() }
    }

    /// Runs what was recorded, and answers.
    fn run(&mut self, question: Question) -> Answer {
        self.settle();
        self.staged = 0;
        if self.error.is_some() {
            self.program = Program::default();
            return Answer::None;
        }
        let mut stages = std::mem::take(&mut self.program).into_stages();
        let _turn = exclusive(self.memory.provider());
        let mut answered = Ok(Answer::None);
        while stages.len() > STAGES && answered.is_ok() {
            let rest = stages.split_off(STAGES);
            answered = self.run_stages(&std::mem::replace(&mut stages, rest), &Question::None);
        }
        if answered.is_ok() && !(stages.is_empty() && matches!(question, Question::None)) {
            answered = self.run_stages(&stages, &question);
        }
        answered.unwrap_or_else(|error| {
            self.error = Some(error);
            Answer::None
        })
    }

    fn run_stages(&mut self, stages: &[Stage], question: &Question) -> Result<Answer, OrtError> {
        let form = Form {
            stages: stages.iter().map(StageForm::of).collect(),
            question: match question {
                Question::None => QuestionForm::None,
                Question::Rows(_, element) => QuestionForm::Rows(*element),
                Question::Stored(_) => QuestionForm::Rows(Element::F32),
                Question::Products(_) => QuestionForm::Products,
            },
        };
        if !self.graphs.contains_key(&form) {
            if self.graphs.len() >= GRAPHS {
                self.graphs.clear();
            }
            let device = |said: String| OrtError::Device { said };
            let bytes =
                graph::build(&form, self.dim, &self.item).map_err(|error| device(error.to_string()))?;
            let options = Options { provider: self.memory.provider(), ..Options::default() };
            self.graphs.insert(form.clone(), Model::from_bytes(&bytes, options)?);
        }
        let (zero, waste) = (self.zero(), self.waste());
        let mut moved = Traffic { runs: 1, ..Traffic::default() };
        let Some(model) = self.graphs.get_mut(&form) else { return Ok(Answer::None) };
        let session = model.session_mut();
        let mut binding = session.create_binding()?;
        binding.bind_input("frames", &self.current)?;
        for (i, (stage, form)) in stages.iter().zip(&form.stages).enumerate() {
            for (name, value) in graph::inputs(i, stage, form, zero, waste) {
                match value {
                    graph::Value::Floats(shape, values) => {
                        moved.coefficients += 4 * values.len();
                        binding.bind_input(name, &Value::from_array((shape, values))?)?;
                    }
                    graph::Value::Places(shape, values) => {
                        moved.coefficients += 8 * values.len();
                        binding.bind_input(name, &Value::from_array((shape, values))?)?;
                    }
                }
            }
            if let Some(put) = &stage.put {
                binding.bind_input(format!("put.values{i}"), &put.values)?;
            }
            moved.rows_up += stage.loads.len();
        }
        if !stages.is_empty() {
            binding.bind_output("out", &mut *self.spare)?;
        }
        let answer = match question {
            Question::None => {
                session.run_binding(&binding)?;
                Answer::None
            }
            Question::Rows(index, element) => {
                let shape: Vec<usize> =
                    std::iter::once(index.len()).chain(self.item.iter().copied()).collect();
                let mut rows = self.memory.dyn_tensor(element.ort(), &shape)?;
                binding.bind_input("index", &Value::from_array((vec![index.len()], index.clone()))?)?;
                binding.bind_output("answer", &mut *rows)?;
                session.run_binding(&binding)?;
                Answer::Rows(rows)
            }
            Question::Stored(index) => {
                let shape: Vec<usize> =
                    std::iter::once(index.len()).chain(self.item.iter().copied()).collect();
                let mut rows = Value::<f32>::new(&Allocator::default(), shape)?;
                binding.bind_input("index", &Value::from_array((vec![index.len()], index.clone()))?)?;
                binding.bind_output("answer", &mut rows)?;
                session.run_binding(&binding)?;
                moved.rows_down += index.len();
                Answer::Numbers(rows.try_extract_tensor::<f32>()?.1.to_vec())
            }
            Question::Products(places) => {
                for (name, index) in ["a0", "a1", "b0", "b1"].into_iter().zip(places) {
                    binding.bind_input(name, &Value::from_array((vec![index.len()], index.clone()))?)?;
                }
                let mut products = Value::<f32>::new(&Allocator::default(), vec![places[0].len()])?;
                binding.bind_output("answer", &mut products)?;
                session.run_binding(&binding)?;
                moved.products += places[0].len();
                Answer::Numbers(products.try_extract_tensor::<f32>()?.1.to_vec())
            }
        };
        self.count(|traffic| traffic.add(&moved));
        if !stages.is_empty() {
            std::mem::swap(&mut self.current, &mut self.spare);
        }
        Ok(answer)
    }

    /// The inner products of differences of rows; NaN after a failure.
    fn products(&mut self, asks: impl Iterator<Item = [usize; 4]>) -> Vec<f32> {
        let mut places: [Vec<i64>; 4] = Default::default();
        for ask in asks {
            for (places, row) in places.iter_mut().zip(ask) {
                places.push(self.source(row) as i64);
            }
        }
        let n = places[0].len();
        if n == 0 {
            return Vec::new();
        }
        match self.run(Question::Products(places)) {
            Answer::Numbers(products) => products,
            _ => vec![f32::NAN; n],
        }
    }
}

impl Tensor for ResidentFrames {
    type Scalar = f32;

    fn rows(&self) -> usize {
        self.rows
    }

    fn dim(&self) -> usize {
        self.dim
    }

    fn load(&mut self, row: usize, values: &[f32]) {
        self.settle();
        if row < self.rows && values.len() == self.dim {
            self.program.load(row, values.to_vec());
        }
    }

    fn store(&mut self, row: usize, values: &mut [f32]) {
        match self.run(Question::Stored(vec![self.source(row) as i64])) {
            Answer::Numbers(numbers) if numbers.len() == values.len() => values.copy_from_slice(&numbers),
            _ => {}
        }
    }

    fn combine(&mut self, dst: usize, terms: &[(f64, usize)]) {
        self.settle();
        let dst = self.target(dst);
        if terms.is_empty() {
            self.zeroed = Some(dst);
        } else {
            let terms = terms.iter().map(|&(weight, row)| (weight as f32, self.source(row))).collect();
            self.program.affine(dst, terms);
        }
    }

    fn extrapolate(&mut self, dst: usize, base: usize, weight: f64, a: usize, b: usize) {
        self.combine(dst, &[(1.0, base), (weight, a), (-weight, b)]);
    }

    fn add_noise(&mut self, dst: usize, weight: f64, noise: &Noise<'_>, item: usize, node: usize) {
        let mut values = vec![0.0; self.dim];
        noise.fill(weight, item, node, &mut values);
        let dst = self.target(dst);
        if self.zeroed == Some(dst) {
            self.zeroed = None;
            self.program.load(dst, values);
            return;
        }
        self.settle();
        if self.staged == STAGED {
            self.run(Question::None);
        }
        let staged = self.rows + 2 + self.staged;
        self.staged += 1;
        self.program.load(staged, values);
        self.program.affine(dst, vec![(1.0, dst), (1.0, staged)]);
    }

    fn dot(&mut self, a: (usize, usize), b: (usize, usize)) -> f64 {
        self.products(std::iter::once([a.0, a.1, b.0, b.1])).first().map_or(f64::NAN, |dot| f64::from(*dot))
    }

    fn is_finite(&mut self, row: usize) -> bool {
        let zero = self.zero();
        self.products(std::iter::once([row, zero, row, zero]))
            .first()
            .is_some_and(|square| square.is_finite())
    }

    fn squares(&mut self, asks: impl Iterator<Item = (usize, usize)>, mut answer: impl FnMut(usize, f64)) {
        let products = self.products(asks.map(|(a, b)| [a, b, a, b]));
        for (place, square) in products.into_iter().enumerate() {
            answer(place, f64::from(square));
        }
    }

    fn secants(
        &mut self,
        finite: Range<usize>,
        asks: impl Iterator<Item = [(usize, usize); 2]>,
        mut answer: impl FnMut(usize, [f64; 3]),
    ) -> Option<usize> {
        let zero = self.zero();
        let secants =
            asks.flat_map(|[x, m]| [[x.0, x.1, x.0, x.1], [x.0, x.1, m.0, m.1], [m.0, m.1, m.0, m.1]]);
        let squares = finite.clone().map(|row| [row, zero, row, zero]);
        let products = self.products(squares.chain(secants));
        let (squares, secants) = products.split_at(finite.len().min(products.len()));
        // After a failure nothing is finite; the next call of the network says why.
        if self.error.is_none()
            && let Some(place) = squares.iter().position(|square| !square.is_finite())
        {
            return Some(finite.start + place);
        }
        for (place, products) in secants.chunks_exact(3).enumerate() {
            answer(place, [0, 1, 2].map(|i| f64::from(products[i])));
        }
        None
    }

    fn has_chains(&self) -> bool {
        true
    }

    fn chain(&mut self, from: usize, links: impl Iterator<Item = Link>) {
        self.settle();
        self.program.chain(from, links);
    }
}
