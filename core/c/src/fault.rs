//! Errors on their way out: core's as codes and values.

use crate::error::picardy_detail;
use crate::error::picardy_error::{self, *};
use crate::memory::{self, Region};
use core::ffi::c_char;
use picardy::nn::{ArtifactError, CardError, ModelError, ProgramError, key};
use picardy::{PlanError, SampleError, ScheduleError, SetupError};

/// An error on its way out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault(picardy_detail);

impl Fault {
    pub(crate) const fn new(code: picardy_error) -> Self {
        Self(picardy_detail {
            code: code as i32,
            callback: 0,
            needed: 0,
            given: 0,
            index: 0,
            item: 0,
            value: 0.0,
            name: [0; 48],
        })
    }

    pub(crate) const fn needed(mut self, needed: usize) -> Self {
        self.0.needed = needed;
        self
    }

    pub(crate) const fn given(mut self, given: usize) -> Self {
        self.0.given = given;
        self
    }

    pub(crate) const fn index(mut self, index: usize) -> Self {
        self.0.index = index;
        self
    }

    /// The index.
    pub(crate) const fn place(&self) -> usize {
        self.0.index
    }

    pub(crate) const fn item(mut self, item: usize) -> Self {
        self.0.item = item;
        self
    }

    pub(crate) const fn value(mut self, value: f64) -> Self {
        self.0.value = value;
        self
    }

    pub(crate) const fn callback(mut self, callback: i32) -> Self {
        self.0.callback = callback;
        self
    }

    pub(crate) fn name(self, name: &str) -> Self {
        self.field("", name)
    }

    /// The name of a field, of the struct that it is in.
    pub(crate) fn field(mut self, of: &str, name: &str) -> Self {
        // The last byte stays 0.
        let room = self.0.name.len() - 1;
        for (to, from) in self.0.name.iter_mut().take(room).zip(of.bytes().chain(name.bytes())) {
            *to = from as c_char;
        }
        self
    }
}

/// Does the work of a call, and tells C how it went. A detail in memory that is lent to an object of the call would overwrite that:
/// it is an error, and stays unwritten.
///
/// # Safety
/// `detail` is null, misaligned, or points to memory for one.
pub(crate) unsafe fn guarded(
    detail: *mut picardy_detail,
    lent: &[&[Region]],
    work: impl FnOnce() -> Result<(), Fault>,
) -> i32 {
    // Where it is null or misaligned, it is not written anyway.
    if let Ok(place) = Region::new(detail.cast_const(), 1, "detail") {
        if lent.iter().any(|regions| place.apart_from_all(regions).is_err()) {
            return PICARDY_ERROR_OVERLAP as i32;
        }
    }
    let fault = work().err().unwrap_or(Fault::new(PICARDY_OK));
    // SAFETY: the caller's promise.
    unsafe { memory::write_if(detail, fault.0) };
    fault.0.code
}

/// Numbers of C, none of which is NaN or infinite.
pub(crate) fn finite<T: Copy + Into<f64>>(values: &[T], name: &'static str) -> Result<(), Fault> {
    let mut values = values.iter().map(|value| -> f64 { (*value).into() }).enumerate();
    match values.find(|(_, value)| !value.is_finite()) {
        None => Ok(()),
        Some((index, value)) => Err(Fault::new(PICARDY_ERROR_NUMBER).name(name).index(index).value(value)),
    }
}

