//! The one description of a model that both of its files carry.

use core::fmt::{Arguments, Display};
use core::str::FromStr;

use super::card_fields::key;
use super::weight_format::UnknownWeights;
use super::{Architecture, CardError, MAX_LEVELS, Numbers, Unet1d, Unet2d, WeightFormat, Widths};
use crate::{Betas, Name, Prediction};

/// The format that is written and read.
const VERSION: u32 = 1;
/// The most steps of a network.
const MAX_STEPS: usize = 4096;
/// The one noising process of this version.
const PROCESS: &str = "vp";
/// The one conditioning number of this version.
const CONDITIONING: &str = "timestep";

/// What a network was trained for: everything that a runtime must know to sample from it.
///
/// It lies flat, as strings under the keys of [`key`](super::key), in the metadata of the safetensors file and of the
/// ONNX file, so that both go through one function. The process is variance preserving, and the network is told the
/// timestep; other values are an error in this version.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ModelCard<'a> {
    /// The network and its sizes.
    pub architecture: Architecture,
    /// Numbers of a condition, 0 where the network takes none.
    pub condition: usize,
    /// The schedule of its training.
    pub schedule: Betas,
    /// What its output is.
    pub prediction: Prediction,
    /// One item's shape; its product is the number of coordinates.
    pub shape: Numbers<'a>,
    /// The loss it was trained with.
    pub loss: &'a str,
    /// The seed of its training.
    pub seed: u64,
    /// A sample in the data's own units is `data_mean + data_scale * x`, per coordinate.
    pub data_mean: Numbers<'a>,
    /// See `data_mean`; all positive.
    pub data_scale: Numbers<'a>,
    /// The mean variance per coordinate of what the network saw (1 for standardised data).
    pub data_variance: f64,
    /// What the matrices are stored as.
    pub weights: WeightFormat,
}

