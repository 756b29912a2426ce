//! What a run's loss is made of, as a configuration file says it.

use super::{
    ContrastiveTerm, DenoisingConfig, DenoisingTerm, Draws, Estimation, Focus, InformedConfig,
    LikelihoodTerm, LossError, Output, OutputName, PhysicsTerm, Process, ProcessName, Weighting,
    WeightingName, check_output,
};
use serde::{Deserialize, Serialize};

/// The most rows of a term: items times draws.
const MAX_ROWS: usize = 1 << 24;

/// All terms of the loss. Each has a weight, and a weight of 0 leaves it out; the total is the sum.
///
/// The default is the contrastive paper's total: the standard loss and the weighted contrastive one (arXiv 2407.08946).
///
/// ```
/// use picardy_trainer::loss::{LossConfig, OutputName};
/// let config: LossConfig = serde_json::from_str(
///     r#"{"prediction": "v", "denoising": {"weighting": "min-snr"}, "contrastive": {"weight": 0, "zeta": "images"}}"#,
/// )?;
/// assert_eq!(config.prediction, OutputName::V);
/// assert_eq!((config.items(64), config.rows(64)), (64, 64));
/// assert!(serde_json::from_str::<LossConfig>(r#"{"wieght": 1}"#).is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LossConfig {
    /// What the network is trained to return.
    pub prediction: OutputName,
    /// EDM's standard deviation of the data, in standardised coordinates; other predictions do not look at it.
    pub sigma_data: f64,
    /// Which states the network is shown.
    pub process: ProcessName,
    /// The flow's shift towards noise: 1 for none.
    pub shift: f64,
    /// The pinned process's variance per unit of time.
    pub variance: f64,
    /// The probability with which a row is told no condition, so that guidance has something to start from.
    pub condition_dropout: f64,
    /// The squared error of the network's own output.
    pub denoising: DenoisingTerm,
    /// The contrastive loss.
    pub contrastive: ContrastiveTerm,
    /// The negative log-likelihood.
    pub likelihood: LikelihoodTerm,
    /// What samples must fulfil; goes with the denoising loss.
    pub physics: PhysicsTerm,
}

impl Default for LossConfig {
    fn default() -> Self {
        Self {
            prediction: OutputName::default(),
            sigma_data: 1.0,
            process: ProcessName::default(),
            shift: 1.0,
            variance: 1.0,
            condition_dropout: 0.0,
            denoising: DenoisingTerm::default(),
            contrastive: ContrastiveTerm::default(),
            likelihood: LikelihoodTerm::default(),
            physics: PhysicsTerm::default(),
        }
    }
}

impl LossConfig {
    /// The standard loss alone.
    pub fn standard() -> Self {
        let mut config = Self::default();
        config.contrastive.weight = 0.0;
        config
    }

    /// What the network returns.
    pub fn output(&self) -> Output {
        match self.prediction {
            OutputName::Epsilon => Output::Epsilon,
            OutputName::Sample => Output::Sample,
            OutputName::V => Output::V,
            OutputName::Flow => Output::Flow,
            OutputName::Edm => Output::Edm { sigma_data: self.sigma_data },
        }
    }

    /// Which states it is shown.
    pub fn process(&self) -> Process {
        match self.process {
            ProcessName::Vp => Process::Vp,
            ProcessName::Flow => Process::Flow { shift: self.shift },
            ProcessName::Pinned => Process::Pinned { variance: self.variance },
        }
    }

    /// What the denoising loss is of.
    pub fn denoising(&self) -> DenoisingConfig {
        let weighting = match self.denoising.weighting {
            WeightingName::Uniform => Weighting::Uniform,
            WeightingName::MinSnr => Weighting::MinSnr(self.denoising.gamma),
        };
        let DenoisingTerm { focus, focus_timesteps, .. } = self.denoising;
        let focus = (focus != 0.0).then_some(Focus { timesteps: focus_timesteps, share: focus });
        DenoisingConfig { output: self.output(), weighting, process: self.process(), focus }
    }

    /// The physics' terms.
    pub fn informed(&self) -> InformedConfig {
        let PhysicsTerm {
            weight, inequality, objective, estimation, steps, ceiling, bend, timesteps, ..
        } = self.physics;
        let [ceiling, bend] = [ceiling, bend].map(|most| if most == 0.0 { f64::INFINITY } else { most });
        InformedConfig {
            equality: weight,
            inequality,
            objective,
            estimation,
            steps,
            ceiling,
            bend,
            timesteps,
        }
    }

