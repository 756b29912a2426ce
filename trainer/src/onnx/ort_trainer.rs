//! Training by ONNX Runtime: what a step changes stays on the device.

use picardy_ort::call::{Sink, Source, call};
use picardy_ort::device::{DeviceMemory, upload};
use picardy_ort::{Model, Options, OrtError, Provider};

use super::adam::{NUMBERS, Rates, STATES};
use super::ort_error::OrtTrainError;
use super::resident::{Graph, Resident};
use super::weights::{all_from_graph, all_to_graph};
use super::{Pass, train_graph};
use crate::model::{Network, Parameter};
use crate::optimiser::AdamConfig;

/// Rows to learn from: noised items, what the network is told of them, and what it should answer.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// Items `[n, dim]`.
    pub x: &'a [f32],
    /// What the network is told of each `[n]`.
    pub t: &'a [f32],
    /// Conditions `[n, c]`, zeros where there is none; empty where the network takes none.
    pub condition: &'a [f32],
    /// What the network should answer `[n, dim]`.
    pub target: &'a [f32],
    /// What a row's squared distance counts `[n]`; 1 / (n dim) is the mean square.
    pub weight: &'a [f32],
}

/// What a step says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Told {
    /// The loss before the step.
    pub loss: f64,
    /// The gradient's norm before clipping.
    pub norm: f64,
}

/// A network in training on the device of an ONNX Runtime provider.
///
/// Parameters, Adam's two moments and the running average lie there; of a step, the batch goes up, and the loss and the
/// gradient's norm come back. Batches of fewer rows than the graph's are filled with rows that count nothing.
///
/// With [`Options::threads`] 1 on the processor, steps have the same bits in every run.
///
/// # Examples
///
/// ```no_run
/// use picardy_ort::Options;
/// use picardy_trainer::model::{MlpConfig, Network};
/// use picardy_trainer::onnx::{Batch, OrtTrainer, Rates};
/// use picardy_trainer::optimiser::AdamConfig;
///
/// let mut network = Network::<f32>::new(MlpConfig::new(2), 64, 7)?;
/// let options = Options { provider: "cuda".parse()?, ..Options::default() };
/// let mut trainer = OrtTrainer::new(&network, 64, AdamConfig::default(), options)?;
/// let batch = Batch { x: &[0.5, 1.0], t: &[10.0], condition: &[], target: &[0.1, -0.2], weight: &[0.5] };
/// for _ in 0..100 {
///     println!("{}", trainer.step(batch, Rates::new(1e-3))?.loss);
/// }
/// trainer.store(&mut network)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct OrtTrainer {
    layout: Vec<Parameter>,
    item: Vec<usize>,
    condition: usize,
    rows: usize,
    adam: AdamConfig,
    options: Options,
    states: [Resident; STATES.len()],
    gradient: Resident,
    /// Whether there is a gradient that the next is added to.
    is_summing: bool,
    steps: u64,
    /// Squares, Forward, Backward, Update.
    graphs: [Graph; 4],
}

impl OrtTrainer {
    /// Takes up a network's parameters, with an optimiser that has taken no step, for batches of up to `rows` rows.
    ///
    /// # Errors
    /// [`OrtTrainError::Onnx`] where the network has no graph, [`OrtTrainError::Ort`] where the provider cannot be used.
    pub fn new(
        network: &Network<f32>,
        rows: usize,
        adam: AdamConfig,
        options: Options,
    ) -> Result<Self, OrtTrainError> {
        let graph = |pass| -> Result<Graph, OrtTrainError> {
            Ok(Graph { bytes: train_graph(network, rows, pass, adam)?, model: None })
        };
        let mut graphs =
            [graph(Pass::Squares)?, graph(Pass::Forward)?, graph(Pass::Backward)?, graph(Pass::Update)?];
        let provider = graphs[3].model(&options)?.provider();
        let options = Options { provider, ..options };
        let memory = DeviceMemory::new(provider)?;
        let parameters = all_to_graph(network.layout(), network.parameters());
        let zeros = vec![0.0; parameters.len()];
        Ok(Self {
            layout: network.layout().to_vec(),
            item: network.config().shape.clone(),
            condition: network.condition(),
            rows,
            adam,
            options,
            states: [
                Resident::new(&memory, &parameters)?,
                Resident::new(&memory, &zeros)?,
                Resident::new(&memory, &zeros)?,
                Resident::new(&memory, &parameters)?,
            ],
            gradient: Resident::new(&memory, &zeros)?,
            is_summing: false,
            steps: 0,
            graphs,
        })
    }

