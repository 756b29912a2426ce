//! Errors as codes, their texts, and the values that go with them.

use core::ffi::{CStr, c_char};

/// Why a call failed; `picardy_error_text` says each in words.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum picardy_error {
    /// It did not.
    PICARDY_OK = 0,
    /// A null pointer.
    PICARDY_ERROR_NULL = 1,
    /// A misaligned pointer.
    PICARDY_ERROR_MISALIGNED = 2,
    /// Too little memory.
    PICARDY_ERROR_MEMORY = 3,
    /// Two buffers share bytes. Where one is the detail, that is not written.
    PICARDY_ERROR_OVERLAP = 4,
    /// A length beyond all memory.
    PICARDY_ERROR_SIZE = 5,
    /// An integer that is none of its enum's values.
    PICARDY_ERROR_UNKNOWN_VALUE = 6,
    /// An index past the end.
    PICARDY_ERROR_INDEX = 7,
    /// A pointer that is no plan's.
    PICARDY_ERROR_NOT_A_PLAN = 8,
    /// A pointer that is no network's.
    PICARDY_ERROR_NOT_A_NETWORK = 9,
    /// A pointer that is no run's, or a run that is finished.
    PICARDY_ERROR_NOT_A_RUN = 10,
    /// A run or a likelihood that is used inside its own callback.
    PICARDY_ERROR_BUSY = 11,
    /// A denoiser that is neither a function nor a network, or both.
    PICARDY_ERROR_DENOISER = 12,
    /// The denoiser's function returned an error.
    PICARDY_ERROR_CALLBACK = 13,
    /// The denoiser wrote a NaN or an infinity.
    PICARDY_ERROR_NOT_FINITE = 14,
    /// The last state overflowed.
    PICARDY_ERROR_OVERFLOW = 15,
    /// The start is not finite.
    PICARDY_ERROR_START = 16,
    /// No batch, or no coordinates.
    PICARDY_ERROR_SHAPE = 17,
    /// A setting of 0.
    PICARDY_ERROR_ZERO = 18,
    /// A number out of its range.
    PICARDY_ERROR_RANGE = 19,
    /// Fewer rows in a call than items.
    PICARDY_ERROR_ROWS = 20,
    /// No steps, or more than the schedule has.
    PICARDY_ERROR_STEPS = 30,
    /// A timestep that the schedule does not have.
    PICARDY_ERROR_TIMESTEP = 31,
    /// A schedule without timesteps, or with too many.
    PICARDY_ERROR_TRAIN_STEPS = 32,
    /// A beta outside (0, 1), or a product of betas that is 0 or 1.
    PICARDY_ERROR_BETA = 33,
    /// Sigmas that are no range.
    PICARDY_ERROR_SIGMA_RANGE = 34,
    /// A level that is none, or not cleaner than the one before.
    PICARDY_ERROR_LEVEL = 35,
    /// An order that the solver does not have.
    PICARDY_ERROR_ORDER = 36,
    /// The prediction says nothing at a level.
    PICARDY_ERROR_SINGULAR = 37,
    /// A table without a start, an evaluated node and an end.
    PICARDY_ERROR_EMPTY = 38,
    /// A term that reaches to where nothing is.
    PICARDY_ERROR_TERM = 39,
    /// A node that is not finite.
    PICARDY_ERROR_NODE = 40,
    /// Bytes that are no artifact.
    PICARDY_ERROR_ARTIFACT = 50,
    /// A tensor that is missing or of another type or shape.
    PICARDY_ERROR_TENSOR = 51,
    /// A network of a kind or size that this library does not run.
    PICARDY_ERROR_MODEL = 52,
    /// An artifact's card that is missing or wrong.
    PICARDY_ERROR_CARD = 53,
    /// Too little scratch.
    PICARDY_ERROR_SCRATCH = 54,
    /// States of another size than the network's.
    PICARDY_ERROR_DIMENSION = 55,
    /// A weight that is not finite, or an int8's scale that is not positive.
    PICARDY_ERROR_WEIGHT = 56,
    /// No conditions for a network that takes them.
    PICARDY_ERROR_NO_CONDITION = 57,
    /// More or fewer numbers of conditions than the items have.
    PICARDY_ERROR_CONDITION = 58,
    /// More actions than a chunk has, or has left.
    PICARDY_ERROR_HORIZON = 60,
    /// A number that is not finite.
    PICARDY_ERROR_NUMBER = 61,
    /// A speed beyond its own limit.
    PICARDY_ERROR_SPEED = 62,
    /// A pointer that is no likelihood's.
    PICARDY_ERROR_NOT_A_LIKELIHOOD = 70,
    /// Too few evaluations.
    PICARDY_ERROR_EVALUATIONS = 71,
    /// A noise level without signal, or that is none.
    PICARDY_ERROR_SIGNAL = 72,
    /// A log-SNR at which the network cannot be asked.
    PICARDY_ERROR_LOG_SNR = 73,
    /// An evaluation of a density that is not finite.
    PICARDY_ERROR_EVALUATION = 74,
    /// Too few held-out scores or profiles.
    PICARDY_ERROR_SCORES = 75,
    /// Profiles that do not vary.
    PICARDY_ERROR_SPREAD = 76,
    /// An error that this border has no code for.
    PICARDY_ERROR_OTHER = 99,
}