    /// Whether the physics has a weight.
    pub fn is_informed(&self) -> bool {
        let PhysicsTerm { weight, inequality, objective, .. } = self.physics;
        [weight, inequality, objective].iter().any(|weight| *weight != 0.0)
    }

    /// The data items of a step with `batch` items of the denoising loss; saturates.
    pub fn items(&self, batch: usize) -> usize {
        self.lots(batch).into_iter().fold(0, |sum, (items, _)| sum.saturating_add(items))
    }

    /// The most rows that a step shows the network in one call; saturates.
    pub fn rows(&self, batch: usize) -> usize {
        self.lots(batch).into_iter().map(|(items, rows)| items.saturating_mul(rows)).max().unwrap_or(0)
    }

    /// The rows of each call in which a step shows them to the network, of each term; saturates.
    pub fn sizes(&self, batch: usize) -> Vec<usize> {
        let rows = self.lots(batch).into_iter().map(|(items, rows)| items.saturating_mul(rows));
        rows.filter(|rows| *rows > 0).collect()
    }

    /// The bytes of the buffers of a loss of items of `dim` coordinates and rows told `condition` numbers, `size` bytes a
    /// number; saturates.
    pub fn bytes(&self, batch: usize, dim: usize, condition: usize, size: usize) -> u128 {
        let sum = |a: u128, (items, rows): (usize, usize)| {
            // z, eps, dout and what else a row has; its item and condition.
            let numbers = (dim as u128).saturating_mul(8).saturating_add(2 * condition as u128 + 2);
            let row = numbers.saturating_mul(size as u128).saturating_add(80);
            a.saturating_add((items as u128).saturating_mul(rows as u128 + 1).saturating_mul(row))
        };
        let physics = match self.physics.estimation {
            _ if !self.is_informed() => 0,
            Estimation::Mean => 2,
            Estimation::Sample => (self.physics.steps as u128).saturating_add(4),
        };
        let numbers = (batch as u128).saturating_mul(dim as u128 + 8);
        let physics = physics.saturating_mul(numbers).saturating_mul(size as u128);
        self.lots(batch).into_iter().fold(physics, sum)
    }

    /// Each term's items and rows per item, in the order in which a step takes them.
    pub(super) fn lots(&self, batch: usize) -> [(usize, usize); 3] {
        let on = |weight: f64, items: usize| if weight == 0.0 { 0 } else { items };
        let ContrastiveTerm { weight, items, draws, .. } = self.contrastive;
        [
            (on(self.denoising.weight, batch), 1),
            (on(weight, items), draws.saturating_mul(2)),
            (on(self.likelihood.weight, batch), 1),
        ]
    }

    /// Whether a Gaussian must be fitted to the data.
    pub fn needs_gaussian(&self) -> bool {
        let ContrastiveTerm { weight, shared, levels, zeta, .. } = self.contrastive;
        let contrastive = weight != 0.0 && (!shared || levels == Draws::Auto || zeta == Draws::Auto);
        contrastive || (self.likelihood.weight != 0.0 && self.likelihood.levels == Draws::Auto)
    }

