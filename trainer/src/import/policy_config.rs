//! A diffusion policy's config.json.

use super::ImportError;
use crate::train::WeightsError;
use picardy::{Betas, Prediction};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::Path;

/// Groups of the norms: in both published codes the last block's are these, whatever `n_groups` says.
const GROUPS: usize = 8;

/// What of a policy's configuration matters here: the U-Net's sizes and the noise schedule, under LeRobot's keys and with its
/// defaults. Other keys (cameras, optimiser, normalisation) are not looked at.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct PolicyConfig {
    /// Actions of a plan.
    pub horizon: usize,
    /// Channels of each level.
    pub down_dims: Vec<usize>,
    /// Places of a convolution.
    pub kernel_size: usize,
    /// Groups of the norms.
    pub n_groups: usize,
    /// Numbers of the embedding of the timestep.
    pub diffusion_step_embed_dim: usize,
    /// Whether the condition scales the channels, beside shifting them.
    pub use_film_scale_modulation: bool,
    /// `DDPM` or `DDIM`.
    pub noise_scheduler_type: String,
    /// Timesteps of the schedule.
    pub num_train_timesteps: usize,
    /// The schedule's name, diffusers' own.
    pub beta_schedule: String,
    /// Its first beta, where it has ends.
    pub beta_start: f64,
    /// Its last.
    pub beta_end: f64,
    /// `epsilon`, `sample` or `v_prediction`.
    pub prediction_type: String,
    /// Whether the estimate of the actions is clipped at every step.
    pub clip_sample: bool,
    /// To this size.
    pub clip_sample_range: f64,
    /// Steps of a run; all timesteps without.
    pub num_inference_steps: Option<usize>,
}

impl Default for PolicyConfig {
    fn default() -> Self {
        Self {
            horizon: 16,
            down_dims: vec![512, 1024, 2048],
            kernel_size: 5,
            n_groups: 8,
            diffusion_step_embed_dim: 128,
            use_film_scale_modulation: true,
            noise_scheduler_type: "DDPM".to_owned(),
            num_train_timesteps: 100,
            beta_schedule: "squaredcos_cap_v2".to_owned(),
            beta_start: 1e-4,
            beta_end: 0.02,
            prediction_type: "epsilon".to_owned(),
            clip_sample: true,
            clip_sample_range: 1.0,
            num_inference_steps: None,
        }
    }
}

impl PolicyConfig {
    /// Reads `config.json`.
    ///
    /// # Errors
    /// A file that cannot be read or is no configuration, and settings that the field's other keys would need
    /// ([`ImportError::Setting`]).
    pub fn read(path: &Path) -> Result<Self, ImportError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| WeightsError::File { path: path.to_owned(), error })?;
        let config: Self = serde_json::from_str(&text).map_err(|error| WeightsError::Format {
            path: path.to_owned(),
            reason: format!("{error}; give the config.json that lies beside a diffusion policy's weights"),
        })?;
        config.schedule(path)?;
        config.prediction(path)?;
        let kinds = ["DDPM", "DDIM"];
        if !kinds.contains(&config.noise_scheduler_type.as_str()) {
            return Err(setting(
                path,
                "noise_scheduler_type",
                &config.noise_scheduler_type,
                "give DDPM or DDIM",
            ));
        }
        if config.n_groups != GROUPS {
            let mend =
                "the last block of such a policy has 8 groups whatever the others have; only 8 is known here";
            return Err(setting(path, "n_groups", &config.n_groups.to_string(), mend));
        }
        if !(config.clip_sample_range > 0.0 && config.clip_sample_range.is_finite()) {
            let range = config.clip_sample_range.to_string();
            return Err(setting(path, "clip_sample_range", &range, "give a positive number"));
        }
        Ok(config)
    }

    /// The noise schedule.
    pub(super) fn schedule(&self, path: &Path) -> Result<Betas, ImportError> {
        let named =
            Betas::named(&self.beta_schedule, self.num_train_timesteps, self.beta_start, self.beta_end);
        let betas = named.ok_or_else(|| {
            let mend = "give linear, scaled_linear, squaredcos_cap_v2 or sigmoid";
            setting(path, "beta_schedule", &self.beta_schedule, mend)
        })?;
        betas.check().map_err(|error| WeightsError::Format {
            path: path.to_owned(),
            reason: format!("num_train_timesteps, beta_start and beta_end make no schedule: {error}"),
        })?;
        Ok(betas)
    }

    /// What the network returns.
    pub(super) fn prediction(&self, path: &Path) -> Result<Prediction, ImportError> {
        match self.prediction_type.parse() {
            Ok(prediction) if prediction != Prediction::Flow => Ok(prediction),
            _ => Err(setting(
                path,
                "prediction_type",
                &self.prediction_type,
                "give epsilon, sample or v_prediction",
            )),
        }
    }

    /// diffusers' scheduler_config.json of the same runs.
    pub fn scheduler(&self) -> Value {
        json!({
            "_class_name": format!("{}Scheduler", self.noise_scheduler_type),
            "num_train_timesteps": self.num_train_timesteps, "beta_schedule": self.beta_schedule,
            "beta_start": self.beta_start, "beta_end": self.beta_end, "prediction_type": self.prediction_type,
            "clip_sample": self.clip_sample, "clip_sample_range": self.clip_sample_range,
        })
    }
}

fn setting(path: &Path, key: &'static str, value: &str, mend: &'static str) -> ImportError {
    ImportError::Setting { path: path.to_owned(), key, value: format!("`{value}`"), mend }
}
