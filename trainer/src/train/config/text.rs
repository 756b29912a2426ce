//! A configuration as it is printed: every key with a comment.

use super::file::Config;
use super::{ConfigError, TrainConfig, kind, kinds};
use std::fmt::Write;
use toml::{Table, Value};

/// What each key is.
const COMMENTS: &[(&str, &str)] = &[
    (
        "data.source",
        "dino, swiss-roll, two-moons, spirals, checkerboard, eight-gaussians, two-modes, digits; a .csv, .tsv or .npy file; a folder of .png files",
    ),
    ("data.points", "points drawn from a built-in distribution"),
    (
        "data.scaling",
        "what centred coordinates are divided by: per-column (each by its own deviation), overall (all by one), auto (overall for images)",
    ),
    (
        "data.shape",
        "an item's extents, such as [8, 8, 1] for images of height, width and channels; []: the file's own",
    ),
    (
        "data.labels",
        "class labels: a .csv, .tsv or .npy file of one a row; own: those of digits; empty: none",
    ),
    ("data.label-column", "the column of the data's file that is the label, from 1; 0: none"),
    ("data.classes", "classes; 0: the largest label and one"),
    ("data.observations", "observation vectors: a .csv, .tsv or .npy file of one a row; empty: none"),
    ("data.held-out", "the part of the items that is evaluated with and not trained on, 0 to 1"),
    ("data.stored", "what items are kept as in memory: f32, f16 or bf16"),
    ("data.flip", "mirror images left to right, each with probability 1/2 each time it is drawn"),
    (
        "network.kind",
        "the network: residual-mlp (any items), unet1d (items [places, channels]), unet2d (images [height, width, channels])",
    ),
    ("network.width", "its width, even"),
    ("network.blocks", "its residual blocks (of each level), 1 to 8"),
    ("network.widths", "channels of each level"),
    ("network.embedding", "numbers of the embedding of the timestep, even"),
    ("network.kernel", "places of a convolution, odd"),
    ("network.groups", "groups of the norms, a divisor of every width"),
    ("network.scale", "the condition scales the channels, beside shifting them"),
    ("network.heads", "heads of the attention, a divisor of the last width"),
    ("noise.kind", "the schedule: linear, scaled_linear, cosine or sigmoid"),
    ("noise.train-steps", "its timesteps"),
    ("noise.beta-start", "its first beta"),
    ("noise.beta-end", "its last beta"),
    ("loss.prediction", "what the network returns: epsilon, sample, v, flow or edm"),
    ("loss.sigma-data", "edm: the deviation of the standardised data"),
    ("loss.process", "the states it is shown: vp, flow or pinned"),
    ("loss.shift", "flow: the shift towards noise, 1 for none"),
    ("loss.variance", "pinned: its variance per unit of time"),
    ("loss.condition-dropout", "the probability that a row is told no condition, for guidance"),
    ("loss.denoising.weight", "the weight of the squared error; 0: none"),
    ("loss.denoising.weighting", "uniform, or min-snr (arXiv 2303.09556)"),
    ("loss.denoising.gamma", "min-snr: its gamma"),
    (
        "loss.denoising.focus",
        "the share of rows at timesteps below the next setting; 0: all timesteps evenly",
    ),
    (
        "loss.denoising.focus-timesteps",
        "the timesteps of least noise that have that share; rows count the less for it",
    ),
    ("loss.contrastive.weight", "the weight of the contrastive loss (arXiv 2407.08946); 0: none"),
    ("loss.contrastive.items", "its items per step"),
    ("loss.contrastive.draws", "its draws per item and density"),
    ("loss.contrastive.shared", "both densities of an item share their draws; false: as the paper has it"),
    (
        "loss.contrastive.levels",
        "log-SNRs of the densities: auto, images, {logistic = {loc, scale, clip}} or {uniform = {low, high}}",
    ),
    (
        "loss.contrastive.zeta",
        "log-SNRs that are told from the data: as levels; images is logistic 10.5, 1.5, 3",
    ),
    (
        "loss.likelihood.weight",
        "the weight of the negative log-likelihood (arXiv 2302.03792) in nats a coordinate; 0: none",
    ),
    ("loss.likelihood.levels", "its log-SNRs: as those of the contrastive loss"),
    ("loss.physics.weight", "the weight of the equality residual (arXiv 2403.14404); 0: none"),
    ("loss.physics.inequality", "the weight of the inequalities"),
    ("loss.physics.objective", "the weight of the objective"),
    (
        "loss.physics.residual",
        "circle, or darcy of items [n, n, 2]; custom: the one that a program hands over",
    ),
    ("loss.physics.estimation", "which sample is asked: mean or sample"),
    ("loss.physics.steps", "sample: its DDIM steps"),
    (
        "loss.physics.ceiling",
        "the most that one squared residual over twice its variance counts; 0: no bound",
    ),
    (
        "loss.physics.bend",
        "the residual, in its own units, beyond which its cost grows along a line; 0: none",
    ),
    ("loss.physics.timesteps", "asked at timesteps below this one alone; 0: at all"),
    ("optimiser.rate", "the highest learning rate"),
    ("optimiser.schedule", "its course: constant, cosine, linear, one-cycle or step"),
    ("optimiser.warmup", "steps over which it rises first"),
    ("optimiser.floor", "the lowest rate, as a share of the highest"),
    ("optimiser.step-every", "step: steps between falls"),
    ("optimiser.step-factor", "step: what a fall multiplies the rate by"),
    ("optimiser.beta1", "Adam's decay of the gradient's mean"),
    ("optimiser.beta2", "Adam's decay of the squared gradient's mean"),
    ("optimiser.epsilon", "added to the root of the latter"),
    ("optimiser.weight-decay", "AdamW's weight decay; 0: Adam"),
    ("optimiser.clip", "the largest norm of the gradients; inf: any"),
    ("optimiser.accumulate", "batches whose gradients' mean makes a step"),
    (
        "optimiser.ema",
        "the weights' average, which is exported: none, constant, warm-up, half-life (EDM's) or power (EDM2's)",
    ),
    ("optimiser.ema-decay", "constant, warm-up: its decay"),
    ("optimiser.ema-half-life", "half-life: items over which a weight's share halves"),
    ("optimiser.ema-ramp-up", "half-life: the share of the items seen that it never exceeds"),
    ("optimiser.ema-sigma-rel", "power: the relative deviation of its profile, at most 0.2886"),
    ("run.steps", "optimiser steps"),
    ("run.batch", "items of a batch"),
    ("run.seed", "seed of the weights and of all draws"),
    ("run.threads", "threads, 0: all cores; the result does not depend on them"),
    (
        "run.device",
        "where the network is trained: native, or by ONNX Runtime on cpu, cuda, cuda:N or webgpu, the weights staying there",
    ),
    ("run.prefetch", "draw the next batch while a step runs; the result does not depend on it"),
    ("run.checkpoint-every", "steps between checkpoints"),
    ("run.log-every", "steps between lines of the log"),
    ("run.evaluate-every", "steps between evaluations, 0: none"),
    (
        "run.patience",
        "evaluations without a lower held-out loss after which the run stops, 0: it goes on to its end",
    ),
    ("run.samples", "samples of an evaluation"),
    ("run.sample-steps", "steps of DDIM that draw them"),
    ("run.tensorboard", "write TensorBoard's event files beside the log"),
    ("run.from", "a safetensors file whose weights the run begins with; empty: none"),
    (
        "run.name-map",
        "a TOML file that says which of its tensors are which of ours; empty: they have our names",
    ),
    (
        "run.ignore-card",
        "take its weights though its card has another prediction, schedule, scaling or condition",
    ),
];

