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

#[cfg(test)]
mod tests {
    use picardy::{Link, Need, Noise, Tensor};

    use super::{super::run::form, *};

    /// Row operations of every kind, in several stages.
    fn record(frames: &mut ResidentFrames, seed: usize) {
        for row in 0..6 {
            let values: Vec<f32> =
                (0..3).map(|i| ((seed + 5 * row + 2 * i) % 11) as f32 / 4.0 - 1.0).collect();
            frames.load(row, &values);
        }
        // Rows that are not written keep what they hold, and of infinities nothing is left where they are written.
        frames.load(6, &[f32::INFINITY, f32::NAN, -0.0]);
        frames.combine(7, &[(0.5, 0), (-1.5, 1), (1.0, 2)]);
        frames.combine(8, &[(2.0, 7), (1.0, 6)]);
        frames.combine(6, &[(1.0, 3)]);
        let first = Link::new(9).plus(1.0, 4);
        frames.chain(
            [first, Link::new(10).carry(0, 0.75).plus(0.5, 5), Link::new(11).carry(0, -0.25)].into_iter(),
        );
        frames.clamp(7, -0.5, 0.5);
        frames.blend(10, &[1.0, 0.0, 0.5], &[3.0, f32::NAN, -3.0]);
        frames.combine(5, &[]);
        frames.add_noise(5, 0.3, &Noise::seeded(seed as u64), 0, 1);
        frames.add_noise(7, 0.3, &Noise::seeded(seed as u64), 1, 1);
        frames.settle();
    }

    #[test]
    fn packed_graphs_are_the_graphs_apart() {
        crate::ensure_runtime().unwrap();
        let mut frames =
            ResidentFrames::new(Provider::Cpu, Need { rows: 14, spans: 0, marks: 0 }, &[3]).unwrap();
        let mut shapes = Vec::new();
        for seed in [0, 1, 7] {
            record(&mut frames, seed);
            let stages = std::mem::take(&mut frames.program).into_stages();
            let asked = Question::Products([vec![7, 8, 9], vec![0, 1, 14], vec![10, 5, 11], vec![2, 3, 14]]);
            let form = form(&stages, &asked);
            frames.known.upload(&frames.memory, 3).unwrap();
            let (packing, pack) = frames.packed(&stages, &form, &asked);
            let bytes = graph::build(&form, 3, &[3], Some(&packing)).unwrap();
            let mut model = Model::once(&bytes, Options::default(), false).unwrap();
            let mut on_device = frames.memory.tensor::<f32>(&[pack.len()]).unwrap();
            device::upload(&pack, &mut on_device).unwrap();
            let mut out = frames.memory.tensor::<f32>(&[frames.all_rows(), 3]).unwrap();
            let mut answer = frames.memory.tensor::<f32>(&[packing.asked()]).unwrap();
            let mut binding = model.session_mut().create_binding().unwrap();
            binding.bind_input("frames", &frames.current).unwrap();
            binding.bind_input("pack", &on_device).unwrap();
            binding.bind_input("known", frames.known.tensor.as_ref().unwrap()).unwrap();
            binding.bind_output("out", &mut *out).unwrap();
            binding.bind_output("answer", &mut *answer).unwrap();
            model.session_mut().run_binding(&binding).unwrap();

            frames.program = super::super::program::Program::of(stages);
            let Answer::Numbers(want) = frames.run(&asked).unwrap() else { panic!("no numbers") };
            let held = |tensor: &DeviceTensor<f32>| tensor.try_extract_tensor::<f32>().unwrap().1.to_vec();
            let (got, rows) = (held(&answer), 3 * (frames.zero() + 1));
            assert_eq!(
                got[..3].iter().map(|x| x.to_bits()).collect::<Vec<_>>(),
                want.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
            );
            assert!(got.len() == 4 && want.iter().any(|x| x.is_finite() && *x != 0.0), "{want:?}");
            let (got, want) = (held(&out), held(&frames.current));
            for (place, (got, want)) in got.iter().zip(&want).enumerate().take(rows) {
                let same = got == want || (got.is_nan() && want.is_nan());
                assert!(same, "seed {seed}, row {}: {got} {want}", place / 3);
            }
            shapes.push((form, packing));
        }
        // Other numbers of the same shapes: one graph for all of them.
        assert!(shapes[0] == shapes[1] && shapes[1] == shapes[2]);
    }

    /// Of numbers of rows up to a power of two, one.
    #[test]
    fn numbers_of_rows_share_a_packing() {
        let packing = |n: usize| {
            let places = graph::Value::Places(vec![n], vec![3; n]);
            let written = graph::Value::Places(vec![n, 1], (0..n as i64).collect());
            let values = vec![("clamp.index0".to_owned(), places), ("clamp.to0".to_owned(), written)];
            Packing::of(values, 12, 9)
        };
        let (five, pack) = packing(5);
        assert_eq!(pack[..8], [3.0, 3.0, 3.0, 3.0, 3.0, 9.0, 9.0, 9.0]);
        assert_eq!(pack[8..], [0.0, 1.0, 2.0, 3.0, 4.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0]);
        assert!(packing(8).0 == five && packing(4).0 != five);
    }
}
