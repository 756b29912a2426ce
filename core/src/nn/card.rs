//! The one description of a model that both of its files carry.

use core::fmt::{Arguments, Display};

use super::card_fields::key;
use super::card_reader::{Reader, invalid};
use super::card_task::{VERSIONS, prediction, put_prediction, put_schedule, schedule, version};
use super::weight_format::UnknownWeights;
use super::{Architecture, CardError, MAX_LEVELS, Numbers, Unet1d, Unet2d, WeightFormat, Widths};
use crate::{NoiseSchedule, Prediction};

/// The most steps of a network.
const MAX_STEPS: usize = 4096;

/// What a network was trained for: everything that a runtime must know to sample from it.
///
/// It lies flat, as strings under the keys of [`key`](super::key), in the metadata of the safetensors file and of the
/// ONNX file, so that both go through one function. Version 1 is of variance-preserving networks that return epsilon, x0, v or a
/// flow's velocity; version 2 knows the other [processes](NoiseSchedule) and EDM's network too. A card is written in the oldest
/// version that can say what it says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ModelCard<'a> {
    /// The network and its sizes.
    pub architecture: Architecture,
    /// Numbers of a condition, 0 where the network takes none.
    pub condition: usize,
    /// The process and the schedule of its training.
    pub schedule: NoiseSchedule,
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
        let reader = Reader(lookup);
        let version: u32 = reader.number(key::VERSION, "a version number")?;
        if !VERSIONS.contains(&version) {
            return Err(CardError::Version { got: version });
        }
        let schedule = schedule(&reader, version)?;
        let prediction = prediction(&reader, version)?;
        let weights = match reader.optional(key::WEIGHTS) {
            None => WeightFormat::F32,
            Some(name) => {
                name.parse().map_err(|UnknownWeights| invalid(key::WEIGHTS, name, "one of f32, f16, int8"))?
            }
        };
        let widths = || {
            let mut levels = [0; MAX_LEVELS];
            let list = reader.list(key::WIDTHS)?;
            let expected = "1 to 6 positive integers";
            let wrong = || invalid(key::WIDTHS, list, expected);
            for (i, part) in list.as_str().split(',').enumerate() {
                let width = part.trim().parse().ok().filter(|&n: &usize| n > 0);
                *levels.get_mut(i).ok_or_else(wrong)? = width.ok_or_else(wrong)?;
            }
            Widths::new(levels.get(..list.len()).unwrap_or(&[])).ok_or_else(wrong)
        };
        let architecture = match reader.text(key::MODEL)? {
            "residual-mlp" => Architecture::ResidualMlp {
                width: reader.count(key::WIDTH)?,
                blocks: reader.count(key::BLOCKS)?,
            },
            "exact-points" => Architecture::ExactPoints { points: reader.count(key::WIDTH)? },
            "unet1d" => Architecture::Unet1d(Unet1d {
                widths: widths()?,
                embedding: reader.count(key::EMBEDDING)?,
                kernel: reader.count(key::KERNEL)?,
                groups: reader.count(key::GROUPS)?,
                scale: reader.flag(key::FILM_SCALE)?,
            }),
            "unet2d" => Architecture::Unet2d(Unet2d {
                widths: widths()?,
                embedding: reader.count(key::EMBEDDING)?,
                blocks: reader.count(key::BLOCKS)?,
                groups: reader.count(key::GROUPS)?,
                heads: reader.count(key::HEADS)?,
            }),
            other => {
                let expected = "one of residual-mlp, unet1d, unet2d, exact-points";
                return Err(invalid(key::MODEL, other, expected));
            }
        };
        let condition = match reader.optional(key::CONDITION) {
            None => 0,
            Some(_) => reader.count(key::CONDITION)?,
        };
        // So that whoever gives the steps room need not fear the card.
        if architecture.steps(condition) > MAX_STEPS {
            return Err(invalid(
                key::BLOCKS,
                reader.text(key::BLOCKS)?,
                "fewer: a network has at most 4096 steps",
            ));
        }
        let card = Self {
            weights,
            architecture,
            condition,
            schedule,
            prediction,
            shape: reader.list(key::SHAPE)?,
            loss: reader.text(key::LOSS)?,
            seed: reader.number(key::SEED, "an integer")?,
            data_mean: reader.list(key::DATA_MEAN)?,
            data_scale: reader.list(key::DATA_SCALE)?,
            data_variance: reader.number(key::DATA_VARIANCE, "a positive number")?,
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
        let mut put = |key: &'static str, value: &dyn Display| write(key, format_args!("{value}"));
        put(key::VERSION, &version(&self.schedule, self.prediction));
        put(key::MODEL, &self.architecture.name());
        put_schedule(&self.schedule, &mut put);
        put_prediction(self.prediction, &mut put);
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
