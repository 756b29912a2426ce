//! How a network of any output and process is shown a variance-preserving state, and eps-hat read.

use super::{NoiseTable, Output, Process};
use picardy::Form;

/// `eps_hat = state shown + output out`, `shown = input z`, z the variance-preserving state.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    /// What the network is told.
    pub(super) t: f64,
    pub(super) input: f64,
    pub(super) state: f64,
    pub(super) output: f64,
}

impl View {
    /// The view at a log-SNR. The output is read at the level that the network is told, as it was trained to return it: for
    /// eps that makes no difference.
    pub(super) fn new(process: &Process, output: Output, table: &NoiseTable, log_snr: f64) -> Self {
        let (level, scale) = process.known(table, log_snr);
        match output.readout(&level, Form::Noise) {
            Some(read) => Self {
                t: level.t,
                input: scale * read.input,
                state: read.state / read.input,
                output: read.output,
            },
            // No level of a schedule; a log-SNR beyond all numbers gives a loss that is none, which the caller refuses.
            None => Self { t: level.t, input: scale, state: f64::NAN, output: 0.0 },
        }
    }
}
