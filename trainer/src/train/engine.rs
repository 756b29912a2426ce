//! Where a run computes: its network, the optimiser and the weights' average, on the processor or on a device.

use super::batch::Drawn;
use super::{Terms, TrainConfig, TrainError};
use crate::loss::Objective;
use crate::model::{ForwardOnly, Learner, Network, NetworkConfig};
use crate::onnx::{OrtTrainError, OrtTrainer, Rates};
use crate::optimiser::{Adam, Ema, EmaDecay, clip_scale};
use crate::rng::Rng;
use picardy_ort::{Options, Provider, Runtime};
use std::borrow::Cow;

/// What `run.device` may be, for messages.
pub(super) const DEVICES: &str = "native, cpu, cuda, cuda:N for the device of that index, or webgpu";

/// The provider that a name stands for; `None` for the native path.
pub(super) fn provider(device: &str) -> Result<Option<Provider>, TrainError> {
    let unknown =
        || TrainError::Setting { name: "run.device", value: format!("`{device}`"), expected: DEVICES };
    match device {
        "native" => Ok(None),
        _ => match device.parse() {
            Ok(provider @ (Provider::Cpu | Provider::Cuda { .. } | Provider::WebGpu)) => Ok(Some(provider)),
            _ => Err(unknown()),
        },
    }
}

/// What a run's steps change.
#[derive(Debug)]
pub(super) enum Engine {
    /// Here, by the trainer's own kernels.
    Native(Box<Native>),
    /// On a device, by ONNX Runtime.
    Device(Box<Device>),
}

#[derive(Debug)]
pub(super) struct Native {
    model: Network<f32>,
    adam: Adam<f32>,
    ema: Ema<f32>,
}

#[derive(Debug)]
pub(super) struct Device {
    /// The network without its weights, for one row: what is exported is one like it.
    model: Network<f32>,
    trainer: OrtTrainer,
    decay: EmaDecay,
}

/// All that a step changes, in the network's order; brought here from a device.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct State<'a> {
    pub(super) parameters: Cow<'a, [f32]>,
    pub(super) mean: Cow<'a, [f32]>,
    pub(super) square: Cow<'a, [f32]>,
    pub(super) average: Cow<'a, [f32]>,
    pub(super) adam_steps: u64,
    pub(super) ema_steps: u64,
}

impl State<'_> {
    /// The same, lent by nobody.
    pub(super) fn into_owned(self) -> State<'static> {
        let own = |values: Cow<'_, [f32]>| Cow::Owned(values.into_owned());
        State {
            parameters: own(self.parameters),
            mean: own(self.mean),
            square: own(self.square),
            average: own(self.average),
            adam_steps: self.adam_steps,
            ema_steps: self.ema_steps,
        }
    }
}

/// What an update is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    pub(super) rate: f64,
    pub(super) clip: f64,
    /// The batches whose gradients were added.
    pub(super) batches: f64,
    /// Their loss: one that is not finite is not learnt from.
    pub(super) loss: f64,
}

/// What an update did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Updated {
    /// The step was taken; the norm of the mean gradient.
    Taken { norm: f64 },
    /// Loss or gradient are no numbers; all is as it was.
    NotFinite { norm: f64 },
    /// The new weights are no numbers. Whether the old ones are still there.
    Diverged { kept: bool },
}

impl From<OrtTrainError> for TrainError {
    fn from(error: OrtTrainError) -> Self {
        Self::Device { reason: error.to_string() }
    }
}

impl Engine {
    /// At its beginning, for batches of each of these numbers of rows.
    pub(super) fn new(
        config: &TrainConfig,
        network: &NetworkConfig,
        rows: &[usize],
    ) -> Result<Self, TrainError> {
        let (run, optimiser) = (&config.run, &config.optimiser);
        let most = rows.iter().copied().max().unwrap_or(0);
        let decay = optimiser.decay(run.batch.saturating_mul(optimiser.accumulate));
        let Some(provider) = provider(&run.device)? else {
            let model = Network::new(network, most, run.seed)?;
            let adam = Adam::new(optimiser.adam(), model.parameters().len());
            let ema = Ema::new(decay, model.parameters());
            return Ok(Self::Native(Box::new(Native { model, adam, ema })));
        };
        Runtime::load_for(provider, None)
            .map_err(|error| TrainError::Device { reason: error.to_string() })?;
        let model = Network::new(network, 1, run.seed)?;
        let options = Options { provider, threads: run.threads, ..Options::default() };
        let trainer = OrtTrainer::new(&model, rows, optimiser.adam(), options)?;
        Ok(Self::Device(Box::new(Device { model, trainer, decay })))
    }

    /// The rows that its own network on the processor takes at once.
    pub(super) fn host_rows(config: &TrainConfig, rows: usize) -> usize {
        if config.run.device == "native" { rows } else { rows.min(1) }
    }

    /// The network, whose weights count on the processor alone.
    pub(super) const fn model(&self) -> &Network<f32> {
        match self {
            Self::Native(native) => &native.model,
            Self::Device(device) => &device.model,
        }
    }

    /// The network as losses see it.
    pub(super) const fn learner(&mut self) -> &mut dyn Learner<f32> {
        match self {
            Self::Native(native) => &mut native.model,
            Self::Device(device) => &mut device.trainer,
        }
    }

