//! What the network is trained to return, and how that is read.

use super::LossError;
use picardy::{Form, Level, Node, Plan, PlanError, Prediction, Readout};
use std::fmt;

/// What the network returns at `z = a x0 + s eps`.
///
/// | name | target | read as |
/// |---|---|---|
/// | `epsilon` | `eps` | [`Prediction::Epsilon`] |
/// | `sample` | `x0` | [`Prediction::Sample`] |
/// | `v` | `a eps - s x0` | [`Prediction::V`] |
/// | `flow` | `eps - x0` | [`Prediction::Flow`] |
/// | `edm` | see below | by [`Output::reread`]; `-v` for data of unit variance |
///
/// **EDM** (arXiv 2206.00364, eq. 7 and table 1). With sigma = s/a and the state `z/a`, the denoiser is
///
/// ```text
/// x0_hat = c_skip z/a + c_out F(c_in z/a),   c_skip = d^2/(sigma^2 + d^2),  c_out = sigma d/sqrt(sigma^2 + d^2),
///                                            c_in = 1/sqrt(sigma^2 + d^2)
/// ```
///
/// d being the data's standard deviation. With `n = sqrt(s^2 + a^2 d^2)`, the standard deviation of z, this is
///
/// ```text
/// x0_hat = (a d^2/n^2) z + (s d/n) F(z/n),   so that F's target is (n x0 - (a d^2/n) z)/(s d) = (s x0/d - a d eps)/n
/// ```
///
/// At a variance-preserving level (a^2 + s^2 = 1) and d = 1, n is 1: F is shown z and its target is `s x0 - a eps = -v`. So for
/// standardised data EDM's preconditioning is v-prediction with the sign turned.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Output {
    /// The noise.
    #[default]
    Epsilon,
    /// The data.
    Sample,
    /// `a eps - s x0` (arXiv 2202.00512).
    V,
    /// The velocity from data to noise (arXiv 2210.02747).
    Flow,
    /// EDM's preconditioned network.
    Edm {
        /// d, the data's standard deviation; 1 for standardised data.
        sigma_data: f64,
    },
}

