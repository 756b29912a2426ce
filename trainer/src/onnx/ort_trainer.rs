//! Training by ONNX Runtime: what a step changes stays on the device.

use picardy_ort::call::{Sink, Source, call};
use picardy_ort::device::{DeviceMemory, upload};
use picardy_ort::{Model, Options, OrtError, Provider};

use super::adam::{NUMBERS, Rates, STATES};
use super::ort_error::OrtTrainError;
use super::part::{Part, filled, length};
use super::resident::{Graph, Resident};
use super::weights::{all_from_graph, all_to_graph};
use super::{Averaged, Pass, train_graph};
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
/// [`step`](OrtTrainer::step) learns weighted squares. Any other loss sees a [`Learner`](crate::model::Learner), calls it as it
/// likes, and [`update`](OrtTrainer::update) takes the step on the sum of its gradients.
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
/// let mut trainer = OrtTrainer::new(&network, &[64], AdamConfig::default(), options)?;
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
    pub(super) condition: usize,
    adam: AdamConfig,
    options: Options,
    states: [Resident; STATES.len()],
    gradient: Resident,
    /// Whether there is a gradient that the next is added to.
    is_summing: bool,
    steps: u64,
    update: Graph,
    /// From the fewest rows to the most.
    parts: Vec<Part>,
    /// Which of them the last forward pass was of.
    last: usize,
}

