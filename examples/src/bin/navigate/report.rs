//! What came of many runs, in numbers.

use crate::episode::{Outcome, Settings};
use serde::Serialize;

/// Of all runs of one kind.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) network: &'static str,
    pub(crate) name: String,
    pub(crate) map: &'static str,
    /// Ticks between plans.
    pub(crate) every: usize,
    pub(crate) runs: usize,
    /// Parts of the runs: the goal reached, an obstacle touched, and neither in time.
    pub(crate) reached: f64,
    pub(crate) collided: f64,
    pub(crate) late: f64,
    /// Parts of the moves that break a limit by more than 1 %: of those made, and of those planned.
    pub(crate) moves_beyond_limits: f64,
    pub(crate) planned_beyond_limits: f64,
    /// Plans of a run, the part of them that was not sampled (the rest of the last plan, or braking), and those that an alarm asked for.
    pub(crate) plans: f64,
    pub(crate) fallbacks: f64,
    pub(crate) alarms: f64,
    /// Evaluations of the network for a plan; and for a run's alarms.
    pub(crate) evaluations: f64,
    pub(crate) alarm_evaluations: f64,
    /// Milliseconds of a cycle.
    pub(crate) latency_median: f64,
    pub(crate) latency_99: f64,
    /// Means of |change of acceleration|/dt in m/s^3: where plans join, and elsewhere.
    pub(crate) jerk_at_joins: f64,
    pub(crate) jerk_elsewhere: f64,
    /// Seconds to the goal, where it was reached.
    pub(crate) seconds: f64,
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), value| (sum + value, count + 1));
    if count == 0 { 0.0 } else { sum / count as f64 }
}

/// The value at a part of the sorted ones.
fn quantile(values: &[f64], part: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get((part * values.len() as f64) as usize).or(values.last()).copied().unwrap_or(0.0)
}

impl Row {
    pub(crate) fn of(network: &'static str, name: &str, settings: &Settings, outcomes: &[Outcome]) -> Self {
        let each = |of: &dyn Fn(&Outcome) -> f64| mean(outcomes.iter().map(of));
        let part = |of: &dyn Fn(&Outcome) -> bool| each(&|o| f64::from(u8::from(of(o))));
        let sum = |of: &dyn Fn(&Outcome) -> usize| outcomes.iter().map(of).sum::<usize>();
        let share = |a: usize, b: usize| if b == 0 { 0.0 } else { a as f64 / b as f64 };
        let seconds: Vec<f64> = outcomes.iter().flat_map(|o| o.seconds.iter().copied()).collect();
        let plans = sum(&|o| o.plans);
        Self {
            network,
            name: name.to_owned(),
            map: settings.map.name(),
            every: settings.every,
            runs: outcomes.len(),
            reached: part(&|o| o.reached),
            collided: part(&|o| o.collided),
            late: part(&|o| !o.reached && !o.collided),
            moves_beyond_limits: share(sum(&|o| o.broken), sum(&|o| o.ticks)),
            planned_beyond_limits: share(sum(&|o| o.planned_broken), sum(&|o| o.planned)),
            plans: each(&|o| o.plans as f64),
            fallbacks: share(plans - sum(&|o| o.sampled), plans),
            alarms: each(&|o| o.alarms as f64),
            evaluations: share(sum(&|o| o.evaluations), plans),
            alarm_evaluations: each(&|o| o.alarm_evaluations as f64),
            latency_median: 1e3 * quantile(&seconds, 0.5),
            latency_99: 1e3 * quantile(&seconds, 0.99),
            jerk_at_joins: mean(outcomes.iter().flat_map(|o| o.joins.iter().copied())),
            jerk_elsewhere: mean(outcomes.iter().flat_map(|o| o.within.iter().copied())),
            seconds: mean(outcomes.iter().filter(|o| o.reached).map(|o| o.ticks as f64 * picardy_robot::DT)),
        }
    }

    /// The names of what [`line`](Self::line) shows.
    pub(crate) fn head() -> String {
        format!(
            "   {:<12} {:<26} {:>7} {:>8} {:>6} {:>8} {:>6} {:>6} {:>11} {:>6}",
            "network",
            "with",
            "reached",
            "collided",
            "late",
            "limits",
            "plans",
            "evals",
            "ms 50/99 %",
            "jerk"
        )
    }

    /// One line of a table.
    pub(crate) fn line(&self) -> String {
        format!(
            "   {:<12} {:<26} {:>6.1}% {:>7.1}% {:>5.1}% {:>7.2}% {:>6.1} {:>6.1} {:>5.1}/{:<5.1} {:>6.1}",
            self.network,
            self.name,
            100.0 * self.reached,
            100.0 * self.collided,
            100.0 * self.late,
            100.0 * self.moves_beyond_limits,
            self.plans,
            self.evaluations,
            self.latency_median,
            self.latency_99,
            self.jerk_at_joins,
        )
    }
}
