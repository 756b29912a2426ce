//! What a network's output means, and the two forms that solvers work in.

use crate::{Level, Name};
use core::fmt;
use core::str::FromStr;

/// What the network returns at `z = a x0 + s eps`.
///
/// EDM's network F is shown and asked numbers of unit variance (arXiv 2206.00364, eq. 7 and table 1). With d the standard deviation
/// of the data's coordinates and `n = sqrt(s^2 + a^2 d^2)`, that of z,
///
/// ```text
/// x0_hat = (a d^2/n^2) z + (s d/n) F(z/n)          c_skip, c_out and c_in at sigma = s/a, for the state z/a
/// ```
///
/// At variance-preserving levels and d = 1, n is 1 and F is `-v`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Prediction {
    /// `eps` (arXiv 2006.11239).
    #[default]
    Epsilon,
    /// `x0`.
    Sample,
    /// `v = alpha eps - sigma x0` (arXiv 2202.00512).
    V,
    /// The velocity `u = eps - x0` of flow matching, from data to noise (arXiv 2210.02747).
    Flow,
    /// EDM's preconditioned network: `(s x0/d - a d eps)/n`, shown `z/n` (arXiv 2206.00364).
    Edm {
        /// d, the standard deviation of the data as the network saw them: positive; 1 for standardised data.
        sigma_data: f64,
    },
}

/// What a solver's formulas are written in: the `m` of a [`Plan`](crate::Plan).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `m` is x0-hat, the denoised state.
    Data,
    /// `m` is eps-hat.
    Noise,
}

/// How a network's output is read: `m = state * x + output * out`, `out` being what it says of `input * x`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Readout {
    /// The network is shown `input * x` (1 unless states and network use different scales, or the network is EDM's).
    pub input: f64,
    /// The factor of the state.
    pub state: f64,
    /// The factor of the network's output.
    pub output: f64,
}

impl Prediction {
    /// All that have no parameter: every one but EDM's.
    pub const ALL: [Self; 4] = [Self::Epsilon, Self::Sample, Self::V, Self::Flow];

    /// The field's name: `epsilon`, `sample`, `v_prediction`, `flow`, `edm`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Epsilon => "epsilon",
            Self::Sample => "sample",
            Self::V => "v_prediction",
            Self::Flow => "flow",
            Self::Edm { .. } => "edm",
        }
    }

    /// How an output at `level` is read in `form`; `None` where that divides by zero (epsilon-prediction
    /// tells nothing of x0 at `alpha = 0`, nor x0-prediction of eps at `sigma = 0`).
    ///
    /// | output | data form | noise form |
    /// |---|---|---|
    /// | eps | `(x - s out)/a` | `out` |
    /// | x0 | `out` | `(x - a out)/s` |
    /// | v | `(a x - s out)/(a^2 + s^2)` | `(s x + a out)/(a^2 + s^2)` |
    /// | u | `(x - s out)/(a + s)` | `(x + a out)/(a + s)` |
    /// | F, of `x/n` | `(a d^2/n^2) x + (s d/n) out` | `(s/n^2) x - (a d/n) out` |
    ///
    /// `input` is 1, and `1/n` for EDM's F.
    ///
    /// ```
    /// use picardy::{Form, Level, Prediction};
    /// let read = Prediction::V.readout(&Level::vp(0.36, 0.0), Form::Data).unwrap();
    /// assert!((read.state - 0.6).abs() < 1e-12 && (read.output + 0.8).abs() < 1e-12);
    /// ```
    pub fn readout(self, level: &Level, form: Form) -> Option<Readout> {
        let (a, s) = (level.alpha, level.sigma);
        let (norm, sum) = (a * a + s * s, a + s);
        let mut input = 1.0;
        let (state, output) = match (self, form) {
            (Self::Sample, Form::Data) | (Self::Epsilon, Form::Noise) => (0.0, 1.0),
            (Self::Epsilon, Form::Data) => (1.0 / a, -s / a),
            (Self::Sample, Form::Noise) => (1.0 / s, -a / s),
            (Self::V, Form::Data) => (a / norm, -s / norm),
            (Self::V, Form::Noise) => (s / norm, a / norm),
            (Self::Flow, Form::Data) => (1.0 / sum, -s / sum),
            (Self::Flow, Form::Noise) => (1.0 / sum, a / sum),
            (Self::Edm { sigma_data: d }, form) => {
                let n = deviation(level, d);
                input = 1.0 / n;
                match form {
                    Form::Data => (a * d * d / (n * n), s * d / n),
                    Form::Noise => (s / (n * n), -a * d / n),
                }
            }
        };
        let finite = input.is_finite() && state.is_finite() && output.is_finite();
        finite.then_some(Readout { input, state, output })
    }

    /// What a network is trained to return at `level`, as the factors of x0 and of eps.
    ///
    /// ```
    /// use picardy::{Level, Prediction};
    /// let level = Level::vp(0.36, 0.0);
    /// let (v, edm) = (Prediction::V.target(&level), Prediction::Edm { sigma_data: 1.0 }.target(&level));
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
                let n = deviation(level, d);
                (s / (d * n), -a * d / n)
            }
        }
    }

    /// What a state at `level` is multiplied by to be shown to the network: 1, and EDM's `1/n`.
    pub fn input(self, level: &Level) -> f64 {
        match self {
            Self::Edm { sigma_data } => 1.0 / deviation(level, sigma_data),
            _ => 1.0,
        }
    }
}