    /// Begins a step: forgets the gradients of one that was given up.
    pub(super) fn begin(&mut self) -> Result<(), TrainError> {
        match self {
            Self::Native(native) => native.model.zero_gradients(),
            Self::Device(device) if device.trainer.is_summing() => device.trainer.forget()?,
            Self::Device(_) => {}
        }
        Ok(())
    }

    /// Ends a step: what the gradients since its beginning do to the weights.
    pub(super) fn update(&mut self, told: Told) -> Result<Updated, TrainError> {
        match self {
            Self::Native(native) => Ok(native.update(told)),
            Self::Device(device) => device.update(told),
        }
    }

    /// All that steps change. Of a device, four vectors of as many numbers as there are parameters come here.
    pub(super) fn state(&self) -> Result<State<'_>, TrainError> {
        Ok(match self {
            Self::Native(native) => {
                let Native { model, adam, ema } = &**native;
                let (mean, square) = adam.state();
                State {
                    parameters: model.parameters().into(),
                    mean: mean.into(),
                    square: square.into(),
                    average: ema.average().into(),
                    adam_steps: adam.steps(),
                    ema_steps: ema.steps(),
                }
            }
            Self::Device(device) => {
                let trainer = &device.trainer;
                let [mean, square] = trainer.moments()?;
                State {
                    parameters: trainer.parameters()?.into(),
                    mean: mean.into(),
                    square: square.into(),
                    average: trainer.average()?.into(),
                    adam_steps: trainer.steps(),
                    ema_steps: trainer.steps(),
                }
            }
        })
    }

    /// Takes up a state of as many parameters.
    pub(super) fn restore(&mut self, state: &State<'_>) -> Result<(), TrainError> {
        let State { parameters, mean, square, average, adam_steps, ema_steps } = state;
        match self {
            Self::Native(native) => {
                native.model.parameters_mut().copy_from_slice(parameters);
                native.adam.restore(mean, square, *adam_steps);
                native.ema.restore(average, *ema_steps);
            }
            Self::Device(device) => {
                // One count serves both there.
                if adam_steps != ema_steps {
                    let reason = format!("Adam's {adam_steps} steps and the average's {ema_steps} differ");
                    return Err(TrainError::Device { reason });
                }
                device.trainer.restore(parameters, [mean, square], average, *adam_steps)?;
            }
        }
        Ok(())
    }

    /// The weights' average; of a device, one vector comes here.
    pub(super) fn average(&self) -> Result<Cow<'_, [f32]>, TrainError> {
        match self {
            Self::Native(native) => Ok(native.ema.average().into()),
            Self::Device(device) => Ok(device.trainer.average()?.into()),
        }
    }

    /// The mean losses of the averaged weights over batches that `batch` gives with their generators. No weight comes here for it.
    pub(super) fn judge(
        &mut self,
        objective: &Objective<f32>,
        count: usize,
        batch: impl Fn(usize) -> (Drawn, Rng),
    ) -> Result<Terms, TrainError> {
        let mut objective = objective.clone();
        let mut sum = Terms::default();
        let mut judge = |learner: &mut dyn Learner<f32>| {
            for index in 0..count {
                let (items, mut rng) = batch(index);
                sum.add(&objective.step(learner, &items.x0, &items.c, &mut rng)?.into());
            }
            Ok(())
        };
        match self {
            Self::Native(native) => {
                let mut model = native.model.clone();
                model.parameters_mut().copy_from_slice(native.ema.average());
                judge(&mut ForwardOnly(model))
            }
            Self::Device(device) => judge(&mut device.trainer.averaged()),
        }
        .map_err(TrainError::Loss)?;
        Ok(sum.divided(count.max(1) as f64))
    }
}

impl Native {
    fn update(&mut self, told: Told) -> Updated {
        let Told { rate, clip, batches, loss } = told;
        // The gradients are sums over the batches, and the step's is their mean.
        let (norm, scale) = clip_scale(self.model.gradients(), clip * batches);
        let (norm, scale) = (norm / batches, scale / batches);
        if !(loss.is_finite() && norm.is_finite()) {
            return Updated::NotFinite { norm };
        }
        let (parameters, gradients) = self.model.parameters_and_gradients();
        self.adam.step(rate, scale, parameters, gradients);
        // Without an end before the last: a loop that is one vector instruction.
        if !parameters.iter().fold(true, |finite, p| finite & p.is_finite()) {
            return Updated::Diverged { kept: false };
        }
        self.ema.update(parameters);
        Updated::Taken { norm }
    }
}

impl Device {
    fn update(&mut self, told: Told) -> Result<Updated, TrainError> {
        let Told { rate, clip, batches, loss } = told;
        if !loss.is_finite() {
            let norm = clip_scale(&self.trainer.gradient()?, f64::INFINITY).0 / batches;
            self.trainer.forget()?;
            return Ok(Updated::NotFinite { norm });
        }
        let average_rest = 1.0 - self.decay.at(self.trainer.steps());
        match self.trainer.update(Rates { rate, clip, average_rest, scale: 1.0 / batches }) {
            Ok(norm) => Ok(Updated::Taken { norm }),
            Err(OrtTrainError::NotFinite { norm, .. }) if norm.is_finite() => {
                Ok(Updated::Diverged { kept: true })
            }
            Err(OrtTrainError::NotFinite { norm, .. }) => Ok(Updated::NotFinite { norm }),
            Err(error) => Err(error.into()),
        }
    }
}