impl Output {
    /// The name in settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Epsilon => "epsilon",
            Self::Sample => "sample",
            Self::V => "v",
            Self::Flow => "flow",
            Self::Edm { .. } => "edm",
        }
    }

    /// What a model card and a solver call it; `None` for EDM's, which [`Output::reread`] serves.
    pub const fn prediction(self) -> Option<Prediction> {
        match self {
            Self::Epsilon => Some(Prediction::Epsilon),
            Self::Sample => Some(Prediction::Sample),
            Self::V => Some(Prediction::V),
            Self::Flow => Some(Prediction::Flow),
            Self::Edm { .. } => None,
        }
    }

    /// How the output at a level is read: core's [`Prediction::readout`], and EDM's, whose `input` is 1/n.
    ///
    /// `None` where that divides by zero.
    pub fn readout(self, level: &Level, form: Form) -> Option<Readout> {
        let Self::Edm { sigma_data: d } = self else { return self.prediction()?.readout(level, form) };
        let (a, s) = (level.alpha, level.sigma);
        let square = s * s + a * a * d * d;
        let n = square.sqrt();
        let (state, output) = match form {
            Form::Data => (a * d * d / square, s * d / n),
            // eps = (z - a x0)/s.
            Form::Noise => (s / square, -a * d / n),
        };
        let read = Readout { input: 1.0 / n, state, output };
        (read.input.is_finite() && state.is_finite() && output.is_finite()).then_some(read)
    }

    /// The target as the factors of x0 and of eps.
    ///
    /// ```
    /// use picardy::Level;
    /// use picardy_trainer::loss::Output;
    /// let level = Level::vp(0.36, 0.0);
    /// let (v, edm) = (Output::V.target(&level), Output::Edm { sigma_data: 1.0 }.target(&level));
    /// assert!((v.0 + edm.0).abs() < 1e-12 && (v.1 + edm.1).abs() < 1e-12);
    /// ```
    pub fn target(self, level: &Level) -> (f64, f64) {
        let (a, s) = (level.alpha, level.sigma);
        match self {
            Self::Epsilon => (0.0, 1.0),
            Self::Sample => (1.0, 0.0),
            Self::V => (-s, a),
            Self::Flow => (-1.0, 1.0),
            Self::Edm { sigma_data: d } => {
                let n = (s * s + a * a * d * d).sqrt();
                (s / (d * n), -a * d / n)
            }
        }
    }

    /// A plan that was made for [`Prediction::Sample`] (in data or noise form), to be run with a network of this output.
    ///
    /// `nodes` takes as many nodes as the plan has. Core's own predictions need it not, but may pass.
    ///
    /// # Errors
    ///
    /// [`PlanError::Buffer`] where `nodes` is too short, [`PlanError::Singular`] where the output says nothing of the data.
    ///
    /// ```
    /// use picardy::{Betas, Ddim, Level, Node, Prediction, Solver};
    /// use picardy_trainer::loss::Output;
    /// let (mut levels, mut made, mut read) = ([Level::default(); 11], [Node::default(); 11], [Node::default(); 11]);
    /// let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(10, &mut levels)?;
    /// let plan = Ddim::default().plan(&grid, Prediction::Sample, &mut made)?;
    /// let plan = Output::Edm { sigma_data: 0.5 }.reread(&plan, &mut read)?;
    /// assert!(plan.reach().scaled); // the network is shown z/n
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reread<'a>(self, plan: &Plan<'_>, nodes: &'a mut [Node]) -> Result<Plan<'a>, PlanError> {
        reread(plan, nodes, |level| self.readout(level, Form::Data))
    }

    pub(super) fn check(self) -> Result<(), LossError> {
        match self {
            Self::Edm { sigma_data } if !(sigma_data > 0.0 && sigma_data.is_finite()) => {
                Err(LossError::setting("sigma-data", sigma_data))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A plan for x0-prediction, read through `read` instead: x0_hat = `state z + output network(input z)`, z the state that the
/// plan would have shown, at the level that is handed over.
pub(super) fn reread<'a>(
    plan: &Plan<'_>,
    nodes: &'a mut [Node],
    read: impl Fn(&Level) -> Option<Readout>,
) -> Result<Plan<'a>, PlanError> {
    let (needed, given) = (plan.nodes().len(), nodes.len());
    let nodes = nodes.get_mut(..needed).ok_or(PlanError::Buffer { needed, given })?;
    nodes.copy_from_slice(plan.nodes());
    for (index, node) in nodes.iter_mut().enumerate() {
        let Some(sample) = node.evaluate else { continue };
        let Level { alpha, sigma, t } = node.level;
        let shown = Level { alpha: sample.input * alpha, sigma: sample.input * sigma, t };
        let inner = read(&shown).ok_or(PlanError::Singular { node: index, alpha, sigma })?;
        node.evaluate = Some(Readout {
            input: sample.input * inner.input,
            state: sample.state + sample.output * inner.state * sample.input,
            output: sample.output * inner.output,
        });
    }
    Plan::new(nodes, plan.form())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Output; 6] = [
        Output::Epsilon,
        Output::Sample,
        Output::V,
        Output::Flow,
        Output::Edm { sigma_data: 1.0 },
        Output::Edm { sigma_data: 0.3 },
    ];

    #[test]
    fn the_target_reads_back_as_data_and_as_noise() {
        let (x0, eps) = (0.7, -1.3);
        for output in ALL {
            for (alpha, sigma) in [(0.6, 0.8), (0.99, 0.141), (1.0, 5.0), (0.3, 0.7)] {
                let level = Level { alpha, sigma, t: 0.0 };
                let (cx, ce) = output.target(&level);
                let (z, out) = (alpha * x0 + sigma * eps, cx * x0 + ce * eps);
                for (form, want) in [(Form::Data, x0), (Form::Noise, eps)] {
                    let read = output.readout(&level, form).unwrap();
                    let got = read.state * z + read.output * out;
                    assert!((got - want).abs() < 1e-12, "{output} {form:?}: {got} where {want}");
                }
            }
        }
    }

    #[test]
    fn edm_is_shown_and_asked_unit_variance() {
        // The target of data N(0, d^2) has variance 1 at every level, and so has what the network is shown.
        let d = 0.3;
        for (alpha, sigma) in [(1.0, 0.01), (1.0, 3.0), (0.6, 0.8)] {
            let level = Level { alpha, sigma, t: 0.0 };
            let (cx, ce) = Output::Edm { sigma_data: d }.target(&level);
            assert!((cx * cx * d * d + ce * ce - 1.0).abs() < 1e-12);
            let input = Output::Edm { sigma_data: d }.readout(&level, Form::Data).unwrap().input;
            assert!((input * input * (alpha * alpha * d * d + sigma * sigma) - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn a_plan_read_anew_steps_as_cores_own() {
        use picardy::{Betas, Ddim, Deis, Solver};
        let mut levels = [Level::default(); 6];
        let grid = Betas::linear(100, 1e-4, 2e-2).trailing(5, &mut levels).unwrap();
        let (mut sample, mut v, mut again) =
            ([Node::default(); 6], [Node::default(); 6], [Node::default(); 6]);
        for form in [Form::Data, Form::Noise] {
            let make = |prediction, nodes: &mut [Node; 6]| {
                let plan = match form {
                    Form::Data => Ddim::default().plan(&grid, prediction, nodes),
                    Form::Noise => Deis { order: 2, lower_order_final: false }.plan(&grid, prediction, nodes),
                };
                assert_eq!(plan.unwrap().form(), form);
            };
            make(Prediction::Sample, &mut sample);
            make(Prediction::V, &mut v);
            let plan = Plan::new(&sample, form).unwrap();
            let plan = Output::V.reread(&plan, &mut again).unwrap();
            for (got, want) in plan.nodes().iter().zip(&v) {
                let (Some(got), Some(want)) = (got.evaluate, want.evaluate) else {
                    assert_eq!(got.evaluate, want.evaluate);
                    continue;
                };
                for (got, want) in
                    [(got.input, want.input), (got.state, want.state), (got.output, want.output)]
                {
                    assert!((got - want).abs() < 1e-9 * (1.0 + want.abs()), "{got} where {want}");
                }
            }
        }
        let plan = Plan::new(&sample, Form::Noise).unwrap();
        assert!(matches!(Output::V.reread(&plan, &mut [Node::default(); 5]), Err(PlanError::Buffer { .. })));
    }

    #[test]
    fn bad_settings_are_errors() {
        for sigma_data in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let error = Output::Edm { sigma_data }.check().unwrap_err().to_string();
            assert!(error.contains("sigma-data") && error.contains("positive"), "{error}");
        }
        assert_eq!(Output::Sample.readout(&Level::DATA, Form::Noise), None);
    }
}
