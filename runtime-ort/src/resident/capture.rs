//! One captured graph: its bound memory, and whether it may be trusted.
//!
//! A captured graph is a list of kernels with the addresses they were captured with. Nothing else of a run is repeated: no copy on the
//! host's account, and on some providers no copy at all. What that leaves out cannot be told from the model, so the graph has to show
//! that it gives an ordinary run's numbers:
//!
//! ```text
//! first run     captured; its numbers are kept
//! second run    an ordinary one; where its numbers differ from those kept, what is written is filled with NaN, and the graph
//!               must give them too
//! from then on  the graph alone
//! ```

use std::fmt;

use ort::session::{IoBinding, RunOptions, Session};

use crate::{binding::run_bound_with, error::OrtError, provider::Exclusively};

/// The most captured graphs of one session: they are freed with it and not before.
pub(super) const CAPTURES: usize = 64;

/// Places are told as f32, which holds whole numbers up to here.
pub(super) const PLACES: usize = 1 << 24;

/// The largest difference of a captured run's numbers from an ordinary run's, beside the largest of them. Kernels that add in any order
/// differ by rounding.
const APART: f32 = 1e-5;

/// What a run writes.
pub(super) trait Outputs {
    /// Its numbers, on the host.
    fn numbers(&self) -> Result<Vec<f32>, OrtError>;

    /// Fills it with NaN.
    fn spoil(&mut self) -> Result<(), OrtError>;
}

#[derive(Debug)]
enum Proof {
    New,
    /// The captured run's numbers.
    Said(Vec<f32>),
    Holds,
}

/// Bound memory, and the graph that was captured with it.
#[derive(Debug)]
pub(super) struct Captured {
    binding: Exclusively<IoBinding>,
    captured: Named,
    ordinary: Named,
    proof: Proof,
}

/// ONNX Runtime's run option that names a captured graph; -1 is none.
const GRAPH: &str = "gpu_graph_id";

/// The options of a run, which name a captured graph or none.
pub(super) struct Named {
    graph: i64,
    options: RunOptions,
}

impl Named {
    fn graph(graph: i64) -> Result<Self, OrtError> {
        let mut options = RunOptions::new()?;
        options.set(GRAPH, graph.to_string())?;
        Ok(Self { graph, options })
    }

    /// None: the run captures nothing, in a session that captures.
    pub(super) fn none() -> Result<Self, OrtError> {
        Self::graph(-1)
    }

    pub(super) fn options(&self) -> &RunOptions {
        &self.options
    }
}

impl fmt::Debug for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "graph {}", self.graph)
    }
}

impl Captured {
    /// With the session's graph of this number, which begins at 1.
    pub(super) fn new(binding: Exclusively<IoBinding>, graph: usize) -> Result<Self, OrtError> {
        let (captured, ordinary) = (Named::graph(graph as i64)?, Named::none()?);
        Ok(Self { binding, captured, ordinary, proof: Proof::New })
    }

    /// A run. Gives whether it was the captured graph's alone.
    ///
    /// # Errors
    /// ONNX Runtime's, and [`OrtError::Device`] where the graph gives other numbers than an ordinary run: it must not be used again.
    pub(super) fn run(&mut self, session: &mut Session, outputs: &mut dyn Outputs) -> Result<bool, OrtError> {
        match &self.proof {
            Proof::Holds => {
                run_bound_with(session, &self.binding, Some(self.captured.options()))?;
                return Ok(true);
            }
            Proof::New => {
                run_bound_with(session, &self.binding, Some(self.captured.options()))?;
                self.proof = Proof::Said(outputs.numbers()?);
            }
            Proof::Said(before) => {
                run_bound_with(session, &self.binding, Some(self.ordinary.options()))?;
                let want = outputs.numbers()?;
                // The same numbers again would prove nothing.
                if !agree(before, &want) {
                    outputs.spoil()?;
                    run_bound_with(session, &self.binding, Some(self.captured.options()))?;
                    if !agree(&want, &outputs.numbers()?) {
                        let said = "captured, it gives other numbers than run as usual".to_owned();
                        return Err(OrtError::Device { said });
                    }
                    self.proof = Proof::Holds;
                }
            }
        }
        Ok(false)
    }
}

/// Whether these are the same numbers within rounding; NaN is NaN.
fn agree(a: &[f32], b: &[f32]) -> bool {
    let finite = a.iter().filter(|x| x.is_finite());
    let scale = finite.fold(0.0, |most: f32, x| most.max(x.abs()));
    let same = |(a, b): (&f32, &f32)| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= APART * scale;
    a.len() == b.len() && a.iter().zip(b).all(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_agree_within_rounding() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        assert!(agree(&[1.0, nan, inf, 0.0], &[1.000_001, nan, inf, 1e-7]));
        for other in [[1.1, nan, inf, 0.0], [1.0, 0.0, inf, 0.0], [1.0, nan, -inf, 0.0], [1.0, nan, nan, 0.0]]
        {
            assert!(!agree(&[1.0, nan, inf, 0.0], &other), "{other:?}");
            assert!(!agree(&other, &[1.0, nan, inf, 0.0]), "{other:?}");
        }
        assert!(!agree(&[1.0], &[1.0, 1.0]) && agree(&[0.0], &[0.0]));
    }
}
