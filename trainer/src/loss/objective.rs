//! All terms of a run's loss behind one step.

use super::{
    Contrastive, ContrastiveConfig, ContrastiveTerm, Denoising, Draws, Gaussian, Informed, InformedLosses,
    LikelihoodConfig, LikelihoodLoss, LossConfig, LossError, NoiseTable, ResidualName, items,
};
use crate::data::Dataset;
use crate::model::{Learner, NetworkError, has_room};
use crate::op::Element;
use crate::physics::{Circle, Darcy, Residual};
use crate::rng::Rng;
use picardy::nn::ShapeError;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The value of each term of a step, as it is weighted in the total; 0 where there is no such term.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Losses {
    /// The denoising loss.
    pub denoising: f64,
    /// The contrastive loss.
    pub contrastive: f64,
    /// The negative log-likelihood.
    pub likelihood: f64,
    /// The physics' equality residual.
    pub residual: f64,
    /// The physics' inequalities.
    pub inequality: f64,
    /// The physics' objective.
    pub objective: f64,
}

impl Losses {
    /// How many terms there are.
    pub const TERMS: usize = 6;

    /// The sum of all terms: what the gradient is of.
    pub fn total(&self) -> f64 {
        self.terms().iter().map(|(_, value)| value).sum()
    }

    /// Every term by name, those that are 0 too.
    pub const fn terms(&self) -> [(&'static str, f64); Self::TERMS] {
        [
            ("denoising", self.denoising),
            ("contrastive", self.contrastive),
            ("likelihood", self.likelihood),
            ("residual", self.residual),
            ("inequality", self.inequality),
            ("objective", self.objective),
        ]
    }
}

/// What a loss must know of the data: standardised rows `x = (p - mean)/scale`.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// Coordinates of an item.
    pub dim: usize,
    /// What was subtracted, `[dim]`.
    pub mean: Vec<f64>,
    /// What it was then divided by, `[dim]`.
    pub scale: Vec<f64>,
    /// The Gaussian fitted to the rows, where [`LossConfig::needs_gaussian`].
    pub gaussian: Option<Gaussian>,
}

impl Statistics {
    /// Those of a data set that a loss of these settings needs.
    ///
    /// # Errors
    ///
    /// A Gaussian is needed, and the covariance is singular.
    pub fn of(data: &Dataset, config: &LossConfig) -> Result<Self, LossError> {
        let gaussian =
            if config.needs_gaussian() { Some(Gaussian::fit(&data.data(), data.dim())?) } else { None };
        Ok(Self { dim: data.dim(), mean: data.mean().to_vec(), scale: data.scale().to_vec(), gaussian })
    }
}

/// The loss of a run: its terms, their buffers and the schedule.
///
/// ```
/// use picardy_trainer::data::Builtin;
/// use picardy_trainer::loss::{LossConfig, NoiseTable, Objective, Statistics};
/// use picardy_trainer::{model::{MlpConfig, Network}, rng::Rng};
/// let data = Builtin::TwoMoons.sample(500, 0)?;
/// let config = LossConfig::default();
/// let table = NoiseTable::new(picardy::Betas::linear(1000, 1e-4, 2e-2).alpha_bars().collect())?;
/// let mut objective = Objective::new(&config, table, &Statistics::of(&data, &config)?, 32)?;
/// let shape = MlpConfig { dim: 2, width: 16, blocks: 1 };
/// let mut model = Network::<f32>::new(shape, objective.rows(), 0)?;
/// let x0 = &data.data()[..objective.items() * 2]; // any items, drawn afresh for each step
/// let losses = objective.step(&mut model, x0, &[], &mut Rng::new(7, 0))?;
/// assert!(losses.denoising > 0.0 && losses.contrastive > 0.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Objective<T> {
    table: NoiseTable,
    dim: usize,
    dropout: f64,
    base: Base<T>,
    contrastive: Option<Contrastive<T>>,
    likelihood: Option<LikelihoodLoss<T>>,
    /// Items of the base, the contrastive loss and the likelihood, in the order of a step.
    lots: [usize; 3],
    rows: usize,
    x0: Vec<T>,
    c: Vec<T>,
}