impl From<ScheduleError> for Fault {
    fn from(error: ScheduleError) -> Self {
        use ScheduleError as E;
        let range = |name, value| Self::new(PICARDY_ERROR_RANGE).field("schedule.", name).value(value);
        match error {
            E::NoSteps => Self::new(PICARDY_ERROR_STEPS).needed(1),
            E::TooManySteps { asked, train_steps } => {
                Self::new(PICARDY_ERROR_STEPS).given(asked).needed(train_steps)
            }
            E::Timestep { timestep, train_steps } => {
                Self::new(PICARDY_ERROR_TIMESTEP).given(timestep).needed(train_steps)
            }
            E::AlphaBar { timestep, value } | E::Beta { timestep, value } => {
                Self::new(PICARDY_ERROR_BETA).index(timestep).value(value)
            }
            E::NoTrainSteps => Self::new(PICARDY_ERROR_TRAIN_STEPS).needed(picardy::Betas::MOST_STEPS),
            E::TooManyTrainSteps(given) => {
                Self::new(PICARDY_ERROR_TRAIN_STEPS).given(given).needed(picardy::Betas::MOST_STEPS)
            }
            E::SigmaRange { sigma_max, .. } => Self::new(PICARDY_ERROR_SIGMA_RANGE).value(sigma_max),
            E::Rho(value) => range("rho", value),
            E::Shift(value) => range("shift", value),
            E::Variance(value) => range("variance", value),
            E::Level { index } | E::NotDecreasing { index } => Self::new(PICARDY_ERROR_LEVEL).index(index),
            _ => Self::new(PICARDY_ERROR_OTHER),
        }
    }
}

impl From<PlanError> for Fault {
    fn from(error: PlanError) -> Self {
        use PlanError as E;
        let range = |name, value| Self::new(PICARDY_ERROR_RANGE).field("solver.", name).value(value);
        match error {
            E::Empty => Self::new(PICARDY_ERROR_EMPTY),
            E::Eta(eta) => range("eta", eta),
            E::Order { order, most } => Self::new(PICARDY_ERROR_ORDER).given(order).needed(most),
            // Words, not a field's name.
            E::Parameter { name, value } if name.bytes().any(|byte| byte == b' ') => {
                Self::new(PICARDY_ERROR_RANGE).name(name).value(value)
            }
            E::Parameter { name, value } => range(name, value),
            E::Singular { node, alpha, .. } => Self::new(PICARDY_ERROR_SINGULAR).index(node).value(alpha),
            E::Term { node, back } => Self::new(PICARDY_ERROR_TERM).index(node).given(back),
            E::NotFinite { node } => Self::new(PICARDY_ERROR_NODE).index(node),
            _ => Self::new(PICARDY_ERROR_OTHER),
        }
    }
}

impl From<SetupError> for Fault {
    fn from(error: SetupError) -> Self {
        use SetupError as E;
        let range = |name, value| Self::new(PICARDY_ERROR_RANGE).field("sampler.", name).value(value);
        match error {
            E::Shape { dim: 0, .. } => Self::new(PICARDY_ERROR_SHAPE).name("dim"),
            E::Shape { .. } => Self::new(PICARDY_ERROR_SHAPE).name("batch"),
            E::Zero(name) => Self::new(PICARDY_ERROR_ZERO).field("sampler.", name),
            E::History { given, .. } => range("directions", given as f64),
            E::Rows { rows, batch } => Self::new(PICARDY_ERROR_ROWS).given(rows).needed(batch),
            E::Tolerance(value) => range("tolerance", value),
            E::DataVariance(value) => range("data_variance", value),
            E::Start { item } => Self::new(PICARDY_ERROR_START).item(item),
            _ => Self::new(PICARDY_ERROR_OTHER),
        }
    }
}

impl From<SampleError<Fault>> for Fault {
    fn from(error: SampleError<Fault>) -> Self {
        use SampleError as E;
        match error {
            E::Setup(error) => error.into(),
            E::NotFinite { item, node } => Self::new(PICARDY_ERROR_NOT_FINITE).item(item).index(node),
            E::Overflow { item, node } => Self::new(PICARDY_ERROR_OVERFLOW).item(item).index(node),
            E::Denoiser(fault) => fault,
            _ => Self::new(PICARDY_ERROR_OTHER),
        }
    }
}