impl Config {
    /// The configuration as TOML, every key with a comment; [`Config::parse`] takes it.
    ///
    /// # Errors
    /// [`ConfigError::Write`] for a number that TOML cannot write (a seed over 2^63 - 1).
    ///
    /// # Examples
    ///
    /// ```
    /// use picardy_trainer::train::Config;
    /// let text = Config::default().to_text()?;
    /// assert!(text.contains("# the highest learning rate\nrate = 0.001\n"));
    /// assert_eq!(Config::parse(&text)?, Config::default());
    /// # Ok::<(), picardy_trainer::train::ConfigError>(())
    /// ```
    pub fn to_text(&self) -> Result<String, ConfigError> {
        let mut text = String::new();
        let table = self.table()?;
        for (name, value) in &table {
            if let Value::Table(section) = value {
                write_section(&mut text, name, section, "");
            }
            if name == "network" {
                for other in kinds() {
                    if kind(&other) == kind(&self.train.network) {
                        continue;
                    }
                    let train = TrainConfig { network: other, ..TrainConfig::default() };
                    let other = Config { train, ..Self::default() }.table()?;
                    if let Some(Value::Table(section)) = other.get("network") {
                        write_section(&mut text, name, section, "# ");
                    }
                }
            }
        }
        Ok(text.trim_start().to_owned())
    }
}

/// A section, its own keys before its sections; `mark` begins each line.
fn write_section(text: &mut String, name: &str, section: &Table, mark: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "\n{mark}[{name}]");
    for (key, value) in section.iter().filter(|(_, value)| !value.is_table()) {
        let full = format!("{name}.{key}");
        if let Some((_, comment)) = COMMENTS.iter().find(|(known, _)| *known == full) {
            let _ = writeln!(text, "{mark}# {comment}");
        }
        let _ = writeln!(text, "{mark}{key} = {value}");
    }
    for (key, value) in section {
        if let Value::Table(inner) = value {
            write_section(text, &format!("{name}.{key}"), inner, mark);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::keys;
    use super::*;

    #[test]
    fn every_key_has_a_comment_and_every_comment_a_key() {
        let keys = keys();
        for key in &keys {
            assert!(COMMENTS.iter().any(|(known, _)| known == key), "`{key}` has no comment");
        }
        for (key, _) in COMMENTS {
            assert!(keys.iter().any(|known| known == key), "there is no key `{key}`");
        }
    }

    #[test]
    fn what_is_printed_is_read_back() {
        let mut config = Config::default();
        config.train.optimiser.clip = f64::INFINITY;
        config.train.run.from = "a \"b\"\nc".into();
        config.data.shape = vec![8, 8, 1];
        config.assign("loss.contrastive.zeta = {logistic = {loc = 10.5, scale = 1.5, clip = 3}}").unwrap();
        let text = config.to_text().unwrap();
        assert_eq!(Config::parse(&text).unwrap(), config, "{text}");
        config.train.run.seed = u64::MAX;
        assert!(config.to_text().is_err());
    }
}