    /// What evaluates the graphs.
    pub fn provider(&self) -> Provider {
        self.options.provider
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// One step on `sum_r weight_r |out_r - target_r|^2`.
    ///
    /// # Errors
    /// [`OrtTrainError::Rows`], [`OrtTrainError::Length`] and [`OrtTrainError::Rate`] about what is given,
    /// [`OrtTrainError::NotFinite`] where the step was not taken, [`OrtTrainError::Ort`].
    pub fn step(&mut self, batch: Batch<'_>, rates: Rates) -> Result<Told, OrtTrainError> {
        check(rates)?;
        let rows = Rows::new(self, batch.x, batch.t, batch.condition)?;
        let target = self.padded("target", batch.target, batch.t.len(), self.dim())?;
        let weight = self.padded("weight", batch.weight, batch.t.len(), 1)?;
        let (items, batches) = (self.items(), [self.rows]);
        let numbers = rates.numbers(self.adam, self.steps + 1);
        let mut told = [0.0; 2];
        let model = self.graphs[0].model(&self.options)?;
        let mut inputs = rows.inputs(&items);
        inputs.push(("target", Source::Host(&items, &target)));
        inputs.push(("weight", Source::Host(&batches, &weight)));
        inputs.push(("rates", Source::Host(&[NUMBERS], &numbers)));
        run_states(model, &mut self.states, inputs, ("told", &mut told))?;
        let [loss, norm] = told.map(f64::from);
        self.finish(loss, norm)?;
        Ok(Told { loss, norm })
    }

    /// The network's output for x [n, dim], told t `[n]` and the condition [n, c], into `out` [n, dim].
    ///
    /// # Errors
    /// As [`step`](Self::step), about what is given; [`OrtTrainError::Ort`].
    pub fn forward(
        &mut self,
        x: &[f32],
        t: &[f32],
        condition: &[f32],
        out: &mut [f32],
    ) -> Result<(), OrtTrainError> {
        let rows = Rows::new(self, x, t, condition)?;
        length("out", out.len(), x.len())?;
        let items = self.items();
        let mut all = vec![0.0; self.rows * self.dim()];
        let model = self.graphs[1].model(&self.options)?;
        let mut inputs = rows.inputs(&items);
        inputs.push(("parameters", Source::Device(&self.states[0].now)));
        call(model, &inputs, &mut [("out", Sink::Host(&items, &mut all))])?;
        out.copy_from_slice(&all[..out.len()]);
        Ok(())
    }

    /// Adds the gradient of `sum(out dout)` for these rows to the sum since the last [`update`](Self::update).
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn backward(
        &mut self,
        x: &[f32],
        t: &[f32],
        condition: &[f32],
        dout: &[f32],
    ) -> Result<(), OrtTrainError> {
        let rows = Rows::new(self, x, t, condition)?;
        let dout = self.padded("dout", dout, t.len(), self.dim())?;
        let items = self.items();
        let keep = [if self.is_summing { 1.0 } else { 0.0 }];
        let model = self.graphs[2].model(&self.options)?;
        let mut inputs = rows.inputs(&items);
        inputs.push(("dout", Source::Host(&items, &dout)));
        inputs.push(("keep", Source::Host(&[1], &keep)));
        inputs.push(("parameters", Source::Device(&self.states[0].now)));
        inputs.push(("gradient", Source::Device(&self.gradient.now)));
        call(model, &inputs, &mut [("gradient.next", Sink::Device(&mut self.gradient.next))])?;
        self.gradient.swap();
        self.is_summing = true;
        Ok(())
    }

    /// One step of Adam on the sum of gradients, which is forgotten then; the norm that it had.
    ///
    /// # Errors
    /// [`OrtTrainError::Rate`], [`OrtTrainError::NotFinite`] where the step was not taken, [`OrtTrainError::Ort`].
    pub fn update(&mut self, rates: Rates) -> Result<f64, OrtTrainError> {
        check(rates)?;
        if !self.is_summing {
            self.forget()?;
        }
        let numbers = rates.numbers(self.adam, self.steps + 1);
        let mut told = [0.0];
        let model = self.graphs[3].model(&self.options)?;
        let inputs = vec![
            ("gradient", Source::Device(&self.gradient.now)),
            ("rates", Source::Host(&[NUMBERS], &numbers)),
        ];
        run_states(model, &mut self.states, inputs, ("told", &mut told))?;
        self.is_summing = false;
        let norm = f64::from(told[0]);
        if !norm.is_finite() {
            // The next gradient is added to zero times this one, which would be no number.
            self.forget()?;
        }
        self.finish(0.0, norm)?;
        Ok(norm)
    }

    /// The gradient's numbers become zeros.
    fn forget(&mut self) -> Result<(), OrtError> {
        upload(&vec![0.0; self.len()], &mut self.gradient.now)
    }

    /// The sum of the gradients since the last update, in the network's order.
    ///
    /// # Errors
    /// [`OrtTrainError::Ort`].
    pub fn gradient(&self) -> Result<Vec<f32>, OrtTrainError> {
        match self.is_summing {
            true => Ok(all_from_graph(&self.layout, &self.gradient.get(self.len())?)),
            false => Ok(vec![0.0; self.len()]),
        }
    }

    /// Writes the parameters into the network that they came from, or one like it.
    ///
    /// # Errors
    /// [`OrtTrainError::Network`] for one of other sizes, [`OrtTrainError::Ort`].
    pub fn store(&self, network: &mut Network<f32>) -> Result<(), OrtTrainError> {
        if network.layout() != self.layout {
            return Err(OrtTrainError::Network { got: network.parameters().len(), expected: self.len() });
        }
        network.parameters_mut().copy_from_slice(&self.vector(0)?);
        Ok(())
    }

    /// The parameters' running average, in the network's order.
    ///
    /// # Errors
    /// [`OrtTrainError::Ort`].
    pub fn average(&self) -> Result<Vec<f32>, OrtTrainError> {
        self.vector(3)
    }

    /// Adam's mean and mean square of the gradients, in the network's order, as [`Adam::state`](crate::optimiser::Adam::state).
    ///
    /// # Errors
    /// [`OrtTrainError::Ort`].
    pub fn moments(&self) -> Result<[Vec<f32>; 2], OrtTrainError> {
        Ok([self.vector(1)?, self.vector(2)?])
    }

    /// Takes up what [`store`](Self::store), [`moments`](Self::moments), [`average`](Self::average) and [`steps`](Self::steps)
    /// gave.
    ///
    /// # Errors
    /// [`OrtTrainError::Length`] where one is not as long as the parameters, [`OrtTrainError::Ort`].
    pub fn restore(
        &mut self,
        parameters: &[f32],
        moments: [&[f32]; 2],
        average: &[f32],
        steps: u64,
    ) -> Result<(), OrtTrainError> {
        let all = [parameters, moments[0], moments[1], average];
        for (what, values) in STATES.into_iter().zip(all) {
            length(what, values.len(), self.len())?;
        }
        for (state, values) in self.states.iter_mut().zip(all) {
            upload(&all_to_graph(&self.layout, values), &mut state.now)?;
        }
        (self.steps, self.is_summing) = (steps, false);
        self.forget()?;
        Ok(())
    }

    fn vector(&self, which: usize) -> Result<Vec<f32>, OrtTrainError> {
        Ok(all_from_graph(&self.layout, &self.states[which].get(self.len())?))
    }

    /// How many parameters there are.
    fn len(&self) -> usize {
        self.layout.last().map_or(0, |parameter| parameter.range.end)
    }

    fn dim(&self) -> usize {
        self.item.iter().product()
    }

    /// The shape of a whole batch.
    fn items(&self) -> Vec<usize> {
        std::iter::once(self.rows).chain(self.item.iter().copied()).collect()
    }

    /// `rows` rows of `each` numbers, and zeros to the graph's batch.
    fn padded<'a>(
        &self,
        what: &'static str,
        values: &'a [f32],
        rows: usize,
        each: usize,
    ) -> Result<std::borrow::Cow<'a, [f32]>, OrtTrainError> {
        length(what, values.len(), rows * each)?;
        if rows == self.rows {
            return Ok(values.into());
        }
        let mut all = values.to_vec();
        all.resize(self.rows * each, 0.0);
        Ok(all.into())
    }

    /// Takes the new state, unless the step had no finite slope.
    fn finish(&mut self, loss: f64, norm: f64) -> Result<(), OrtTrainError> {
        if !(loss.is_finite() && norm.is_finite()) {
            return Err(OrtTrainError::NotFinite { step: self.steps, loss, norm });
        }
        self.states.iter_mut().for_each(Resident::swap);
        self.steps += 1;
        Ok(())
    }
}