/// The standard deviation of states at a level, of data of standard deviation `d`.
fn deviation(level: &Level, d: f64) -> f64 {
    crate::math::sqrt(level.sigma * level.sigma + level.alpha * level.alpha * d * d)
}

impl fmt::Display for Prediction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no prediction's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownPrediction {
    /// The name, or the front of a long one.
    pub name: Name,
}

impl fmt::Display for UnknownPrediction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no prediction `{}`; there are epsilon, sample, v_prediction and flow, and edm where its sigma_data can be said",
            self.name
        )
    }
}

impl core::error::Error for UnknownPrediction {}

impl FromStr for Prediction {
    type Err = UnknownPrediction;

    fn from_str(name: &str) -> Result<Self, UnknownPrediction> {
        let found = Self::ALL.into_iter().find(|prediction| prediction.name() == name);
        found.ok_or(UnknownPrediction { name: Name::new(format_args!("{name}")) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_read_back_as_data_and_as_noise() {
        let (x0, eps) = (0.7, -1.3);
        let edm = [1.0, 0.3].map(|sigma_data| Prediction::Edm { sigma_data });
        for prediction in Prediction::ALL.into_iter().chain(edm) {
            for (alpha, sigma) in [(0.6, 0.8), (0.99, 0.141), (1.0, 5.0), (0.3, 0.7)] {
                let level = Level { alpha, sigma, t: 0.0 };
                let (cx, ce) = prediction.target(&level);
                let (z, out) = (alpha * x0 + sigma * eps, cx * x0 + ce * eps);
                for (form, want) in [(Form::Data, x0), (Form::Noise, eps)] {
                    let read = prediction.readout(&level, form).unwrap();
                    let got = read.state * z + read.output * out;
                    assert!((got - want).abs() < 1e-12, "{prediction} {form:?}: {got} where {want}");
                    assert_eq!(read.input, prediction.input(&level));
                }
            }
        }
        assert_eq!(Prediction::Sample.readout(&Level::DATA, Form::Noise), None);
    }

    #[test]
    fn edm_is_shown_and_asked_unit_variance() {
        // The target of data N(0, d^2) has variance 1 at every level, and so has what the network is shown.
        let (d, edm) = (0.3, Prediction::Edm { sigma_data: 0.3 });
        for (alpha, sigma) in [(1.0, 0.01), (1.0, 3.0), (0.6, 0.8)] {
            let level = Level { alpha, sigma, t: 0.0 };
            let (cx, ce) = edm.target(&level);
            assert!((cx * cx * d * d + ce * ce - 1.0).abs() < 1e-12);
            let input = edm.input(&level);
            assert!((input * input * (alpha * alpha * d * d + sigma * sigma) - 1.0).abs() < 1e-12);
        }
    }
}