/// What a step begins with.
#[derive(Debug, Clone)]
enum Base<T> {
    None,
    Denoising(Box<Denoising<T>>),
    Informed(Box<Informed<T>>),
}

impl<T: Element> Objective<T> {
    /// The loss with `batch` items of the denoising term, and as many of the likelihood's.
    ///
    /// # Errors
    ///
    /// As [`LossConfig::check`]; [`LossError::NoGaussian`] where one is needed and `data` has none,
    /// [`LossError::NoResidual`] for physics of one's own, which [`Objective::with_residual`] takes.
    pub fn new(
        config: &LossConfig,
        table: NoiseTable,
        data: &Statistics,
        batch: usize,
    ) -> Result<Self, LossError> {
        let residual: Option<Arc<dyn Residual<T>>> = match config.physics.residual {
            ResidualName::Custom => None,
            ResidualName::Circle => Some(Arc::new(Circle)),
            ResidualName::Darcy if config.is_informed() => {
                let darcy = Darcy::for_dim(data.dim);
                Some(Arc::new(darcy.map_err(|_| LossError::ResidualSize { dim: data.dim })?))
            }
            ResidualName::Darcy => None,
        };
        Self::build(config, table, data, batch, residual)
    }

    /// [`Objective::new`] with physics of one's own, whatever `config.physics.residual` says.
    ///
    /// # Errors
    ///
    /// As there; [`LossError::ResidualSize`] where the residual is for items of another size.
    pub fn with_residual(
        config: &LossConfig,
        table: NoiseTable,
        data: &Statistics,
        batch: usize,
        residual: Arc<dyn Residual<T>>,
    ) -> Result<Self, LossError> {
        Self::build(config, table, data, batch, Some(residual))
    }

    fn build(
        config: &LossConfig,
        table: NoiseTable,
        data: &Statistics,
        batch: usize,
        residual: Option<Arc<dyn Residual<T>>>,
    ) -> Result<Self, LossError> {
        config.check()?;
        let dim = data.dim;
        let bytes = config.bytes(batch, dim, 0, size_of::<T>());
        if dim == 0 || !has_room(bytes) {
            return Err(if dim == 0 {
                LossError::Items { len: 0, dim }
            } else {
                LossError::Memory { bytes }
            });
        }
        let eigenvalues = data.gaussian.as_ref().map(Gaussian::eigenvalues);
        let base = match config.denoising.weight {
            0.0 => Base::None,
            weight => {
                let denoising = Denoising::new(config.denoising(), weight, batch, dim)?;
                if config.is_informed() {
                    let residual = residual.ok_or(LossError::NoResidual)?;
                    let affine = (data.mean.clone(), data.scale.clone());
                    Base::Informed(Box::new(Informed::new(denoising, config.informed(), residual, affine)?))
                } else {
                    Base::Denoising(Box::new(denoising))
                }
            }
        };
        let (output, process) = (config.output(), config.process());
        let likelihood = match config.likelihood.weight {
            0.0 => None,
            weight => {
                let levels = config.likelihood.levels;
                let gaussian = data.gaussian.clone().filter(|_| levels == Draws::Auto);
                let loss = LikelihoodConfig { output, process, levels: levels.resolve(eigenvalues)? };
                Some(LikelihoodLoss::new(loss, gaussian, weight, batch, dim)?)
            }
        };
        let ContrastiveTerm { weight, items, draws, shared, levels, zeta } = config.contrastive;
        let contrastive = if weight == 0.0 {
            None
        } else {
            let estimator = ContrastiveConfig {
                items,
                draws,
                weight: weight / items as f64,
                shared,
                levels: levels.resolve(eigenvalues)?,
                zeta: zeta.resolve(eigenvalues)?,
                output,
                process,
            };
            Some(Contrastive::new(estimator, data.gaussian.clone(), dim)?)
        };
        let lots = config.lots(batch).map(|(items, _)| items);
        let most = lots.iter().copied().max().unwrap_or(0);
        let (rows, dropout) = (config.rows(batch), config.condition_dropout);
        let x0 = vec![T::ZERO; most.saturating_mul(dim)];
        Ok(Self { table, dim, dropout, base, contrastive, likelihood, lots, rows, x0, c: Vec::new() })
    }

