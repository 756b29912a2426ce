//! What each feature is worth: runs with and without it.

use crate::episode::{self, Outcome, Replan, Settings};
use crate::pilot::with_pilot;
use crate::report::Row;
use crate::training::Trained;
use crate::world::Map;
use anyhow::Context;
use picardy::likelihood::{Threshold, ThresholdError};
use picardy_robot::Features;
use rayon::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;

/// Ticks between plans; and where alarms may ask for one before.
const EVERY: usize = 4;
const RARELY: usize = 10;
/// Needless alarms, of the moments in which something has turned and the plan is still free.
const RATE: f64 = 0.2;
/// Where the courses begin that are demonstrated, those of tests, and those that the alarm is calibrated on.
pub(crate) const DEMONSTRATED: u64 = 1 << 32;
const TEST: u64 = 1 << 40;
const CALIBRATION: u64 = 1 << 41;

/// The first of a run's courses for one purpose, apart from those of other seeds and purposes.
pub(crate) fn course(seed: u64, purpose: u64) -> u64 {
    (seed << 44) + purpose
}

/// How many runs, and of which seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Runs {
    pub(crate) episodes: u64,
    pub(crate) seed: u64,
}

const BASE: Settings = Settings {
    map: Map::Known,
    features: Features::ALL,
    deadline: None,
    every: EVERY,
    replan: Replan::Scheduled,
};

impl Runs {
    /// The runs of one kind, all of the same courses.
    fn of(
        &self,
        network: &Trained,
        settings: &Settings,
        from: u64,
        scored: bool,
    ) -> anyhow::Result<Vec<Outcome>> {
        let seeds: Vec<u64> = (0..self.episodes).map(|k| course(self.seed, from) + k).collect();
        let parts: Vec<Vec<Outcome>> = seeds
            .par_chunks(8)
            .map(|seeds| {
                with_pilot(&network.bytes, |pilot| {
                    seeds.iter().map(|seed| episode::run(pilot, settings, *seed, scored)).collect()
                })
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(parts.concat())
    }

    fn row(&self, network: &Trained, name: &str, settings: &Settings) -> anyhow::Result<Row> {
        let outcomes = self.of(network, settings, TEST, false).with_context(|| name.to_owned())?;
        let row = Row::of(network.loss.name(), name, settings, &outcomes);
        println!("{}", row.line());
        Ok(row)
    }

    /// Each network, with and without guards.
    pub(crate) fn networks(&self, networks: &[Trained]) -> anyhow::Result<Vec<Row>> {
        let mut rows = Vec::new();
        for network in networks {
            rows.push(self.row(network, "no guards", &Settings { features: Features::NONE, ..BASE })?);
            rows.push(self.row(network, "all guards", &BASE)?);
        }
        Ok(rows)
    }

    /// One network, each feature by itself.
    pub(crate) fn features(&self, network: &Trained) -> anyhow::Result<Vec<Row>> {
        let held = Features { committed: true, ..Features::NONE };
        let features = [
            ("no guards", Features::NONE),
            ("committed actions held", held),
            ("and limits", Features { limits: true, ..held }),
            ("and obstacles", Features { obstacles: true, ..held }),
            ("and both", Features { limits: true, obstacles: true, ..held }),
            ("and soft overlap: all", Features::ALL),
            ("all, warm, 5 steps", Features { warm: Some(5), ..Features::ALL }),
            ("all, warm, 4 steps", Features { warm: Some(4), ..Features::ALL }),
            ("all, warm, 3 steps", Features { warm: Some(3), ..Features::ALL }),
            ("all, cold, 5 steps", Features { steps: 5, ..Features::ALL }),
        ];
        let row = |(name, features): &(&str, Features)| {
            self.row(network, name, &Settings { features: *features, ..BASE })
        };
        let mut rows: Vec<Row> = features.iter().map(row).collect::<anyhow::Result<_>>()?;
        let hurried = Settings { deadline: Some(Duration::ZERO), ..BASE };
        rows.push(self.row(network, "all, deadline 0", &hurried)?);
        Ok(rows)
    }

    /// A map that was never seen: plans every second, and before that where somebody or something asks for one.
    pub(crate) fn alarms(&self, network: &Trained) -> anyhow::Result<(Vec<Row>, Value)> {
        let rarely = Settings { every: RARELY, ..BASE };
        let held_out = self.of(network, &Settings { map: Map::Turning, ..rarely }, CALIBRATION, true)?;
        let mut scores: Vec<f64> = held_out.iter().flat_map(|run| run.scores.iter().copied()).collect();
        let threshold = match Threshold::calibrate(&mut scores, RATE) {
            Err(error @ ThresholdError::TooFew { .. }) => {
                println!(
                    "   no alarm can be calibrated on {} runs: {error}; raise `--episodes`",
                    self.episodes
                );
                return Ok((Vec::new(), Value::Null));
            }
            threshold => threshold.context("the alarm")?,
        };
        let unseen = Settings { map: Map::Unseen, ..rarely };
        let mut rows = vec![
            self.row(network, "unseen, every 0.4 s", &Settings { every: EVERY, ..unseen })?,
            self.row(network, "unseen, every 1 s", &unseen)?,
        ];
        let settings = Settings { replan: Replan::Classifier(threshold), ..unseen };
        let outcomes = self.of(network, &settings, TEST, false)?;
        let row = Row::of(network.loss.name(), "and the classifier's alarm", &settings, &outcomes);
        println!("{}", row.line());
        rows.push(row);
        // As often, but by chance.
        let asked: usize = outcomes.iter().map(|run| run.asked).sum();
        let alarms: usize = outcomes.iter().map(|run| run.alarms).sum();
        let rate = alarms as f64 / asked.max(1) as f64;
        rows.push(self.row(
            network,
            "and as often by chance",
            &Settings { replan: Replan::Chance(rate), ..unseen },
        )?);
        rows.push(self.row(
            network,
            "and where geometry says so",
            &Settings { replan: Replan::Geometry, ..unseen },
        )?);
        let calibration = json!({
            "rate": RATE, "threshold_nats": threshold.value, "scores": threshold.scores,
            "alarms_of_ticks_on_the_unseen_map": rate,
        });
        Ok((rows, calibration))
    }

    /// The first run of each kind, for pictures.
    pub(crate) fn shown(
        &self,
        network: &Trained,
        map: Map,
        features: Features,
        course: u64,
    ) -> anyhow::Result<Outcome> {
        let seed = self::course(self.seed, TEST) + course;
        with_pilot(&network.bytes, |pilot| {
            episode::run(pilot, &Settings { map, features, ..BASE }, seed, false)
        })
    }
}