/// The inputs of the network, as many rows as the graph has.
struct Rows<'a> {
    x: std::borrow::Cow<'a, [f32]>,
    t: std::borrow::Cow<'a, [f32]>,
    condition: std::borrow::Cow<'a, [f32]>,
    t_shape: [usize; 1],
    condition_shape: [usize; 2],
}

impl<'a> Rows<'a> {
    fn new(
        trainer: &OrtTrainer,
        x: &'a [f32],
        t: &'a [f32],
        condition: &'a [f32],
    ) -> Result<Self, OrtTrainError> {
        if t.is_empty() || t.len() > trainer.rows {
            return Err(OrtTrainError::Rows { got: t.len(), max: trainer.rows });
        }
        Ok(Self {
            x: trainer.padded("x", x, t.len(), trainer.dim())?,
            t: trainer.padded("t", t, t.len(), 1)?,
            condition: trainer.padded("condition", condition, t.len(), trainer.condition)?,
            t_shape: [trainer.rows],
            condition_shape: [trainer.rows, trainer.condition],
        })
    }

    fn inputs<'b>(&'b self, items: &'b [usize]) -> Vec<(&'static str, Source<'b>)> {
        let mut inputs =
            vec![("x", Source::Host(items, &self.x)), ("t", Source::Host(&self.t_shape, &self.t))];
        if self.condition_shape[1] > 0 {
            inputs.push(("condition", Source::Host(&self.condition_shape, &self.condition)));
        }
        inputs
    }
}

