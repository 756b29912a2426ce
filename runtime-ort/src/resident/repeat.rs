//! Small graphs that run as captured, where their shapes come again.
//!
//! A form's shapes, with its numbers of rows at powers of two, are seen some times before a session is made for them: making and
//! capturing one costs several runs. Then each set of addresses has a captured graph: the rows are in one of two places, and so is the
//! model's answer.

use std::collections::HashMap;

use ort::AsPointer;

use super::{
    capture::{CAPTURES, Captured, Outputs, PLACES},
    frames::ResidentFrames,
    graph::{self, Form, QuestionForm},
    packed::Packing,
    program::Stage,
    run::{Answer, Question, on_device},
    traffic::Traffic,
};
use crate::{
    device::{self, DeviceTensor},
    error::OrtError,
    graphs::GpuGraphs,
    provider::{Exclusively, Provider},
    session::{Model, Options},
};

/// The most sessions.
const SESSIONS: usize = 32;

/// The most shapes that are counted.
const SEEN: usize = 1024;

type Shapes = (Form, Packing);

/// The graphs of one [`ResidentFrames`].
#[derive(Debug, Default)]
pub(super) struct Repeats {
    /// As the model says that is evaluated on the rows.
    pub(super) graphs: GpuGraphs,
    /// How often the shapes came; `None` where they are not captured any more.
    seen: HashMap<Shapes, Option<u32>>,
    kept: HashMap<Shapes, Kept>,
}

/// A session of fixed shapes.
#[derive(Debug)]
struct Kept {
    model: Model,
    pack: DeviceTensor<f32>,
    answer: Option<DeviceTensor<f32>>,
    captured: Vec<(Vec<usize>, Captured)>,
}

/// What a small graph writes.
struct Written<'a> {
    out: Option<&'a mut DeviceTensor<f32>>,
    answer: Option<&'a mut DeviceTensor<f32>>,
}

impl Outputs for Written<'_> {
    fn numbers(&self) -> Result<Vec<f32>, OrtError> {
        let mut all = Vec::new();
        for tensor in self.out.iter().chain(&self.answer) {
            let begin = all.len();
            all.resize(begin + tensor.shape().num_elements(), 0.0);
            device::download(tensor, &mut all[begin..])?;
        }
        Ok(all)
    }

    fn spoil(&mut self) -> Result<(), OrtError> {
        for tensor in self.out.iter_mut().chain(&mut self.answer) {
            device::upload(&vec![f32::NAN; tensor.shape().num_elements()], tensor)?;
        }
        Ok(())
    }
}

impl ResidentFrames {
    /// Runs stages and answers as a captured graph, or on the way to one. `None` where they run as usual.
    ///
    /// # Errors
    /// Those of bringing known entries to the device. What fails of a capture is no error: the same stages run as usual.
    pub(super) fn repeated(
        &mut self,
        stages: &[Stage],
        form: &Form,
        question: &Question,
    ) -> Result<Option<Answer>, OrtError> {
        let Some(after) = self.repeats.graphs.after() else { return Ok(None) };
        let captures = matches!(self.memory.provider(), Provider::Cuda { .. } | Provider::WebGpu);
        // Answers in several parts are joined by a node whose sizes are no part of a kernel.
        let whole = form.stages.iter().all(|stage| stage.puts.is_none_or(|(_, puts)| puts == 1));
        let asks = matches!(form.question, QuestionForm::None | QuestionForm::Products);
        let rows = self.all_rows();
        if !captures || !whole || !asks || rows >= PLACES {
            return Ok(None);
        }
        let (packing, pack) = self.packed(stages, form, question);
        let shapes = (form.clone(), packing);
        let repeats = &mut self.repeats;
        if repeats.seen.len() >= SEEN && !repeats.seen.contains_key(&shapes) {
            repeats.seen.retain(|shapes, seen| seen.is_none() || repeats.kept.contains_key(shapes));
        }
        match repeats.seen.entry(shapes.clone()).or_insert(Some(0)) {
            None => return Ok(None),
            Some(times) if *times < after => {
                *times += 1;
                return Ok(None);
            }
            Some(_) => {}
        }
        let rows_up = self.known.upload(&self.memory, self.dim)?;
        self.count(|traffic| traffic.rows_up += rows_up);
        match self.run_kept(&shapes, stages, &pack) {
            Ok((captured, products)) => {
                let asked = match question {
                    Question::Products(places) => places[0].len(),
                    _ => 0,
                };
                self.count(|traffic| {
                    traffic.add(&Traffic {
                        runs: 1,
                        rows_up: stages.iter().map(|stage| stage.loads.len()).sum(),
                        products: asked,
                        coefficients: 4 * pack.len(),
                        captured: usize::from(captured),
                        ..Traffic::default()
                    });
                });
                if !stages.is_empty() {
                    std::mem::swap(&mut self.current, &mut self.spare);
                }
                Ok(Some(products.map_or(Answer::None, |mut products| {
                    products.truncate(asked);
                    Answer::Numbers(products)
                })))
            }
            Err(error) => {
                // The rows that it read are as they were.
                self.uncaptured(&error.to_string());
                self.repeats.kept.remove(&shapes);
                self.repeats.seen.insert(shapes, None);
                Ok(None)
            }
        }
    }

