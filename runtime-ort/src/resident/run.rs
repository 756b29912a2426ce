//! Runs of what was recorded.

use ort::{
    memory::Allocator,
    value::{DynTensor, Tensor as Value},
};

use super::{
    frames::ResidentFrames,
    graph::{self, Form, QuestionForm, StageForm},
    program::{Program, Stage},
    traffic::Traffic,
};
use crate::{
    element::Element,
    error::OrtError,
    placement::Placement,
    provider::{Exclusively, Provider, exclusive},
    session::{Model, Options},
};

/// The most stages of one graph. Longer programs (a solver of many steps back, node by node) run in parts.
const STAGES: usize = 16;

/// The graphs that are kept. A run needs a handful; sliding windows of odd lengths a few more.
const GRAPHS: usize = 64;

/// A number or rows that are asked for.
pub(super) enum Question {
    None,
    Rows(Vec<i64>, Element),
    /// Rows for the host.
    Stored(Vec<i64>),
    Products([Vec<i64>; 4]),
}

pub(super) enum Answer {
    None,
    Rows(Exclusively<DynTensor>),
    Numbers(Vec<f32>),
}

impl ResidentFrames {
    /// Runs what was recorded, and answers. After a failure all that did not run is recorded still, so that the same may be
    /// asked again; not so where rows are lost.
    pub(super) fn run(&mut self, question: &Question) -> Result<Answer, OrtError> {
        self.settle();
        self.staged = 0;
        let mut stages = std::mem::take(&mut self.program).into_stages();
        if let Some(said) = &self.lost {
            return Err(OrtError::Device { said: said.clone() });
        }
        let _turn = exclusive(self.memory().provider());
        loop {
            let later = if stages.len() > STAGES { stages.split_off(STAGES) } else { Vec::new() };
            let asked = if later.is_empty() { question } else { &Question::None };
            if stages.is_empty() && matches!(asked, Question::None) {
                return Ok(Answer::None);
            }
            match self.run_stages(&stages, asked) {
                Ok(answer) => {
                    self.take_back(stages);
                    if later.is_empty() {
                        return Ok(answer);
                    }
                    stages = later;
                }
                Err(error) => {
                    stages.extend(later);
                    self.program = Program::of(stages);
                    return Err(error);
                }
            }
        }
    }

    /// The same for a sampler that cannot be told of errors: it is told nothing, rows are lost from then on, and the next call of
    /// the network says why.
    pub(super) fn ask(&mut self, question: &Question) -> Answer {
        self.run(question).unwrap_or_else(|error| {
            self.program = Program::default();
            self.lost.get_or_insert_with(|| match error {
                OrtError::Run(error) => error.message().trim().to_owned(),
                error => error.to_string(),
            });
            Answer::None
        })
    }

