//! What crossed the bus.

use std::sync::{Arc, Mutex, PoisonError};

/// What has crossed between host and device, and how often something ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Runs of small graphs.
    pub runs: usize,
    /// Rows of states and noise that came from the host.
    pub rows_up: usize,
    /// Rows that went to the host.
    pub rows_down: usize,
    /// Inner products that went to the host.
    pub products: usize,
    /// Coefficients and places that came from the host, in bytes.
    pub coefficients: usize,
    /// Runs, of small graphs and of the model, that repeated a captured graph: see [`GpuGraphs`](crate::GpuGraphs).
    pub captured: usize,
}

impl Traffic {
    pub(super) fn add(&mut self, more: &Self) {
        self.runs += more.runs;
        self.rows_up += more.rows_up;
        self.rows_down += more.rows_down;
        self.products += more.products;
        self.coefficients += more.coefficients;
        self.captured += more.captured;
    }
}

/// Reads the [`Traffic`] of [`ResidentFrames`](super::ResidentFrames).
#[derive(Clone, Debug)]
pub struct Counter(pub(super) Arc<Mutex<Crossed>>);

/// What is counted, and what is to be known of it.
#[derive(Debug, Default)]
pub(super) struct Crossed {
    pub(super) traffic: Traffic,
    pub(super) uncaptured: Option<String>,
}

impl Counter {
    /// So far.
    #[must_use]
    pub fn get(&self) -> Traffic {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).traffic
    }

    /// Why runs that were to be captured are not, the first reason of the kind; `None` while there is none.
    #[must_use]
    pub fn uncaptured(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).uncaptured.clone()
    }
}
