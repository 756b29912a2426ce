//! The networks of the digits that two experiments share, and what their samples are judged by.

use super::frechet::{Distances, Reference};
use super::jobs::each;
use super::network::{ROWS, for_sampling, trained};
use super::report::folder;
use super::spread::Spread;
use crate::data::{Dataset, digits};
use crate::loss::{Draws, LossConfig};
use crate::model::{Network, NetworkKind, Precision};
use crate::rng::Rng;
use crate::train::{TrainConfig, picture, write_whole};
use anyhow::Context;
use crc::{CRC_64_XZ, Crc};
use picardy::Betas;
use picardy::nn::Artifact;
use serde_json::{Value, json};
use std::path::Path;

/// Where a network's file says what it was trained with.
const SETTINGS: &str = "reproduce.settings";
/// Added to the seed of the second part of a training, so that it draws other batches.
const SECOND_PART: u64 = 1 << 40;
/// The draws of the data with replacement.
const RESAMPLING: u64 = 0x5245_5341_4D50_4C45;

/// How far the experiments go.
#[derive(Debug, Clone)]
pub(super) struct Size {
    pub(super) seeds: u64,
    /// Samples of each network and setting.
    pub(super) samples: usize,
    /// Steps that both losses have in common, and those in which they differ.
    pub(super) steps: [u64; 2],
    /// Channels of the U-Net's two levels.
    pub(super) widths: [usize; 2],
    /// Timesteps of the parallel DDPM runs, and their items.
    pub(super) parallel: [usize; 2],
}

impl Size {
    /// The whole experiment, or one of seconds.
    pub(super) fn new(quick: bool, seeds: Option<u64>) -> Self {
        let seeds = seeds.unwrap_or(if quick { 1 } else { 3 }).max(1);
        if quick {
            let parallel = [100, 4];
            return Self { seeds, samples: 256, steps: [60, 30], widths: [8, 8], parallel };
        }
        Self { seeds, samples: 2048, steps: [3000, 1500], widths: [16, 32], parallel: [1000, 8] }
    }

    fn config(&self, part: usize, loss: LossConfig, seed: u64) -> TrainConfig {
        let mut config = TrainConfig { loss, ..TrainConfig::default() };
        let widths = self.widths.to_vec();
        config.network = NetworkKind::Unet2d { widths, embedding: 32, blocks: 1, groups: 4, heads: 4 };
        (config.run.steps, config.run.batch) = (self.steps[part], 64);
        config.run.seed = if part == 0 { seed } else { seed + SECOND_PART };
        config.optimiser.rate = if part == 0 { 2e-3 } else { 5e-4 };
        config
    }
}

/// The contrastive loss on the digits: zeta as the paper has it for images. The levels are logistic with scale 3 and clip 3 like the
/// paper's, around the mean of -ln of the covariance's 55 eigenvalues above 1e-3 (three pixels never change, and have none).
pub(super) fn contrastive() -> LossConfig {
    let mut loss = LossConfig::default();
    let term = &mut loss.contrastive;
    (term.weight, term.items, term.draws) = (1.0 / 256.0, 8, 8);
    term.levels = Draws::Logistic { loc: 1.2, scale: 3.0, clip: 3.0 };
    term.zeta = Draws::Images;
    loss
}

/// A seed's networks, of equal numbers of steps: both begin with the same standard training.
pub(super) struct Networks {
    pub(super) seed: u64,
    pub(super) standard: Network<f32>,
    pub(super) contrastive: Option<Network<f32>>,
    /// Seconds that training took, 0 for networks that were kept: the common part, and the two others.
    pub(super) seconds: [f64; 3],
}

/// Trains what `folder` does not hold yet.
pub(super) fn networks(place: &Path, size: &Size, with_contrastive: bool) -> anyhow::Result<Vec<Networks>> {
    folder(place)?;
    let data = digits()?;
    let seeds: Vec<u64> = (0..size.seeds).collect();
    let bases =
        each(&seeds, |&seed| kept(place, "base", size.config(0, LossConfig::standard(), seed), &data, None))?;
    let losses: &[&str] = if with_contrastive { &["standard", "contrastive"] } else { &["standard"] };
    let jobs: Vec<_> =
        bases.iter().zip(0..).flat_map(|base| losses.iter().map(move |loss| (base, *loss))).collect();
    let tuned = each(&jobs, |&((base, seed), name)| {
        let loss = if name == "standard" { LossConfig::standard() } else { contrastive() };
        kept(place, name, size.config(1, loss, seed), &data, Some(base))
    })?;
    let mut tuned = tuned.into_iter();
    let mut all = Vec::new();
    for (seed, base) in bases.iter().enumerate() {
        let standard = tuned.next().context("a network of each loss")?;
        let contrastive = if with_contrastive { tuned.next() } else { None };
        let seconds = [base.seconds, standard.seconds, contrastive.as_ref().map_or(0.0, |c| c.seconds)];
        let contrastive = contrastive.map(|c| c.network);
        all.push(Networks { seed: seed as u64, standard: standard.network, contrastive, seconds });
    }
    Ok(all)
}

struct Kept {
    key: u64,
    network: Network<f32>,
    seconds: f64,
}