    fn run_stages(&mut self, stages: &[Stage], question: &Question) -> Result<Answer, OrtError> {
        let form = form(stages, question);
        if let Some(answer) = self.repeated(stages, &form, question)? {
            return Ok(answer);
        }
        if !self.graphs.contains_key(&form) {
            if self.graphs.len() >= GRAPHS {
                self.graphs.clear();
            }
            let device = |said: String| OrtError::Device { said };
            let bytes =
                graph::build(&form, self.dim, &self.item, None).map_err(|error| device(error.to_string()))?;
            let provider = match self.memory.provider() {
                // They share a device's memory, and TensorRT would compile each graph for minutes.
                Provider::TensorRt { device, .. } => Provider::Cuda { device },
                provider => provider,
            };
            let options = Options { provider, ..Options::default() };
            let graph = Model::once(&bytes, options, false)?;
            on_device(&graph)?;
            self.graphs.insert(form.clone(), graph);
        }
        let (zero, waste) = (self.zero(), self.waste());
        let rows_up = self.known.upload(&self.memory, self.dim)?;
        let mut moved = Traffic { runs: 1, rows_up, ..Traffic::default() };
        let Some(model) = self.graphs.get_mut(&form) else { return Ok(Answer::None) };
        let session = model.session_mut();
        let mut binding = session.create_binding()?;
        binding.bind_input("frames", &self.current)?;
        for (i, (stage, form)) in stages.iter().zip(&form.stages).enumerate() {
            for (name, value) in graph::inputs(i, stage, form, (zero, waste), false) {
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
            let puts = form.puts.map_or(0, |(_, puts)| puts);
            let again = stage.puts.last().into_iter().cycle();
            for (part, put) in stage.puts.iter().chain(again).take(puts).enumerate() {
                binding.bind_input(graph::put_values(i, part), &put.values)?;
            }
            moved.rows_up += stage.loads.len();
        }
        if let (Some(known), true) = (&self.known.tensor, form.stages.iter().any(|stage| stage.blends)) {
            binding.bind_input("known", known)?;
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
    pub(super) fn products(&mut self, asks: impl Iterator<Item = [usize; 4]>) -> Vec<f32> {
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
        match self.ask(&Question::Products(places)) {
            Answer::Numbers(products) => products,
            _ => vec![f32::NAN; n],
        }
    }
}

pub(super) fn form(stages: &[Stage], question: &Question) -> Form {
    Form {
        stages: stages.iter().map(StageForm::of).collect(),
        question: match question {
            Question::None => QuestionForm::None,
            Question::Rows(_, element) => QuestionForm::Rows(*element),
            Question::Stored(_) => QuestionForm::Rows(Element::F32),
            Question::Products(_) => QuestionForm::Products,
        },
    }
}

/// Sees that a graph of rows runs on the device, all of it: a node elsewhere would copy rows to the host and back unseen.
pub(super) fn on_device(graph: &Model) -> Result<(), OrtError> {
    let provider = graph.provider();
    let own = |node: &&Placement| provider.ort_name() == Some(node.provider.as_str());
    match graph.placements().iter().find(|node| !own(node)) {
        Some(node) if provider != Provider::Cpu => {
            Err(OrtError::NotOnDevice { provider, node: node.to_string() })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use picardy::{
        Batch, Betas, Ddim, Denoiser, Level, Mark, Node, Noise, Picard, Prediction, Run, SampleError,
        Sampler, Solver, Span, Tensor, Workspace,
    };

    use super::*;
    use crate::{
        denoiser::OrtDenoiser,
        device::DeviceTensor,
        onnx::{Extent, GraphBuilder},
    };

    /// y = x / 2, of items of two numbers.
    fn half() -> OrtDenoiser {
        crate::ensure_runtime().unwrap();
        let shape = [Extent::Free("n"), Extent::Fixed(2)];
        let mut graph = GraphBuilder::new("half");
        graph.input("x", Element::F32, &shape);
        graph.input("t", Element::F32, &[Extent::Free("n")]);
        graph.floats("half", &[1], &[0.5]).unwrap();
        graph.node("y", "Mul", &["x", "half"], &[]);
        graph.output("y", &shape);
        OrtDenoiser::new(Model::from_bytes(&graph.finish().unwrap(), Options::default()).unwrap()).unwrap()
    }

    /// Breaks the device in a call, or after it: the rows, or where the next would be written, are a tensor of another shape, at
    /// which ONNX Runtime fails.
    struct Breaking {
        inner: OrtDenoiser,
        calls: usize,
        before: Option<usize>,
        after: Option<usize>,
        good: Option<DeviceTensor<f32>>,
    }

    impl Denoiser<&mut ResidentFrames> for Breaking {
        type Error = OrtError;

        fn evaluate(
            &mut self,
            batch: &Batch<'_>,
            frames: &mut &mut ResidentFrames,
            x: Range<usize>,
            out: Range<usize>,
        ) -> Result<(), OrtError> {
            let (call, broken) = (Some(self.calls), frames.memory.tensor(&[1, 1])?);
            self.calls += 1;
            if self.before == call {
                let good = std::mem::replace(&mut frames.current, broken);
                let result = self.inner.evaluate(batch, frames, x, out);
                frames.current = good;
                return result;
            }
            self.inner.evaluate(batch, frames, x, out)?;
            if self.after == call {
                self.good = Some(std::mem::replace(&mut frames.spare, broken));
            }
            Ok(())
        }
    }

    #[test]
    fn more_known_entries_than_are_kept_are_blended_all_the_same() {
        crate::ensure_runtime().unwrap();
        let need = picardy::Need { rows: 1, spans: 0, marks: 0 };
        let mut frames = ResidentFrames::new(Provider::Cpu, need, &[1]).unwrap();
        let (mut x, mut want) = ([8.0], 8.0f32);
        frames.load(0, &x);
        // Each its own; the first come again at the end.
        for value in (0..1500).chain(0..3) {
            frames.blend(0, &[0.5], &[value as f32]);
            want += 0.5 * (value as f32 - want);
        }
        frames.store(0, &mut x);
        assert!((x[0] - want).abs() < 1e-5, "{x:?} {want}");
        assert!(frames.failure().is_none());
    }

    #[test]
    fn what_fails_between_calls_is_told_by_the_next_and_forgotten_by_the_next_run() {
        let mut levels = [Level::default(); 9];
        let mut nodes = [Node::default(); 9];
        let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(8, &mut levels).unwrap();
        let plan = Ddim::default().plan(&grid, Prediction::Epsilon, &mut nodes).unwrap();
        let picard = Picard { tolerance: 1e-4, ..Picard::default() };
        let (noise, need) = (Noise::seeded(3), picard.need(&plan, 2));
        let (mut spans, mut marks) = (vec![Span::default(); need.spans], vec![Mark::default(); need.marks]);
        let mut start = [0.0; 4];
        plan.start(&noise, 2, &mut start);
        let mut denoiser = Breaking { inner: half(), calls: 0, before: None, after: None, good: None };
        let mut frames = ResidentFrames::new(Provider::Cpu, need, &[2]).unwrap();

        let mut want = start;
        let mut workspace = Workspace::new(&mut frames, &mut spans).with_marks(&mut marks);
        picard.run(&plan, &mut denoiser, &noise, &mut want, &mut workspace).unwrap();

        // Between the calls: the next says why, as often as it is made, and the sample is none.
        (denoiser.calls, denoiser.after) = (0, Some(1));
        let mut x = start;
        let mut run = picard.begin(&plan, &noise, &x, &mut workspace).unwrap();
        let error = std::iter::repeat_with(|| run.round(&mut denoiser)).find_map(Result::err).unwrap();
        assert_eq!(denoiser.calls, 3);
        for error in [error, run.round(&mut denoiser).unwrap_err()] {
            assert!(matches!(error, SampleError::Denoiser(OrtError::Device { .. })), "{error}");
            assert!(error.to_string().contains("Start the run again"), "{error}");
        }
        run.finish(&mut x);
        assert!(x.iter().all(|x| x.is_nan()), "{x:?}");
        assert!(frames.failure().is_some());

        // The device is well again: so is the next run on the same rows, from other numbers too.
        frames.spare = denoiser.good.take().unwrap();
        denoiser.after = None;
        let mut workspace = Workspace::new(&mut frames, &mut spans).with_marks(&mut marks);
        let mut x = start;
        picard.run(&plan, &mut denoiser, &noise, &mut x, &mut workspace).unwrap();
        assert_eq!(x, want);

        // In the call itself: nothing is lost, and the same rows are asked for again.
        (denoiser.calls, denoiser.before) = (0, Some(1));
        let mut x = start;
        let mut run = picard.begin(&plan, &noise, &x, &mut workspace).unwrap();
        run.round(&mut denoiser).unwrap();
        let error = run.round(&mut denoiser).unwrap_err();
        assert!(matches!(error, SampleError::Denoiser(OrtError::Run(_))), "{error}");
        while run.round(&mut denoiser).unwrap().is_some() {}
        run.finish(&mut x);
        assert_eq!(x, want);
        assert!(frames.failure().is_none());
    }
}
