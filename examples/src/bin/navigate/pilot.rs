//! The robot's cycle with a network from a file: memory that is kept between cycles, deadlines, and times.

use anyhow::Context;
use picardy::nn::{Artifact, ModelCard, ModelError, Network, NetworkDenoiser, Step};
use picardy::{Denoiser, Prediction, SliceFrames};
use picardy_robot::{Buffers, DIM, Features, Observation, Plan, WIDTH, plan};
use std::time::{Duration, Instant};

/// A network with all that a cycle needs.
pub(crate) struct Pilot<'m, 'a> {
    network: Network<'m, 'a>,
    scratch: Vec<f32>,
    buffers: Box<Buffers>,
    /// What the network is told: the observation and a 1 behind it.
    told: Vec<f32>,
}

/// Runs `work` with a pilot of the network in `bytes`.
pub(crate) fn with_pilot<R>(
    bytes: &[u8],
    work: impl FnOnce(&mut Pilot<'_, '_>) -> anyhow::Result<R>,
) -> anyhow::Result<R> {
    let artifact = Artifact::parse(bytes).context("the network's file")?;
    let card = ModelCard::from_lookup(|key| artifact.metadata(key))?;
    let mut program = vec![Step::default(); card.architecture.steps(card.condition)];
    let network = Network::from_artifact(&artifact, &card, &mut program)?;
    let (dim, told) = (network.dim(), network.condition());
    anyhow::ensure!(
        (dim, told, card.prediction) == (DIM, WIDTH + 1, Prediction::Sample),
        "this network is for {dim} numbers told {told}, and predicts {}; the robot's is for {DIM} told {}, and predicts sample: \
         train it with `navigate`",
        card.prediction,
        WIDTH + 1
    );
    let scratch = vec![0.0; network.scratch_len(1) + network.condition()];
    work(&mut Pilot { network, scratch, buffers: Box::default(), told: Vec::new() })
}

/// Adds what the network is told where an observation says so much.
pub(crate) fn tell(numbers: &[f32; WIDTH], told: &mut Vec<f32>) {
    told.extend(numbers);
    told.push(1.0);
}

impl Pilot<'_, '_> {
    /// One [cycle](picardy_robot::plan), with the seconds that it took.
    pub(crate) fn plan(
        &mut self,
        seen: &Observation<'_>,
        last: Option<(&Plan, usize)>,
        features: &Features,
        deadline: Option<Duration>,
        seed: u64,
    ) -> anyhow::Result<(Plan, f64)> {
        let begin = Instant::now();
        self.told.clear();
        tell(&seen.numbers(), &mut self.told);
        let denoiser = NetworkDenoiser::new(self.network, &self.told, &mut self.scratch);
        let expired = || deadline.is_some_and(|deadline| begin.elapsed() >= deadline);
        let plan = plan(denoiser, seen, last, features, seed, &mut self.buffers, expired)?;
        Ok((plan, begin.elapsed().as_secs_f64()))
    }

    /// The network told what is given, without guards.
    pub(crate) fn denoiser<'s>(
        &'s mut self,
        told: &'s [f32],
    ) -> impl Denoiser<SliceFrames<'s, f32>, Error = ModelError> {
        NetworkDenoiser::new(self.network, told, &mut self.scratch)
    }
}