/// The network of these settings: the one that lies in `place`, or a new one that is put there.
fn kept(
    place: &Path,
    name: &str,
    config: TrainConfig,
    data: &Dataset,
    from: Option<&Kept>,
) -> anyhow::Result<Kept> {
    let settings = json!({ "data": data.name(), "from": from.map(|kept| kept.key), "config": config });
    // A file's metadata may hold no escapes, which quotes would need.
    let settings = settings.to_string().replace('"', "'");
    let key = Crc::<u64>::new(&CRC_64_XZ).checksum(settings.as_bytes());
    let path = place.join(format!("digits-{name}-{key:016x}.safetensors"));
    if path.exists() {
        let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
        let said = || format!("{}: no network of this experiment; remove the file", path.display());
        let artifact = Artifact::parse(&bytes).with_context(said)?;
        if artifact.metadata(SETTINGS) == Some(&settings) {
            let network = Network::from_safetensors(&bytes, ROWS).with_context(said)?;
            return Ok(Kept { key, network, seconds: 0.0 });
        }
    }
    let weights = from.map(|kept| kept.network.parameters());
    let seed = config.run.seed;
    let (trainer, seconds) =
        trained(config, data.clone(), weights).with_context(|| format!("{name}, seed {seed}"))?;
    let (network, mut card) = (trainer.averaged()?, trainer.card());
    card.push((SETTINGS.to_owned(), settings));
    write_whole(&path, &network.to_safetensors(&card, Precision::F32)?)
        .with_context(|| path.display().to_string())?;
    println!("trained {name}, seed {}: {seconds:.0} s", seed % SECOND_PART);
    Ok(Kept { key, network: for_sampling(&network)?, seconds })
}

/// The schedule of the networks.
pub(super) fn betas() -> anyhow::Result<Betas> {
    Ok(TrainConfig::default().noise.betas()?)
}

/// The data, and the distances to it.
pub(super) struct Judge {
    pub(super) data: Dataset,
    reference: Reference,
}

impl Judge {
    pub(super) fn new() -> anyhow::Result<Self> {
        let data = digits()?;
        let reference = Reference::new(&data.data(), data.dim())?;
        Ok(Self { data, reference })
    }

    /// To all 1797 images, those that were trained on.
    pub(super) fn distances(&self, samples: &[f32]) -> anyhow::Result<Distances> {
        self.reference.distances(samples)
    }

    /// The distances of `count` of the images, drawn with replacement: what perfect samples have. Over 5 draws.
    pub(super) fn floor(&self, count: usize) -> anyhow::Result<Value> {
        let mut drawn = Vec::new();
        for seed in 0..5 {
            let mut rng = Rng::new(seed, RESAMPLING);
            let mut rows = vec![0.0; count * self.data.dim()];
            for row in rows.chunks_exact_mut(self.data.dim()) {
                self.data.copy_item(rng.below(self.data.len()), row);
            }
            drawn.push(self.distances(&rows)?);
        }
        let of = |get: fn(&Distances) -> f64| Spread::of(&drawn.iter().map(get).collect::<Vec<_>>());
        Ok(json!({ "pixels": of(|d| d.pixels), "features": of(|d| d.features) }))
    }

    /// The first 64 samples as a picture.
    pub(super) fn picture(&self, samples: &[f32], path: &Path) -> anyhow::Result<()> {
        let first = &samples[..samples.len().min(64 * self.data.dim())];
        let picture = picture::draw(first, &self.data).map_err(anyhow::Error::msg)?;
        let picture = picture.context("the digits are images")?;
        write_whole(path, &picture.png).with_context(|| path.display().to_string())
    }
}

/// What the distances are, for the reports.
pub(super) const DISTANCE: &str = "Frechet distance of Gaussian fits (mean, covariance) of the samples and of all 1797 images, which \
    were trained on; pixels: the 64 pixels, standardised by one mean variance; features: max(W x + b, 0), 128 numbers, rows of W N(0, I/64), \
    b N(0, 1/4), fixed";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_trained_once_and_come_back_the_same() {
        let place = tempfile::tempdir().unwrap();
        let size = Size { steps: [2, 2], ..Size::new(true, None) };
        let first = networks(place.path(), &size, true).unwrap();
        assert!(first[0].seconds.iter().all(|s| *s > 0.0));
        let (standard, contrastive) = (&first[0].standard, first[0].contrastive.as_ref().unwrap());
        assert_ne!(standard.parameters(), contrastive.parameters());
        let again = networks(place.path(), &size, true).unwrap();
        assert_eq!(again[0].seconds, [0.0; 3]);
        assert_eq!(again[0].standard.parameters(), standard.parameters());
        // Other settings are another file; one that is no network is named.
        let longer = networks(place.path(), &Size { steps: [2, 3], ..size.clone() }, false).unwrap();
        assert!(longer[0].seconds[0] == 0.0 && longer[0].seconds[1] > 0.0);
        for entry in std::fs::read_dir(place.path()).unwrap() {
            std::fs::write(entry.unwrap().path(), "nothing").unwrap();
        }
        let error = networks(place.path(), &size, true).err().unwrap().to_string();
        assert!(error.contains("digits-base-") && error.contains("remove"), "{error}");
    }
}
