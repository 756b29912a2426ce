//! The transcendental functions that schedules and noise are made of.
//!
//! One path for every target: `libm` alone, never the platform's own, so that schedules, plans and
//! noise are the same bits on a workstation and on a microcontroller.

pub(crate) use libm::{cos, exp, expm1, floor, lgamma, log as ln, log1p, pow, rint, sqrt};