impl From<ArtifactError> for Fault {
    fn from(error: ArtifactError) -> Self {
        use ArtifactError as E;
        let artifact = Self::new(PICARDY_ERROR_ARTIFACT);
        let saturated = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        match error {
            E::Truncated { needed, got } => artifact.needed(saturated(needed)).given(got),
            E::HeaderTooLong { length } => artifact.needed(saturated(length)).given(picardy::nn::MAX_HEADER),
            E::NotUtf8 { offset } | E::Syntax { offset } | E::Escape { offset } | E::Overflow { offset } => {
                artifact.index(offset)
            }
            E::Duplicate { entry }
            | E::Dtype { entry }
            | E::Rank { entry }
            | E::Incomplete { entry }
            | E::Offsets { entry, .. }
            | E::Overlap { entry } => artifact.index(entry),
            E::Misaligned { alignment } => {
                Self::new(PICARDY_ERROR_MISALIGNED).name("bytes").needed(alignment)
            }
            _ => artifact,
        }
    }
}

impl From<CardError> for Fault {
    fn from(error: CardError) -> Self {
        let card = Self::new(PICARDY_ERROR_CARD);
        match error {
            CardError::Missing { key } | CardError::Invalid { key, .. } | CardError::Length { key, .. } => {
                card.name(key)
            }
            CardError::Version { .. } => card.name(picardy::nn::key::VERSION),
            _ => card,
        }
    }
}

impl From<ModelError> for Fault {
    fn from(error: ModelError) -> Self {
        use ModelError as E;
        match error {
            E::Artifact { error: error @ ArtifactError::Misaligned { .. }, .. } => error.into(),
            E::Artifact { name, error } if name.as_str().is_empty() => error.into(),
            E::Artifact { name, .. } | E::Shape { name, .. } | E::Rank { name, .. } => {
                Self::new(PICARDY_ERROR_TENSOR).name(name.as_str())
            }
            // Which of the two it was, core does not say: a NaN stands for both.
            E::NotFinite { name, index } => {
                Self::new(PICARDY_ERROR_WEIGHT).name(name.as_str()).index(index).value(f64::NAN)
            }
            E::Scale { name, index, bits } => {
                let value = f64::from(f32::from_bits(bits));
                Self::new(PICARDY_ERROR_WEIGHT).name(name.as_str()).index(index).value(value)
            }
            E::Inputs { name, got, limit } => {
                Self::new(PICARDY_ERROR_MODEL).name(name.as_str()).given(got).needed(limit)
            }
            E::Card(error) => error.into(),
            // A card that is right: it is this border that takes no condition.
            E::Rows(error) if error.argument == picardy::nn::key::CONDITION => {
                Self::new(PICARDY_ERROR_MODEL).name(error.argument).given(error.got)
            }
            E::Rows(error) => Self::new(PICARDY_ERROR_CARD).name(error.argument),
            // The card's values, by their keys: the item's shape, or one of the network's sizes.
            E::Program(ProgramError::Size { what, got, .. }) => {
                let card = Self::new(PICARDY_ERROR_CARD).given(got);
                match what.as_str() {
                    "places" | "side" => card.name(key::SHAPE),
                    size => card.field("picardy.", size),
                }
            }
            E::Condition { expected, got } => Self::new(PICARDY_ERROR_CONDITION).needed(expected).given(got),
            E::OddWidth { width } => Self::new(PICARDY_ERROR_MODEL).given(width),
            E::Blocks { got } => Self::new(PICARDY_ERROR_MODEL).given(got),
            E::NoCoordinates | E::UnknownModel => Self::new(PICARDY_ERROR_MODEL),
            E::Dimension { network, state } => {
                Self::new(PICARDY_ERROR_DIMENSION).needed(network).given(state)
            }
            E::Scratch { needed, got } => Self::new(PICARDY_ERROR_SCRATCH).needed(needed).given(got),
            _ => Self::new(PICARDY_ERROR_OTHER),
        }
    }
}