impl OrtTrainer {
    /// Takes up a network's parameters, with an optimiser that has taken no step. Each of `rows` is the size of a batch that gets
    /// graphs of its own; batches of other sizes are filled up to the next larger one. A graph is loaded when it is first run.
    ///
    /// # Errors
    /// [`OrtTrainError::Onnx`] where the network has no graph, [`OrtTrainError::Ort`] where the provider cannot be used.
    pub fn new(
        network: &Network<f32>,
        rows: &[usize],
        adam: AdamConfig,
        options: Options,
    ) -> Result<Self, OrtTrainError> {
        let mut rows = rows.to_vec();
        rows.sort_unstable();
        rows.dedup();
        // With no size, the graph of no rows says so.
        let most = rows.last().copied().unwrap_or(0);
        let mut update = Graph { bytes: train_graph(network, most, Pass::Update, adam)?, model: None };
        let provider = update.model(&options)?.provider();
        let options = Options { provider, ..options };
        let memory = DeviceMemory::new(provider)?;
        let parts = rows.into_iter().map(|rows| Part::new(network, rows, adam, &memory));
        let parameters = all_to_graph(network.layout(), network.parameters());
        let zeros = vec![0.0; parameters.len()];
        Ok(Self {
            layout: network.layout().to_vec(),
            item: network.config().shape.clone(),
            condition: network.condition(),
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
            update,
            parts: parts.collect::<Result<_, _>>()?,
            last: 0,
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

    /// One step on `sum_r weight_r |out_r - target_r|^2`, in one run of one graph: what a loss of any form needs three for. Gradients
    /// summed before are forgotten, since they are of other parameters; go forward again before going back.
    ///
    /// # Errors
    /// [`OrtTrainError::Rows`], [`OrtTrainError::Length`] and [`OrtTrainError::Rate`] about what is given,
    /// [`OrtTrainError::NotFinite`] where the step was not taken, [`OrtTrainError::Ort`].
    pub fn step(&mut self, batch: Batch<'_>, rates: Rates) -> Result<Told, OrtTrainError> {
        check(rates)?;
        let (n, dim) = (batch.t.len(), self.item_len());
        let part = self.part(n)?;
        length("target", batch.target.len(), n * dim)?;
        length("weight", batch.weight.len(), n)?;
        if self.is_summing {
            self.forget()?;
        }
        let part = &mut self.parts[part];
        part.show(batch.x, batch.t, batch.condition)?;
        let (rows, items) = ([part.rows], part.items.clone());
        let (mut room, mut weights) = (Vec::new(), Vec::new());
        let target = filled(batch.target, part.rows * dim, &mut room);
        let weight = filled(batch.weight, part.rows, &mut weights);
        let numbers = rates.numbers(self.adam, self.steps + 1);
        let mut told = [0.0; 3];
        let (graph, mut inputs) = part.whole();
        inputs.push(("target", Source::Host(&items, target)));
        inputs.push(("weight", Source::Host(&rows, weight)));
        inputs.push(("rates", Source::Host(&[NUMBERS], &numbers)));
        run_states(graph.model(&self.options)?, &mut self.states, inputs, ("told", &mut told))?;
        let [loss, norm, parameters] = told.map(f64::from);
        self.finish(loss, norm, parameters)?;
        Ok(Told { loss, norm })
    }

    /// One step of Adam on the sum of gradients since the last one, which is forgotten then; the norm that it had, times
    /// [`Rates::scale`].
    ///
    /// # Errors
    /// [`OrtTrainError::Rate`], [`OrtTrainError::NotFinite`] where the step was not taken, [`OrtTrainError::Ort`].
    pub fn update(&mut self, rates: Rates) -> Result<f64, OrtTrainError> {
        check(rates)?;
        if !self.is_summing {
            self.forget()?;
        }
        let numbers = rates.numbers(self.adam, self.steps + 1);
        let mut told = [0.0; 2];
        let model = self.update.model(&self.options)?;
        let inputs = vec![
            ("gradient", Source::Device(&self.gradient.now)),
            ("rates", Source::Host(&[NUMBERS], &numbers)),
        ];
        run_states(model, &mut self.states, inputs, ("told", &mut told))?;
        self.is_summing = false;
        let [norm, parameters] = told.map(f64::from);
        if !norm.is_finite() {
            // The next gradient is added to zero times this one, which would be no number.
            self.forget()?;
        }
        self.finish(0.0, norm, parameters)?;
        Ok(norm)
    }

    /// Forgets the gradients since the last update.
    ///
    /// # Errors
    /// [`OrtTrainError::Ort`].
    pub fn forget(&mut self) -> Result<(), OrtTrainError> {
        upload(&vec![0.0; self.len()], &mut self.gradient.now)?;
        self.is_summing = false;
        Ok(())
    }

    /// Whether there are gradients since the last update.
    pub fn is_summing(&self) -> bool {
        self.is_summing
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
        network.parameters_mut().copy_from_slice(&self.parameters()?);
        Ok(())
    }

    /// The parameters, in the network's order.
    ///
    /// # Errors
    /// [`OrtTrainError::Ort`].
    pub fn parameters(&self) -> Result<Vec<f32>, OrtTrainError> {
        self.vector(0)
    }

    /// The parameters' running average, in the network's order.
    ///
    /// # Errors
    /// [`OrtTrainError::Ort`].
    pub fn average(&self) -> Result<Vec<f32>, OrtTrainError> {
        self.vector(3)
    }

    /// The network with that average, for values of losses.
    pub fn averaged(&mut self) -> Averaged<'_> {
        Averaged(self)
    }

    /// Adam's mean and mean square of the gradients, in the network's order, as [`Adam::state`](crate::optimiser::Adam::state).
    ///
    /// # Errors
    /// [`OrtTrainError::Ort`].
    pub fn moments(&self) -> Result<[Vec<f32>; 2], OrtTrainError> {
        Ok([self.vector(1)?, self.vector(2)?])
    }

    /// Takes up what [`parameters`](Self::parameters), [`moments`](Self::moments), [`average`](Self::average) and
    /// [`steps`](Self::steps) gave.
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
        self.steps = steps;
        self.forget()
    }

    fn vector(&self, which: usize) -> Result<Vec<f32>, OrtTrainError> {
        Ok(all_from_graph(&self.layout, &self.states[which].get(self.len())?))
    }

    /// How many parameters there are.
    fn len(&self) -> usize {
        self.layout.last().map_or(0, |parameter| parameter.range.end)
    }

    /// Coordinates of an item.
    pub(super) fn item_len(&self) -> usize {
        self.item.iter().product()
    }

    /// The most rows of a batch.
    pub(super) fn max_rows(&self) -> usize {
        self.parts.last().map_or(0, |part| part.rows)
    }

    /// The smallest part that takes so many rows.
    fn part(&self, n: usize) -> Result<usize, OrtTrainError> {
        let part = self.parts.iter().position(|part| n > 0 && part.rows >= n);
        part.ok_or(OrtTrainError::Rows { got: n, max: self.max_rows() })
    }

    /// The output for rows, of the parameters or of their average.
    pub(super) fn evaluate(
        &mut self,
        averaged: bool,
        x: &[f32],
        t: &[f32],
        c: &[f32],
    ) -> Result<&[f32], OrtTrainError> {
        self.last = self.part(t.len())?;
        let part = &mut self.parts[self.last];
        part.show(x, t, c)?;
        let state = if averaged { &self.states[3] } else { &self.states[0] };
        Ok(part.forward(&self.options, &state.now)?)
    }

    /// Adds the gradient of `sum(out dout)` for the rows of the last forward pass.
    pub(super) fn pull_back(&mut self, dout: &[f32], dx: Option<&mut [f32]>) -> Result<(), OrtTrainError> {
        let keep = if self.is_summing { 1.0 } else { 0.0 };
        let part = &mut self.parts[self.last];
        part.backward(&self.options, &self.states[0].now, (&mut self.gradient, keep), dout, dx)?;
        self.is_summing = true;
        Ok(())
    }

    /// Takes the new state, unless something of the step is not finite.
    fn finish(&mut self, loss: f64, norm: f64, parameters: f64) -> Result<(), OrtTrainError> {
        if ![loss, norm, parameters].into_iter().all(f64::is_finite) {
            return Err(OrtTrainError::NotFinite { step: self.steps, loss, norm, parameters });
        }
        self.states.iter_mut().for_each(Resident::swap);
        self.steps += 1;
        Ok(())
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

/// What can be computed with. (A step that is too large is seen by the parameters that it makes.)
fn check(rates: Rates) -> Result<(), OrtTrainError> {
    let Rates { rate, clip, average_rest, scale } = rates;
    let bad = |what, got, expected| Err(OrtTrainError::Rate { what, got, expected });
    if !(rate >= 0.0 && rate.is_finite()) {
        return bad("rate", rate, "0 or more, and finite");
    }
    if clip.is_nan() || clip <= 0.0 {
        return bad("clip", clip, "above 0, or infinite for none");
    }
    if !(0.0..=1.0).contains(&average_rest) {
        return bad("average_rest", average_rest, "0 to 1");
    }
    if !(scale > 0.0 && scale <= 1.0) {
        return bad("scale", scale, "above 0, up to 1");
    }
    Ok(())
}
