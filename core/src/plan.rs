//! The plan of affine nodes: what every solver makes and every sampler runs.

use crate::prediction::{Form, Readout};
use crate::{Level, Noise, Real};
use core::fmt;

/// The most state terms of a node: Heun's last stage has two.
pub const MAX_STATES: usize = 2;
/// The most output terms of a node: UniPC's corrector of order 3 and LMS of order 4 have four.
pub const MAX_OUTPUTS: usize = 4;

/// One term of a node's recurrence: `weight` times what stands `back` nodes earlier. `back = 0` is no term.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Term {
    /// How many nodes back.
    pub back: u8,
    /// The coefficient.
    pub weight: f64,
}

impl Term {
    /// No term.
    pub const NONE: Self = Self { back: 0, weight: 0.0 };

    /// `weight` times the value `back` nodes earlier.
    pub const fn new(back: u8, weight: f64) -> Self {
        Self { back, weight }
    }
}

/// One node `k` of a plan: how its state comes about, and how the network is asked there.
///
/// ```text
/// x_k = sum_j A[k,j] x_j + sum_j B[k,j] m_j + C[k] z_k        j < k, z_k unit Gaussian
/// m_k = state x_k + output * network(input x_k, t_k)          where evaluated
/// ```
///
/// Node 0 has no terms but its noise: `C[0]` is what a unit Gaussian start must be multiplied by.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Node {
    /// Where the state `x_k` lives.
    pub level: Level,
    /// How the network's output there is read; `None` where it is not evaluated.
    pub evaluate: Option<Readout>,
    /// `A[k, .]`
    pub states: [Term; MAX_STATES],
    /// `B[k, .]`
    pub outputs: [Term; MAX_OUTPUTS],
    /// `C[k]`
    pub noise: f64,
}

/// How far back a plan reaches: what a sampler must keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The oldest state that a node uses, in nodes back; at least 1.
    pub states: usize,
    /// The oldest output; at least 1.
    pub outputs: usize,
    /// Whether the network is anywhere shown another scale than the state's.
    pub scaled: bool,
}

impl Reach {
    /// The reach of every one-step solver: DDPM, DDIM, Euler.
    pub const ONE_STEP: Self = Self { states: 1, outputs: 1, scaled: false };
}

/// A solver's coefficients over a grid: nodes `0 ..= K`, over the caller's memory (or a flash constant).
///
/// Solvers make plans; anybody may make one with [`Plan::new`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan<'a> {
    nodes: &'a [Node],
    form: Form,
    reach: Reach,
}

/// Why a plan could not be made.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum PlanError {
    /// The caller's slice of nodes is too short.
    Buffer {
        /// The nodes that are needed.
        needed: usize,
        /// The nodes the slice holds.
        given: usize,
    },
    /// Fewer than two nodes, or none evaluated.
    Empty,
    /// DDIM's eta outside [0, 1].
    Eta(f64),
    /// An order that the solver does not have.
    Order {
        /// The order asked for.
        order: usize,
        /// The highest there is.
        most: usize,
    },
    /// A setting of the solver is out of its range.
    Parameter {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: f64,
    },
    /// The prediction tells nothing of what the solver needs at this level (zero terminal SNR with
    /// epsilon-prediction, for one), or the solver's coordinates have no such level.
    Singular {
        /// The node.
        node: usize,
        /// Its alpha.
        alpha: f64,
        /// Its sigma.
        sigma: f64,
    },
    /// A term reaches before the first node, or to an output that is not evaluated.
    Term {
        /// The node.
        node: usize,
        /// How far back the term reaches.
        back: usize,
    },
    /// A coefficient or a level is infinite or NaN.
    NotFinite {
        /// The node.
        node: usize,
    },
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Buffer { needed, given } => write!(f, "the slice holds {given} nodes; give {needed}"),
            Self::Empty => {
                write!(f, "a plan needs a start, an evaluated node and an end; give at least two nodes")
            }
            Self::Eta(eta) => write!(f, "eta {eta} lies outside [0, 1]; 0 is DDIM, 1 is DDPM"),
            Self::Order { order, most } => write!(f, "order {order}; this solver has orders 1 to {most}"),
            Self::Parameter { name, value } => {
                write!(f, "{name} {value} is out of range; the solver's docs give it")
            }
            Self::Singular { node, alpha, sigma } => write!(
                f,
                "node {node} (alpha {alpha}, sigma {sigma}): this prediction or the solver's form says nothing of the data \
                 there; use v- or sample-prediction with a solver in data form and the network's own coordinates \
                 (ddim, dpmsolver++, unipc), or a schedule that does not end at zero SNR"
            ),
            Self::Term { node, back } => {
                write!(
                    f,
                    "node {node} uses what stands {back} nodes back, where there is nothing; mend its terms"
                )
            }
            Self::NotFinite { node } => {
                write!(f, "node {node} has a coefficient that is not finite; check its level")
            }
        }
    }
}

impl core::error::Error for PlanError {}

