//! How a network of a schedule is shown the states of a log-SNR.

use picardy::likelihood::{View, sigmoid};
use picardy::{Level, NoiseSchedule, Prediction};

/// The view at log-SNR `l` of a network that was trained on a schedule.
///
/// Of betas the network knows timesteps: it is told the nearest one, of which `bars`, the alpha-bars in their order, know the
/// log-SNRs: what [`View::nearest`] finds among all of them. Flows and sigmas are told exactly.
pub(crate) fn view(schedule: &NoiseSchedule, bars: &[f64], prediction: Prediction, l: f64) -> Option<View> {
    match schedule {
        NoiseSchedule::Vp(_) => View::nearest(&neighbours(bars, sigmoid(l)), prediction, l),
        NoiseSchedule::Flow(flow) => {
            // sigma / (alpha + sigma), where their ratio is exp(-l / 2).
            let sigma = sigmoid(-0.5 * l);
            let t = flow.train_steps as f64 * sigma;
            View::new(&Level { alpha: sigmoid(0.5 * l), sigma, t }, prediction)
        }
        // exp(-l / 2) as a ratio: this crate has no exponential of its own.
        NoiseSchedule::Ve { .. } => View::new(&Level::ve(sigmoid(-0.5 * l) / sigmoid(0.5 * l)), prediction),
        NoiseSchedule::Pinned { .. } => None,
    }
}

/// The timesteps around an alpha-bar, the noisier one first. Past an end, one of them is no level.
fn neighbours(bars: &[f64], bar: f64) -> [Level; 2] {
    let noisier = bars.partition_point(|known| *known > bar);
    let level = |timestep: Option<usize>| {
        let found = timestep.and_then(|timestep| Some((timestep, *bars.get(timestep)?)));
        found.map_or(Level::EMPTY, |(timestep, bar)| Level::vp(bar, timestep as f64))
    };
    [level(Some(noisier)), level(noisier.checked_sub(1))]
}