    /// Refuses settings out of range; whatever passes can be computed with.
    ///
    /// # Errors
    ///
    /// [`LossError::Setting`], [`LossError::TooManyRows`], or [`LossError::NoTerm`] where every weight is 0.
    pub fn check(&self) -> Result<(), LossError> {
        check_output(self.output())?;
        self.process().check()?;
        let DenoisingConfig { weighting, process, focus, .. } = self.denoising();
        weighting.check()?;
        focus.map_or(Ok(()), |focus| focus.check(process))?;
        if !(0.0..=1.0).contains(&self.condition_dropout) {
            let (name, value) = ("condition-dropout", self.condition_dropout);
            return Err(LossError::Setting { name, value, expected: "from 0 to 1" });
        }
        for (name, value) in self.weights() {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(LossError::Setting { name, value, expected: "0 or more, finite" });
            }
        }
        if self.lots(1).iter().all(|(items, _)| *items == 0) {
            return Err(LossError::NoTerm);
        }
        if self.is_informed() && self.denoising.weight == 0.0 {
            let expected = "positive where the physics has a weight: it goes with the denoising loss's rows";
            return Err(LossError::Setting { name: "denoising.weight", value: 0.0, expected });
        }
        self.informed().check()?;
        let ContrastiveTerm { weight, items, draws, .. } = self.contrastive;
        if weight != 0.0 {
            for (name, value) in [("contrastive.items", items), ("contrastive.draws", draws)] {
                if value == 0 {
                    return Err(LossError::Setting { name, value: 0.0, expected: "1 or more" });
                }
            }
            if items.checked_mul(draws).is_none_or(|rows| rows > MAX_ROWS) {
                return Err(LossError::TooManyRows { items, draws });
            }
        }
        Ok(())
    }

    fn weights(&self) -> [(&'static str, f64); 3] {
        [
            ("denoising.weight", self.denoising.weight),
            ("contrastive.weight", self.contrastive.weight),
            ("likelihood.weight", self.likelihood.weight),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_back_and_unknown_ones_are_named() {
        let mut config = LossConfig { prediction: OutputName::Edm, sigma_data: 0.5, ..LossConfig::default() };
        config.contrastive.zeta = Draws::Uniform { low: 6.0, high: 15.0 };
        let text = serde_json::to_string(&config).unwrap();
        assert!(text.contains("\"sigma-data\":0.5") && text.contains("\"uniform\""), "{text}");
        assert_eq!(serde_json::from_str::<LossConfig>(&text).unwrap(), config);
        assert_eq!(serde_json::from_str::<LossConfig>("{}").unwrap(), LossConfig::default());
        for bad in [
            r#"{"sigma_data": 1}"#,
            r#"{"contrastive": {"zetta": "auto"}}"#,
            r#"{"contrastive": {"zeta": {"uniform": {"low": 1, "high": 2, "clip": 3}}}}"#,
            r#"{"prediction": "eps"}"#,
        ] {
            assert!(serde_json::from_str::<LossConfig>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hostile_settings_are_named_with_their_value() {
        let refused = |change: &dyn Fn(&mut LossConfig)| {
            let mut config = LossConfig::default();
            change(&mut config);
            config.check().unwrap_err().to_string()
        };
        assert!(refused(&|c| c.condition_dropout = 1.5).contains("condition-dropout` is 1.5"));
        assert!(refused(&|c| c.condition_dropout = f64::NAN).contains("condition-dropout"));
        assert!(refused(&|c| c.denoising.weight = -1.0).contains("denoising.weight` is -1"));
        assert!(refused(&|c| c.contrastive.weight = f64::NAN).contains("contrastive.weight"));
        assert!(refused(&|c| c.contrastive.items = 0).contains("contrastive.items` is 0"));
        assert!(refused(&|c| c.contrastive.draws = usize::MAX).contains(&usize::MAX.to_string()));
        assert!(refused(&|c| c.likelihood.weight = -2.0).contains("likelihood.weight` is -2"));
        for change in [
            |c: &mut LossConfig| c.physics.weight = f64::INFINITY,
            |c: &mut LossConfig| c.physics.inequality = -1.0,
            |c: &mut LossConfig| c.physics.objective = f64::NAN,
            |c: &mut LossConfig| c.physics.steps = 0,
            |c: &mut LossConfig| c.physics.steps = usize::MAX,
            |c: &mut LossConfig| c.physics.ceiling = -1.0,
            |c: &mut LossConfig| c.physics.bend = -1.0,
        ] {
            assert!(refused(&change).contains("`physics."));
        }
        let said = refused(&|c| (c.denoising.weight, c.physics.weight) = (0.0, 1.0));
        assert!(said.contains("denoising.weight` is 0") && said.contains("physics"), "{said}");
        assert!(
            refused(&|c| {
                c.denoising.weight = 0.0;
                c.contrastive.weight = 0.0;
            })
            .contains("weight")
        );
        assert!(LossConfig::default().check().is_ok());
    }

    #[test]
    fn sizes_saturate() {
        let mut config = LossConfig::default();
        (config.contrastive.items, config.contrastive.draws) = (usize::MAX, usize::MAX);
        assert_eq!((config.items(usize::MAX), config.rows(1)), (usize::MAX, usize::MAX));
        (config.physics.weight, config.physics.steps) = (1.0, usize::MAX);
        config.physics.estimation = Estimation::Sample;
        assert_eq!(config.bytes(usize::MAX, usize::MAX, usize::MAX, 8), u128::MAX);
        let default = LossConfig::default();
        assert_eq!((default.items(128), default.rows(128)), (144, 512));
    }
}
