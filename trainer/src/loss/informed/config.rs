//! The settings of the physics-informed loss.

use crate::loss::LossError;
use serde::{Deserialize, Serialize};

/// Which sample x0* the physics is asked of, for a state z at timestep t.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Estimation {
    /// `x0* = x0_hat(z, t)`, the mean of what z may have come from. Where the data lie on a curved surface the mean does not,
    /// so that at high noise this asks what no sample must fulfil.
    #[default]
    Mean,
    /// A sample instead of the mean: DDIM steps (eta 0) from t to timestep 0, and there `x0* = x0_hat(z_0, 0)`. The gradient
    /// goes through all evaluations of the network and all steps.
    Sample,
}

/// The terms of the physics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InformedConfig {
    /// c, the weight of the equality residual.
    pub equality: f64,
    /// The weight of the inequalities.
    pub inequality: f64,
    /// lambda, the weight of the objective.
    pub objective: f64,
    /// Which sample they are asked of.
    pub estimation: Estimation,
    /// DDIM steps of [`Estimation::Sample`]: the timesteps are `floor(t (1 - j/steps))`. 1, straight to timestep 0, is the paper's.
    pub steps: usize,
    /// The most that `r^2/(2 V_t)` of one residual (and of an inequality) counts; above, it has no slope. Infinity for no bound.
    /// The paper's experiments have `-ln 1e-12 = 27.6`.
    pub ceiling: f64,
    /// The |r| (in r's units; and g) up to which the cost is `r^2/(2 V_t)`; beyond, it goes on along its tangent, `b (|r| - b/2)/V_t`
    /// (Huber's loss), so that a few large residuals do not drown all others. Infinity for none.
    pub bend: f64,
    /// The physics is asked of states at timesteps below this one alone; 0 for all. At high noise the mean of what a state may
    /// come from need not fulfil what each of them does (see [`Estimation::Mean`]); at little noise it nearly does.
    pub timesteps: usize,
}

impl Default for InformedConfig {
    /// No terms; the mean, 1 step, no bound, all timesteps.
    fn default() -> Self {
        let estimation = Estimation::Mean;
        let (ceiling, bend) = (f64::INFINITY, f64::INFINITY);
        Self {
            equality: 0.0,
            inequality: 0.0,
            objective: 0.0,
            estimation,
            steps: 1,
            ceiling,
            bend,
            timesteps: 0,
        }
    }
}

impl InformedConfig {
    pub(in crate::loss) fn check(&self) -> Result<(), LossError> {
        let Self { equality, inequality, objective, steps, ceiling, bend, .. } = *self;
        for (name, value) in [
            ("physics.weight", equality),
            ("physics.inequality", inequality),
            ("physics.objective", objective),
        ] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(LossError::Setting { name, value, expected: "0 or more, finite" });
            }
        }
        if !(1..=MOST_STEPS).contains(&steps) {
            let (name, value) = ("physics.steps", steps as f64);
            return Err(LossError::Setting { name, value, expected: "1 to 1000" });
        }
        for (name, value) in [("physics.ceiling", ceiling), ("physics.bend", bend)] {
            if value.is_nan() || value <= 0.0 {
                let expected = "positive (or 0 in a configuration, for none)";
                return Err(LossError::Setting { name, value, expected });
            }
        }
        Ok(())
    }
}

/// The most DDIM steps.
const MOST_STEPS: usize = 1000;
