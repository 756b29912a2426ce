//! Why there is no likelihood, and no threshold.

use core::fmt;

/// Why a likelihood could not be estimated.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum LikelihoodError<E> {
    /// 0 evaluations.
    NoEvaluations,
    /// Fewer evaluations than a profile takes.
    TooFewEvaluations {
        /// The evaluations that are needed.
        needed: usize,
        /// Those asked for.
        given: usize,
    },
    /// A setting out of range.
    Setting {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: f64,
    },
    /// The inputs are not whole items, or there are none.
    Shape {
        /// The numbers given.
        len: usize,
        /// The numbers in an item.
        dim: usize,
    },
    /// Not one result for each input.
    Results {
        /// The results that are needed.
        needed: usize,
        /// The room given.
        given: usize,
    },
    /// The buffers hold no row of a call.
    Buffers {
        /// Rows of the frames: at least 2.
        rows: usize,
        /// Nodes: at least 1.
        nodes: usize,
    },
    /// An input is infinite or NaN.
    Input {
        /// The item.
        item: usize,
        /// The coordinate.
        index: usize,
    },
    /// A noise level to compare with that is none, or has no signal at all.
    Level {
        /// Its place.
        index: usize,
    },
    /// The network cannot be shown states of this log-SNR, or its output tells nothing of the noise there.
    View {
        /// The log-SNR.
        log_snr: f64,
    },
    /// The network's output is infinite or NaN, or so large that its square is.
    NotFinite {
        /// The item.
        item: usize,
        /// The evaluation.
        evaluation: usize,
    },
    /// The denoiser has a guard, which a density does not know.
    Guarded,
    /// The denoiser failed.
    Denoiser(E),
}

impl<E: fmt::Display> fmt::Display for LikelihoodError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoEvaluations => write!(f, "0 evaluations an input; give at least 1, 256 are usual"),
            Self::TooFewEvaluations { needed, given } => {
                write!(f, "{given} evaluations an input for a profile; give at least {needed}")
            }
            Self::Setting { name, value } => {
                write!(
                    f,
                    "`{name}` is {value}; it must be positive and finite (clip at most 30, loc any finite number)"
                )
            }
            Self::Shape { len, dim } => {
                write!(f, "{len} numbers are no inputs of {dim}; give inputs x {dim}, at least one input")
            }
            Self::Results { needed, given } => {
                write!(f, "room for {given} results, {needed} are needed; give that much")
            }
            Self::Buffers { rows, nodes } => {
                write!(f, "buffers of {rows} rows and {nodes} nodes; give at least 2 rows and 1 node")
            }
            Self::Input { item, index } => {
                write!(f, "coordinate {index} of input {item} is not finite; check where it comes from")
            }
            Self::Level { index } => write!(
                f,
                "noise level {index} is not finite, negative, has no signal, or a prior that is not positive; mend it"
            ),
            Self::View { log_snr } => write!(
                f,
                "the network cannot be asked at log-SNR {log_snr}; narrow the range of log-SNRs, or mend the view"
            ),
            Self::NotFinite { item, evaluation } => write!(
                f,
                "evaluation {evaluation} of input {item} is not finite; check the model and that the input is in its units"
            ),
            Self::Guarded => {
                write!(f, "a guard changes what the network says; take the likelihood without it")
            }
            Self::Denoiser(error) => write!(f, "the denoiser failed: {error}"),
        }
    }
}

impl<E: core::error::Error> core::error::Error for LikelihoodError<E> {}

/// Why there is no threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum ThresholdError {
    /// The rate of false alarms lies outside (0, 1).
    Rate(f64),
    /// The profiles do not vary, or beyond all numbers.
    Spread,
    /// Too few scores to promise the rate.
    TooFew {
        /// The scores that are needed.
        needed: usize,
        /// The scores given.
        given: usize,
    },
    /// A score that is infinite or NaN.
    Score {
        /// Its place.
        index: usize,
    },
}

impl fmt::Display for ThresholdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate(rate) => {
                write!(f, "a false-alarm rate of {rate}; give one between 0 and 1, 0.01 is usual")
            }
            Self::Spread => {
                write!(f, "the held-out profiles do not vary, or overflow; give profiles of different inputs")
            }
            Self::TooFew { needed, given } => write!(
                f,
                "{given} held-out inputs are too few (for this false-alarm rate, or to fit profiles); give at least {needed}, or a higher rate"
            ),
            Self::Score { index } => write!(f, "score {index} is not finite; leave such inputs out"),
        }
    }
}

impl core::error::Error for ThresholdError {}
