//! The C border of Picardy: `include/picardy.h`, and `include/picardy.hpp` over it.
//!
//! It samples (plans, networks, runs), plans over receding horizons, and says how likely and how noisy an input is
//! (likelihoods, thresholds: the noise classifier).
//!
//! Nothing is owned: plans, networks, runs and likelihoods lie in memory that the caller gives, whose size a function tells, and are gone
//! when it is. There are no globals and no allocation. A function returns 0 ([`PICARDY_OK`](picardy_error::PICARDY_OK)) or
//! the code of an error, whose text [`picardy_error_text`] has and whose values a [`picardy_detail`] gets. Integers stand
//! where C has enums, so that an unknown one is an error; null and misaligned pointers, sizes that overflow, memory that is too
//! small, and a buffer that shares bytes with another of its call, or with the plan, the network (its artifact too), the run or
//! the likelihood of that call, are errors too. A detail in their memory, or in memory that the call is given to make one in, is
//! [`PICARDY_ERROR_OVERLAP`](picardy_error::PICARDY_ERROR_OVERLAP), and stays unwritten: the code alone says it. What cannot be checked is the
//! caller's: that a pointer points to as much memory as is said, that a detail lies apart from the call's other buffers, and that memory
//! lent to a plan, a network, a run or a likelihood is left alone while that is used.
//!
//! What makes an object ends what was in its memory before, and on an error leaves null for its pointer: there, an old pointer
//! to the start of that memory is an error from then on.
//!
//! Callbacks must return: neither an exception nor a `longjmp` may cross this library.
//!
//! ```
//! use picardy_c::*;
//! use core::ptr;
//! let spec = picardy_plan_spec { steps: 10, ..picardy_plan_spec_ddim() };
//! let mut bytes = 0;
//! unsafe { assert_eq!(picardy_plan_size(&spec, &mut bytes, ptr::null_mut()), 0) };
//! let mut memory = vec![0u64; bytes.div_ceil(8)];
//! let mut plan = ptr::null();
//! let code = unsafe { picardy_plan_make(&spec, memory.as_mut_ptr().cast(), bytes, &mut plan, ptr::null_mut()) };
//! assert!(code == 0 && !plan.is_null());
//! ```
//!
//! When a score, such as -log p(x) of [`picardy_log_density`], is an alarm: of inputs like those held out, 5 in 100 at most.
//!
//! ```
//! use picardy_c::*;
//! use core::ptr;
//! let mut held_out: [f64; 99] = core::array::from_fn(|i| i as f64);
//! let mut threshold = picardy_threshold::default();
//! let (scores, count) = (held_out.as_mut_ptr(), held_out.len());
//! let code = unsafe { picardy_threshold_calibrate(scores, count, 0.05, &mut threshold, ptr::null_mut()) };
//! assert!(code == 0 && picardy_is_alarm(threshold, 94.5) != 0 && picardy_is_alarm(threshold, 94.0) == 0);
//! ```

#![no_std]
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(unsafe_code, reason = "the C border is what this crate is")]
#![allow(non_camel_case_types, reason = "names are the header's")]

mod alarm;
mod denoiser;
mod density;
mod error;
mod fault;
#[cfg(feature = "handler")]
mod handler;
mod horizon;
mod kinds;
mod likelihood;
mod memory;
mod model;
mod network;
mod plan;
mod run;
mod setup;
mod source;
mod stepping;
mod view;

pub use alarm::{
    picardy_is_alarm, picardy_threshold, picardy_threshold_calibrate, picardy_typical, picardy_typical_fit,
    picardy_typical_score,
};
pub use denoiser::{picardy_denoiser, picardy_evaluate, picardy_row};
pub use density::{
    PICARDY_BANDS, picardy_log_density, picardy_log_ratio, picardy_nats, picardy_posterior, picardy_profile,
};
pub use error::{picardy_detail, picardy_error, picardy_error_text};
pub use horizon::{
    picardy_chunk, picardy_chunk_overlap, picardy_chunk_renoise, picardy_chunk_shift, picardy_limits,
    picardy_limits_apply,
};
pub use kinds::{
    picardy_final, picardy_form, picardy_log_snrs_kind, picardy_prediction, picardy_sampler_kind,
    picardy_schedule_kind, picardy_slope, picardy_solver_kind, picardy_spacing,
};
pub use likelihood::{
    PICARDY_LIKELIHOOD_HEADER_BYTES, picardy_likelihood, picardy_likelihood_make, picardy_likelihood_size,
    picardy_likelihood_spec, picardy_likelihood_spec_logistic, picardy_log_snrs,
};
pub use memory::PICARDY_ALIGNMENT;
pub use network::{
    PICARDY_NETWORK_BYTES, picardy_card, picardy_network, picardy_network_card, picardy_network_dim,
    picardy_network_log_scale, picardy_network_normalize, picardy_network_open, picardy_network_restore,
    picardy_network_scratch, picardy_network_size,
};
pub use plan::{
    PICARDY_NODE_BYTES, PICARDY_PLAN_HEADER_BYTES, picardy_level, picardy_node, picardy_plan,
    picardy_plan_about, picardy_plan_from_table, picardy_plan_info, picardy_plan_make, picardy_plan_node,
    picardy_plan_size, picardy_plan_table_size, picardy_term,
};
pub use run::{
    PICARDY_ROW_BYTES, PICARDY_RUN_HEADER_BYTES, picardy_need, picardy_run, picardy_run_begin,
    picardy_run_need, picardy_start,
};
pub use setup::{picardy_sampler, picardy_sampler_picard, picardy_sampler_sequential, picardy_setup};
pub use source::{
    picardy_plan_spec, picardy_plan_spec_ddim, picardy_schedule, picardy_schedule_linear, picardy_solver,
};
pub use stepping::{
    picardy_report, picardy_round, picardy_run_best, picardy_run_finish, picardy_run_round, picardy_sample,
    picardy_watch,
};
