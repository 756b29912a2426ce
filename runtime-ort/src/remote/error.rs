//! What can go wrong with model servers.

use std::time::Duration;

/// Why servers gave no outputs. `endpoint` is the server's address.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// There is nobody to ask.
    #[error("a remote denoiser of no endpoints: give at least one address")]
    NoEndpoint,
    /// An address that is none.
    #[error("`{given}` is no address of a model: {what}; give http://host:port/model")]
    Address {
        /// What was given.
        given: String,
        /// What is amiss.
        what: String,
    },
    /// An option that cannot be.
    #[error("{0} of 0: give at least 1")]
    Zero(&'static str),
    /// No answer came.
    #[error("no answer from {endpoint}: {said}; check that the server runs and that the address is right")]
    Unreachable {
        /// The server.
        endpoint: String,
        /// What the network said.
        said: String,
    },
    /// The server refused, or failed.
    #[error("{endpoint} answered with status {status}: {said}")]
    Status {
        /// The server.
        endpoint: String,
        /// The HTTP status.
        status: u16,
        /// The error in the answer's body.
        said: String,
    },
    /// The server's answer is not what the protocol has.
    #[error("{endpoint} gave an answer that cannot be used: {what}")]
    Answer {
        /// The server.
        endpoint: String,
        /// What is amiss, with its value.
        what: String,
    },
    /// The model does not have the form of a denoiser.
    #[error(
        "the model of {endpoint} is not a denoiser: {what}. A denoiser takes x (FP32 [n, d...]) and t (FP32, FP64, INT64 or INT32 \
         [n]), in this order, and gives one FP32 [n, d...]; its server must tell so in the model's metadata"
    )]
    NotADenoiser {
        /// The server.
        endpoint: String,
        /// What is amiss, with its value.
        what: String,
    },
    /// Two servers have different models.
    #[error("{endpoint} has another model than {other}: {what}; give endpoints of one model")]
    Disagree {
        /// The server.
        endpoint: String,
        /// The first server.
        other: String,
        /// What differs.
        what: String,
    },
    /// The time for all attempts is over.
    #[error("no outputs within {} s; the last failure: {last}", time.as_secs_f64())]
    Deadline {
        /// The time there was.
        time: Duration,
        /// The last failure; what was waited for, where there was none.
        last: String,
    },
    /// All attempts have failed, or none that is left could help.
    #[error("{attempts} attempt{} failed; the last one: {last}", if *attempts == 1 { "" } else { "s" })]
    GaveUp {
        /// The attempts that were made: fewer than allowed where no server would do better with the same request.
        attempts: usize,
        /// The last failure.
        last: Box<RemoteError>,
    },
    /// The block given has another size than the call says.
    #[error("{what} holds {got} numbers where {want} are needed")]
    Length {
        /// Which argument.
        what: &'static str,
        /// The numbers it holds.
        got: usize,
        /// The numbers needed.
        want: usize,
    },
    /// A number that the protocol's JSON cannot carry.
    #[error(
        "number {index} of x is {value}, which JSON has no word for: check the states, or use a server with binary tensors"
    )]
    NotFinite {
        /// Its place.
        index: usize,
        /// The value.
        value: f32,
    },
    /// The model takes whole timesteps and was given another number.
    #[error(
        "the model takes integer timesteps and row {row} has t = {value}: choose a grid on the trained timesteps"
    )]
    FractionalTime {
        /// The row.
        row: usize,
        /// Its time.
        value: f64,
    },
}

impl RemoteError {
    /// Whether the same server may answer the same request well a little later.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Status { status, .. } => *status >= 500 || [408, 425, 429].contains(status),
            _ => false,
        }
    }
}