    /// The inputs of a graph in one tensor.
    fn packed(&self, stages: &[Stage], form: &Form, question: &Question) -> (Packing, Vec<f32>) {
        let (zero, waste) = (self.zero(), self.waste());
        let mut values = Vec::new();
        for (i, (stage, form)) in stages.iter().zip(&form.stages).enumerate() {
            values.extend(graph::inputs(i, stage, form, (zero, waste), true));
        }
        if let Question::Products(places) = question {
            for (name, places) in ["a0", "a1", "b0", "b1"].into_iter().zip(places) {
                values.push((name.to_owned(), graph::Value::Places(vec![places.len()], places.clone())));
            }
        }
        Packing::of(values, self.all_rows(), zero)
    }

    /// A run of the session of these shapes, which is made where there is none. Gives whether it was a captured graph's, and the answer.
    fn run_kept(
        &mut self,
        shapes: &Shapes,
        stages: &[Stage],
        pack: &[f32],
    ) -> Result<(bool, Option<Vec<f32>>), OrtError> {
        let provider = self.memory.provider();
        if !self.repeats.kept.contains_key(shapes) {
            if self.repeats.kept.len() >= SESSIONS {
                return Err(OrtError::Device {
                    said: format!("{SESSIONS} shapes are captured already, which is the most"),
                });
            }
            let kept = self.keep(shapes, pack.len())?;
            self.repeats.kept.insert(shapes.clone(), kept);
        }
        let Some(kept) = self.repeats.kept.get_mut(shapes) else {
            return Err(OrtError::Device { said: "a session is gone".to_owned() });
        };
        device::upload(pack, &mut kept.pack)?;
        let put = |stage: &Stage| stage.puts.first().map(|put| put.values.ptr().addr());
        let mut addresses: Vec<usize> = stages.iter().filter_map(put).collect();
        addresses.extend([self.current.ptr().addr(), self.spare.ptr().addr()]);
        addresses.extend(self.known.tensor.as_ref().map(|known| known.ptr().addr()));
        let place = match kept.captured.iter().position(|(of, _)| *of == addresses) {
            Some(place) => place,
            None => {
                if kept.captured.len() >= CAPTURES {
                    return Err(OrtError::Device { said: too_many() });
                }
                let mut binding = Exclusively::new(kept.model.session_mut().create_binding()?, provider);
                binding.bind_input("frames", &self.current)?;
                binding.bind_input("pack", &kept.pack)?;
                for (i, put) in
                    stages.iter().enumerate().filter_map(|(i, stage)| Some((i, stage.puts.first()?)))
                {
                    binding.bind_input(graph::put_values(i, 0), &put.values)?;
                }
                if let (Some(known), true) =
                    (&self.known.tensor, shapes.0.stages.iter().any(|stage| stage.blends))
                {
                    binding.bind_input("known", known)?;
                }
                if !stages.is_empty() {
                    binding.bind_output("out", &mut *self.spare)?;
                }
                if let Some(answer) = &mut kept.answer {
                    binding.bind_output("answer", &mut **answer)?;
                }
                kept.captured.push((addresses, Captured::new(binding, kept.captured.len() + 1)?));
                kept.captured.len() - 1
            }
        };
        let mut written =
            Written { out: (!stages.is_empty()).then_some(&mut self.spare), answer: kept.answer.as_mut() };
        let captured = kept.captured[place].1.run(kept.model.session_mut(), &mut written)?;
        let products = match &kept.answer {
            None => None,
            Some(answer) => {
                let mut products = vec![0.0; answer.shape().num_elements()];
                device::download(answer, &mut products)?;
                Some(products)
            }
        };
        Ok((captured, products))
    }

    fn keep(&self, shapes: &Shapes, length: usize) -> Result<Kept, OrtError> {
        let (form, packing) = shapes;
        let bytes = graph::build(form, self.dim, &self.item, Some(packing))
            .map_err(|error| OrtError::Device { said: error.to_string() })?;
        let options = Options { provider: self.memory.provider(), ..Options::default() };
        let model = Model::once(&bytes, options, true)?;
        on_device(&model)?;
        let answer = match form.question {
            QuestionForm::Products => Some(self.memory.tensor(&[packing.asked()])?),
            _ => None,
        };
        Ok(Kept { model, pack: self.memory.tensor(&[length])?, answer, captured: Vec::new() })
    }
}

/// What is said where a session has as many captured graphs as it may.
pub(super) fn too_many() -> String {
    format!(
        "{CAPTURES} graphs of one session are captured already, and they are freed with it: load the model anew for more"
    )
}