use picardy_error::*;

/// The values of an error. Which count, its text says; the others are 0.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct picardy_detail {
    /// A `picardy_error`.
    pub code: i32,
    /// What the denoiser's function returned.
    pub callback: i32,
    /// What is needed.
    pub needed: usize,
    /// What was given.
    pub given: usize,
    /// A node, level, timestep, evaluation, number, tensor or byte.
    pub index: usize,
    /// An item of the batch.
    pub item: usize,
    /// A number.
    pub value: f64,
    /// An argument, field, tensor or key; ends with a 0.
    pub name: [c_char; 48],
}

/// The text of a code: what happened, which values of `picardy_detail` say what, and what mends it. A static string, for
/// every number.
#[unsafe(no_mangle)]
pub extern "C" fn picardy_error_text(code: i32) -> *const c_char {
    text(code).as_ptr()
}

fn text(code: i32) -> &'static CStr {
    /// The texts of some codes.
    macro_rules! texts {
        ($($code:ident: $text:literal,)*) => {
            match code {
                $(code if code == $code as i32 => $text,)*
                _ => c"no such error code: use the header and the library of one version",
            }
        };
    }
    texts! {
        PICARDY_OK: c"no error",
        PICARDY_ERROR_NULL: c"the pointer `name` is null: give it an object",
        PICARDY_ERROR_MISALIGNED: c"the pointer `name` is not a multiple of `needed`: align what it points to",
        PICARDY_ERROR_MEMORY: c"`name` has `given` bytes of the `needed` ones: give as many as the function for its size says",
        PICARDY_ERROR_OVERLAP: c"the buffer `name` shares bytes with another of this call, or with its plan, network, run or likelihood (the detail itself, where that was left as it was): give each its own",
        PICARDY_ERROR_SIZE: c"`given` of `name` are more than there is memory: give a smaller number",
        PICARDY_ERROR_UNKNOWN_VALUE: c"`value` is none of the values of the enum in `name`: take one from the header",
        PICARDY_ERROR_INDEX: c"index `given` of `needed`: give a smaller one",
        PICARDY_ERROR_NOT_A_PLAN: c"the pointer is no plan's, or the plan was moved or its memory used anew: take the one that picardy_plan_make gave",
        PICARDY_ERROR_NOT_A_NETWORK: c"the pointer is no network's, or it was moved or its memory used anew: take the one that picardy_network_open gave",
        PICARDY_ERROR_NOT_A_RUN: c"the pointer is no run's, or the run is finished, was moved, or its memory used anew: take the one that picardy_run_begin gave",
        PICARDY_ERROR_BUSY: c"the run or the likelihood is under way: do not use it inside its own callback; after a longjmp out of one, begin or make it anew",
        PICARDY_ERROR_DENOISER: c"the denoiser has neither a function nor a network, or both: set one and leave the other null",
        PICARDY_ERROR_CALLBACK: c"the denoiser's function returned `callback`: a run is as it was; ask for the round, or for the density, again",
        PICARDY_ERROR_NOT_FINITE: c"the denoiser's output for item `item` at node `index` is NaN or infinite: check the network and its input; the round can be asked for again",
        PICARDY_ERROR_OVERFLOW: c"the state of item `item` at node `index` overflowed: the network's outputs are far too large; the run has ended",
        PICARDY_ERROR_START: c"the start of item `item` is NaN or infinite: check what x holds before the run",
        PICARDY_ERROR_SHAPE: c"`name` is 0: give at least one item of at least one number",
        PICARDY_ERROR_ZERO: c"the setting `name` is 0: give at least 1, or SIZE_MAX for no limit",
        PICARDY_ERROR_RANGE: c"`value` of `name` is out of its range: the header gives it",
        PICARDY_ERROR_ROWS: c"`given` rows a call for `needed` items: give a row for each at least, or fewer items",
        PICARDY_ERROR_STEPS: c"`given` steps where there are 1 to `needed` (one for each timestep of the schedule): ask for as many",
        PICARDY_ERROR_TIMESTEP: c"timestep `given` of a schedule of `needed`: lower the offset",
        PICARDY_ERROR_TRAIN_STEPS: c"a schedule of `given` timesteps: give it 1 to `needed`",
        PICARDY_ERROR_BETA: c"the beta (or the product of 1 - beta) `value` at timestep `index` lies outside (0, 1): check beta_start and beta_end",
        PICARDY_ERROR_SIGMA_RANGE: c"the sigmas are no range (sigma_max is `value`): give finite 0 < sigma_min < sigma_max",
        PICARDY_ERROR_LEVEL: c"level `index` is not finite, is negative, or is not cleaner than the one before: mend the schedule",
        PICARDY_ERROR_ORDER: c"order `given`: this solver has orders 1 to `needed`",
        PICARDY_ERROR_SINGULAR: c"at node `index` (alpha `value`) the prediction says nothing of the data: take v- or sample-prediction, or a schedule that does not end at zero SNR",
        PICARDY_ERROR_EMPTY: c"the table is no plan: give a start, an evaluated node and an end",
        PICARDY_ERROR_TERM: c"a term of node `index` reaches `given` nodes back, where there is nothing (or more than 255): mend the table",
        PICARDY_ERROR_NODE: c"a number of node `index` is NaN or infinite: mend the table, or the schedule",
        PICARDY_ERROR_ARTIFACT: c"the bytes are no artifact this library reads: wrong at byte or entry `index`, or cut short (`needed` of `given`); export the model again",
        PICARDY_ERROR_TENSOR: c"the tensor `name` is missing or has another type or shape than the network's: export the model again",
        PICARDY_ERROR_MODEL: c"the artifact holds a network that this library does not run: of the architecture `name`: give the denoiser a function that evaluates it, or train a residual MLP or a U-Net; or of a width, of blocks, or of inputs of the tensor `name` (`needed` at most) that are `given`: export one of another size",
        PICARDY_ERROR_CARD: c"the artifact's metadata lack `name`, or it is wrong: export the model again, or give schedule and prediction yourself",
        PICARDY_ERROR_SCRATCH: c"the network's scratch has `given` numbers, a row needs `needed`: see picardy_network_scratch",
        PICARDY_ERROR_DIMENSION: c"states of `given` numbers for a network of `needed`: set dim to that",
        PICARDY_ERROR_WEIGHT: c"number `index` of the tensor `name` is NaN or infinite, or is `value` where an int8's scale must be positive: export the model again",
        PICARDY_ERROR_NO_CONDITION: c"the network takes a condition, of all items `needed` numbers, and was given none: set the denoiser's conditions and condition_floats; zeros are no condition",
        PICARDY_ERROR_CONDITION: c"`given` numbers of conditions where the items have `needed`: give each item the picardy_card.condition numbers of its own, and none to a network or a function without",
        PICARDY_ERROR_HORIZON: c"`name` of `given` actions, where `needed` are the most: execute fewer before planning again, or plan faster",
        PICARDY_ERROR_NUMBER: c"number `index` of `name` is `value`: mend what it came from: a plan, an observation, a score",
        PICARDY_ERROR_SPEED: c"item `item` moves at `value` times its limit already: brake first, or give a larger limit",
        PICARDY_ERROR_NOT_A_LIKELIHOOD: c"the pointer is no likelihood's, or it was moved or its memory used anew: take the one that picardy_likelihood_make gave",
        PICARDY_ERROR_EVALUATIONS: c"`given` evaluations an input, where `needed` are the fewest: set evaluations to that at least; 256 are usual",
        PICARDY_ERROR_SIGNAL: c"noise level `index` is not finite, is negative, or has no signal: give alpha above 0 and sigma of 0 or above",
        PICARDY_ERROR_LOG_SNR: c"the network cannot be asked at log-SNR `value`: narrow log_snrs, or check schedule and prediction",
        PICARDY_ERROR_EVALUATION: c"evaluation `index` of item `item` is NaN, infinite, or its square is: check the network, and that x is in its units",
        PICARDY_ERROR_SCORES: c"`given` held-out `name` are too few: give at least `needed`, or of scores a higher rate",
        PICARDY_ERROR_SPREAD: c"the held-out `name` do not vary, or overflow: give those of different inputs",
        PICARDY_ERROR_OTHER: c"an error without a code of its own: use the header and the library of one version",
    }
}