    /// The most rows that a step shows the network in one call: what its `max_batch` must be at least.
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// The data items that a step takes.
    pub fn items(&self) -> usize {
        self.lots.iter().sum()
    }

    /// The schedule.
    pub const fn table(&self) -> &NoiseTable {
        &self.table
    }

    /// Adds the gradient of all terms on the items x0 [items, dim], told c [items, condition], to the network's.
    ///
    /// # Errors
    ///
    /// Other items than [`Objective::items`], or a network that does not fit them.
    pub fn step(
        &mut self,
        model: &mut dyn Learner<T>,
        x0: &[T],
        c: &[T],
        rng: &mut Rng,
    ) -> Result<Losses, LossError> {
        if items(x0.len(), self.dim)? != self.items() {
            return Err(LossError::Items { len: x0.len(), dim: self.dim });
        }
        let (expected, got) = (self.items() * model.condition(), c.len());
        if expected != got {
            return Err(NetworkError::from(ShapeError { argument: "c", expected, got }).into());
        }
        let (mut x0, mut c) = (x0, c);
        self.step_drawing(model, rng, |to_x0, to_c, _| {
            let (here, rest) = x0.split_at(to_x0.len());
            to_x0.copy_from_slice(here);
            x0 = rest;
            let (here, rest) = c.split_at(to_c.len());
            to_c.copy_from_slice(here);
            c = rest;
        })
    }

    /// [`Objective::step`] with items that are drawn as the terms come to them: `draw` fills a term's x0 [n, dim] and c
    /// [n, condition], from the generator that the term then goes on with.
    ///
    /// # Errors
    ///
    /// A network that does not fit.
    pub fn step_drawing(
        &mut self,
        model: &mut dyn Learner<T>,
        rng: &mut Rng,
        mut draw: impl FnMut(&mut [T], &mut [T], &mut Rng),
    ) -> Result<Losses, LossError> {
        let mut losses = Losses::default();
        let Self { table, x0, c, lots, dim, dropout, .. } = self;
        let sizes = |items: usize| [items, *dim, model.condition()];
        let sizes = lots.map(sizes);
        match &mut self.base {
            Base::None => {}
            Base::Denoising(loss) => {
                let (x0, c) = lot(x0, c, sizes[0], *dropout, rng, &mut draw);
                losses.denoising = loss.step(model, table, x0, c, rng)?;
            }
            Base::Informed(loss) => {
                let (x0, c) = lot(x0, c, sizes[0], *dropout, rng, &mut draw);
                let InformedLosses { denoising, residual, inequality, objective } =
                    loss.step(model, table, x0, c, rng)?;
                losses = Losses { denoising, residual, inequality, objective, ..losses };
            }
        }
        if let Some(loss) = &mut self.contrastive {
            let (x0, c) = lot(x0, c, sizes[1], *dropout, rng, &mut draw);
            losses.contrastive = loss.step(model, table, x0, c, rng)?;
        }
        if let Some(loss) = &mut self.likelihood {
            let (x0, c) = lot(x0, c, sizes[2], *dropout, rng, &mut draw);
            losses.likelihood = loss.step(model, table, x0, c, rng)?;
        }
        Ok(losses)
    }
}

/// A term's items and their conditions, some of which are dropped.
fn lot<'a, T: Element>(
    x0: &'a mut [T],
    c: &'a mut Vec<T>,
    [n, dim, condition]: [usize; 3],
    dropout: f64,
    rng: &mut Rng,
    draw: &mut impl FnMut(&mut [T], &mut [T], &mut Rng),
) -> (&'a [T], &'a [T]) {
    let x0 = &mut x0[..n * dim];
    c.clear();
    c.resize(n * condition, T::ZERO);
    draw(x0, c, rng);
    if dropout > 0.0 && condition > 0 {
        for row in c.chunks_exact_mut(condition) {
            if rng.uniform() < dropout {
                row.fill(T::ZERO);
            }
        }
    }
    (x0, c)
}

#[cfg(test)]
#[path = "objective_tests.rs"]
mod tests;