impl<'a> ModelCard<'a> {
    /// Reads a card from `lookup`, which gives a key's value.
    ///
    /// # Errors
    ///
    /// A [`CardError`] that names the key which is missing or wrong. [`CardError::Missing`] with the key
    /// [`key::VERSION`](super::key::VERSION) means that the model is not one of picardy's trainer.
    ///
    /// # Examples
    ///
    /// ```
    /// use picardy::nn::{CardError, ModelCard, key};
    /// let foreign = ModelCard::from_lookup(|_| None);
    /// assert_eq!(foreign, Err(CardError::Missing { key: key::VERSION }));
    /// ```
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<&'a str>) -> Result<Self, CardError> {
        let text = |key: &'static str| lookup(key).ok_or(CardError::Missing { key });
        let version: u32 = number(key::VERSION, text(key::VERSION)?, "a version number")?;
        if version != VERSION {
            return Err(CardError::Version { got: version });
        }
        let exactly = |key, expected: &'static str| match text(key)? == expected {
            true => Ok(()),
            false => Err(invalid(key, text(key)?, expected)),
        };
        exactly(key::PROCESS, PROCESS)?;
        exactly(key::CONDITIONING, CONDITIONING)?;
        let positive =
            |key| number::<usize>(key, text(key)?, "a positive integer").and_then(|n| at_least_one(key, n));
        let list =
            |key| Numbers::new(text(key)?).ok_or(invalid(key, text(key)?, "a list of numbers and commas"));
        let name = text(key::PREDICTION)?;
        let prediction = name
            .parse()
            .map_err(|_| invalid(key::PREDICTION, name, "one of epsilon, sample, v_prediction, flow"))?;
        let train_steps: usize = number(key::TRAIN_STEPS, text(key::TRAIN_STEPS)?, "a positive integer")?;
        at_least_one(key::TRAIN_STEPS, train_steps)?;
        let beta = |key| {
            number(key, text(key)?, "a number in [0, 1)").and_then(|beta: f64| {
                match (0.0..1.0).contains(&beta) {
                    true => Ok(beta),
                    false => Err(invalid(key, text(key)?, "a number in [0, 1)")),
                }
            })
        };
        let (start, end) = (beta(key::BETA_START)?, beta(key::BETA_END)?);
        let kind = text(key::SCHEDULE)?;
        let schedule = Betas::named(kind, train_steps, start, end).ok_or(invalid(
            key::SCHEDULE,
            kind,
            "one of linear, scaled_linear, cosine, sigmoid",
        ))?;
        let flag = |key| match lookup(key) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(invalid(key, other, "true or false")),
        };
        let zero_snr = flag(key::ZERO_SNR)?;
        let schedule = if zero_snr { schedule.zero_snr() } else { schedule };
        schedule.check().map_err(|_| invalid(key::BETA_END, end, "the end of betas in (0, 1)"))?;
        let weights = match lookup(key::WEIGHTS) {
            None => WeightFormat::F32,
            Some(name) => {
                name.parse().map_err(|UnknownWeights| invalid(key::WEIGHTS, name, "one of f32, f16, int8"))?
            }
        };
        let widths = || {
            let mut levels = [0; MAX_LEVELS];
            let list = list(key::WIDTHS)?;
            let expected = "1 to 6 positive integers";
            let wrong = || invalid(key::WIDTHS, list, expected);
            for (i, part) in list.as_str().split(',').enumerate() {
                let width = part.trim().parse().ok().filter(|&n: &usize| n > 0);
                *levels.get_mut(i).ok_or_else(wrong)? = width.ok_or_else(wrong)?;
            }
            Widths::new(levels.get(..list.len()).unwrap_or(&[])).ok_or_else(wrong)
        };
        let architecture = match text(key::MODEL)? {
            "residual-mlp" => {
                Architecture::ResidualMlp { width: positive(key::WIDTH)?, blocks: positive(key::BLOCKS)? }
            }
            "exact-points" => Architecture::ExactPoints { points: positive(key::WIDTH)? },
            "unet1d" => Architecture::Unet1d(Unet1d {
                widths: widths()?,
                embedding: positive(key::EMBEDDING)?,
                kernel: positive(key::KERNEL)?,
                groups: positive(key::GROUPS)?,
                scale: flag(key::FILM_SCALE)?,
            }),
            "unet2d" => Architecture::Unet2d(Unet2d {
                widths: widths()?,
                embedding: positive(key::EMBEDDING)?,
                blocks: positive(key::BLOCKS)?,
                groups: positive(key::GROUPS)?,
                heads: positive(key::HEADS)?,
            }),
            other => {
                let expected = "one of residual-mlp, unet1d, unet2d, exact-points";
                return Err(invalid(key::MODEL, other, expected));
            }
        };
        let condition = match lookup(key::CONDITION) {
            None => 0,
            Some(_) => positive(key::CONDITION)?,
        };
        // So that whoever gives the steps room need not fear the card.
        if architecture.steps(condition) > MAX_STEPS {
            return Err(invalid(key::BLOCKS, text(key::BLOCKS)?, "fewer: a network has at most 4096 steps"));
        }
        let card = Self {
            weights,
            architecture,
            condition,
            schedule,
            prediction,
            shape: list(key::SHAPE)?,
            loss: text(key::LOSS)?,
            seed: number(key::SEED, text(key::SEED)?, "an integer")?,
            data_mean: list(key::DATA_MEAN)?,
            data_scale: list(key::DATA_SCALE)?,
            data_variance: number(key::DATA_VARIANCE, text(key::DATA_VARIANCE)?, "a positive number")?,
        };
        card.check()?;
        Ok(card)
    }

    /// How many coordinates an item has: the product of its shape.
    pub fn dim(&self) -> usize {
        self.checked_dim().unwrap_or(0)
    }

    /// Takes samples [n, dim] from the network's coordinates to the data's own units: `data_mean + data_scale * x`.
    pub fn restore(&self, samples: &mut [f32]) {
        let units = self.data_mean.iter().zip(self.data_scale.iter()).cycle();
        for (x, (mean, scale)) in samples.iter_mut().zip(units) {
            *x = (mean + scale * f64::from(*x)) as f32;
        }
    }

    /// Calls `write` with every key and its value; what [`ModelCard::from_lookup`] reads.
    pub fn entries(&self, mut write: impl FnMut(&'static str, Arguments<'_>)) {
        let mut put = |key, value: &dyn Display| write(key, format_args!("{value}"));
        put(key::VERSION, &VERSION);
        put(key::MODEL, &self.architecture.name());
        put(key::PROCESS, &PROCESS);
        put(key::SCHEDULE, &self.schedule.name());
        put(key::TRAIN_STEPS, &self.schedule.train_steps);
        put(key::BETA_START, &self.schedule.ends().0);
        put(key::BETA_END, &self.schedule.ends().1);
        // Absent is false, so that cards without it are as they were.
        if self.schedule.zero_snr {
            put(key::ZERO_SNR, &true);
        }
        put(key::PREDICTION, &self.prediction);
        put(key::CONDITIONING, &CONDITIONING);
        put(key::SHAPE, &self.shape);
        match &self.architecture {
            Architecture::ResidualMlp { width, blocks } => {
                put(key::WIDTH, width);
                put(key::BLOCKS, blocks);
            }
            Architecture::ExactPoints { points } => {
                put(key::WIDTH, points);
                put(key::BLOCKS, &1);
            }
            Architecture::Unet1d(unet) => {
                put(key::WIDTHS, &unet.widths);
                put(key::EMBEDDING, &unet.embedding);
                put(key::KERNEL, &unet.kernel);
                put(key::GROUPS, &unet.groups);
                put(key::FILM_SCALE, &unet.scale);
            }
            Architecture::Unet2d(unet) => {
                put(key::WIDTHS, &unet.widths);
                put(key::EMBEDDING, &unet.embedding);
                put(key::BLOCKS, &unet.blocks);
                put(key::GROUPS, &unet.groups);
                put(key::HEADS, &unet.heads);
            }
        }
        // Absent is none, as in cards of before.
        if self.condition > 0 {
            put(key::CONDITION, &self.condition);
        }
        put(key::LOSS, &self.loss);
        put(key::SEED, &self.seed);
        put(key::DATA_MEAN, &self.data_mean);
        put(key::DATA_SCALE, &self.data_scale);
        put(key::DATA_VARIANCE, &self.data_variance);
        // Absent is f32, as in cards of before.
        if self.weights != WeightFormat::F32 {
            put(key::WEIGHTS, &self.weights);
        }
    }

    /// The rules between the fields.
    fn check(&self) -> Result<(), CardError> {
        let shape = invalid(key::SHAPE, self.shape, "a list of positive integers");
        let dim = self.checked_dim().ok_or(shape)?;
        let rank = match self.architecture {
            Architecture::Unet1d(_) => Some((2, "two integers: places, channels")),
            Architecture::Unet2d(_) => Some((3, "three integers: height, width, channels")),
            Architecture::ResidualMlp { .. } | Architecture::ExactPoints { .. } => None,
        };
        if let Some((_, expected)) = rank.filter(|(rank, _)| *rank != self.shape.len()) {
            return Err(invalid(key::SHAPE, self.shape, expected));
        }
        for (key, list) in [(key::DATA_MEAN, &self.data_mean), (key::DATA_SCALE, &self.data_scale)] {
            if list.len() != dim {
                return Err(CardError::Length { key, expected: dim, got: list.len() });
            }
        }
        if self.data_scale.iter().any(|scale| scale <= 0.0) {
            return Err(invalid(key::DATA_SCALE, self.data_scale, "positive"));
        }
        if !(self.data_variance > 0.0 && self.data_variance.is_finite()) {
            return Err(invalid(key::DATA_VARIANCE, self.data_variance, "a positive number"));
        }
        Ok(())
    }

    fn checked_dim(&self) -> Option<usize> {
        self.shape.as_str().split(',').try_fold(1usize, |product, axis| {
            let axis: usize = axis.trim().parse().ok()?;
            product.checked_mul(axis).filter(|&product| product > 0)
        })
    }
}

fn invalid(key: &'static str, got: impl Display, expected: &'static str) -> CardError {
    CardError::Invalid { key, got: Name::new(format_args!("{got}")), expected }
}

fn number<N: FromStr>(key: &'static str, text: &str, expected: &'static str) -> Result<N, CardError> {
    text.trim().parse().map_err(|_| invalid(key, text, expected))
}

fn at_least_one(key: &'static str, n: usize) -> Result<usize, CardError> {
    if n > 0 { Ok(n) } else { Err(invalid(key, n, "a positive integer")) }
}