/// Runs a graph that makes new states of the states, into their room.
fn run_states<'a>(
    model: &mut Model,
    states: &'a mut [Resident; STATES.len()],
    mut inputs: Vec<(&'static str, Source<'a>)>,
    (told, numbers): (&str, &mut [f32]),
) -> Result<(), OrtError> {
    const NEXT: [&str; STATES.len()] = ["parameters.next", "mean.next", "square.next", "average.next"];
    let shape = [numbers.len()];
    let mut outputs = vec![(told, Sink::Host(&shape, numbers))];
    for ((state, name), next) in states.iter_mut().zip(STATES).zip(NEXT) {
        inputs.push((name, Source::Device(&state.now)));
        outputs.push((next, Sink::Device(&mut state.next)));
    }
    call(model, &inputs, &mut outputs)
}

fn length(what: &'static str, got: usize, expected: usize) -> Result<(), OrtTrainError> {
    match got == expected {
        true => Ok(()),
        false => Err(OrtTrainError::Length { what, got, expected }),
    }
}

/// A rate that is no number would leave no parameter one.
fn check(rates: Rates) -> Result<(), OrtTrainError> {
    let Rates { rate, clip, average_rest } = rates;
    let bad = |what, got, expected| Err(OrtTrainError::Rate { what, got, expected });
    if !(0.0..=1e6).contains(&rate) {
        return bad("rate", rate, "0 to 1e6");
    }
    if clip.is_nan() || clip <= 0.0 {
        return bad("clip", clip, "above 0, or infinite for none");
    }
    if !(0.0..=1.0).contains(&average_rest) {
        return bad("average_rest", average_rest, "0 to 1");
    }
    Ok(())
}