impl<'a> Plan<'a> {
    /// Takes nodes as a plan.
    ///
    /// # Errors
    /// Nodes that reach before the start or to outputs that are not there, or are not finite.
    pub fn new(nodes: &'a [Node], form: Form) -> Result<Self, PlanError> {
        if nodes.len() < 2 || !nodes.iter().any(|node| node.evaluate.is_some()) {
            return Err(PlanError::Empty);
        }
        let mut reach = Reach::ONE_STEP;
        for (k, node) in nodes.iter().enumerate() {
            let mut finite = node.noise.is_finite() && node.level.is_sound();
            for term in node.state_terms() {
                finite &= term.weight.is_finite();
                let back = usize::from(term.back);
                if back > k {
                    return Err(PlanError::Term { node: k, back });
                }
                reach.states = reach.states.max(back);
            }
            for term in node.output_terms() {
                finite &= term.weight.is_finite();
                let back = usize::from(term.back);
                let source = k.checked_sub(back).and_then(|j| nodes.get(j));
                if source.is_none_or(|source| source.evaluate.is_none()) {
                    return Err(PlanError::Term { node: k, back });
                }
                reach.outputs = reach.outputs.max(back);
            }
            if let Some(read) = node.evaluate {
                finite &= read.input.is_finite() && read.state.is_finite() && read.output.is_finite();
                reach.scaled |= read.input != 1.0;
            }
            if !finite {
                return Err(PlanError::NotFinite { node: k });
            }
        }
        Ok(Self { nodes, form, reach })
    }

    /// The nodes, the start first.
    #[inline]
    pub const fn nodes(&self) -> &'a [Node] {
        self.nodes
    }

    /// What the plan's outputs `m` are: data or noise.
    #[inline]
    pub const fn form(&self) -> Form {
        self.form
    }

    /// How far back its terms reach.
    #[inline]
    pub const fn reach(&self) -> Reach {
        self.reach
    }

    /// `K`, the index of the last node, whose state is the sample.
    #[inline]
    pub const fn last(&self) -> usize {
        self.nodes.len() - 1
    }

    /// How much output `j` weighs in the states that use it: the sum of `|B[k, j]|`.
    #[inline]
    pub(crate) fn weight(&self, j: usize) -> f64 {
        let users = self.nodes.iter().enumerate().skip(j + 1).take(self.reach.outputs);
        let weights = users
            .flat_map(|(k, node)| node.output_terms().filter(move |term| k - usize::from(term.back) == j));
        weights.map(|term| term.weight.abs()).sum()
    }

    /// How often a sequential run calls the network. The last node's output is never asked for, whatever it says: so
    /// the front of a plan is a plan.
    pub fn evaluations(&self) -> usize {
        self.nodes.iter().take(self.last()).filter(|node| node.evaluate.is_some()).count()
    }

    /// Writes the start of items `0 ..` into `x` (`[batch, dim]`): `x_0 = C[0] z_0`.
    pub fn start<T: Real>(&self, noise: &Noise<'_>, dim: usize, x: &mut [T]) {
        let weight = self.nodes.first().map_or(0.0, |node| node.noise);
        for (item, x) in x.chunks_mut(dim.max(1)).enumerate() {
            noise.fill(weight, item, 0, x);
        }
    }

    /// The variance against which a change of state `k` is small or large: the DDPM posterior's between it and
    /// the nearest noisier node before it, or the nearest one before that which has any. 0 where none has.
    pub fn step_variance(&self, k: usize) -> f64 {
        let nodes = self.nodes.get(..=k).unwrap_or(self.nodes);
        for (j, node) in nodes.iter().enumerate().rev() {
            for before in nodes.get(..j).unwrap_or(&[]).iter().rev() {
                if node.level.is_cleaner_than(&before.level) {
                    let variance = node.level.posterior_variance(&before.level);
                    if variance > 0.0 {
                        return variance;
                    }
                    break;
                }
            }
        }
        0.0
    }
}

impl Node {
    /// All zero, which is no node: what a static array of nodes begins as, at no cost in flash.
    pub const EMPTY: Self = Self {
        level: Level::EMPTY,
        evaluate: None,
        states: [Term::NONE; MAX_STATES],
        outputs: [Term::NONE; MAX_OUTPUTS],
        noise: 0.0,
    };

    /// The state terms that are there.
    #[inline]
    pub fn state_terms(&self) -> impl Iterator<Item = Term> + '_ {
        self.states.iter().copied().filter(|term| term.back > 0)
    }

    /// The output terms that are there.
    #[inline]
    pub fn output_terms(&self) -> impl Iterator<Item = Term> + '_ {
        self.outputs.iter().copied().filter(|term| term.back > 0)
    }

    /// A node that reaches one node back: `x_k = state x + output m + noise z`.
    pub(crate) fn one_step(level: Level, state: f64, output: f64, noise: f64) -> Self {
        let mut node = Self { level, noise, ..Self::default() };
        node.states[0] = Term::new(1, state);
        node.outputs[0] = Term::new(1, output);
        node
    }
}
