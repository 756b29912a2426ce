//! An estimate under way: which evaluation shows what, and what its answer adds.

use super::draws::Draws;
use super::local::Local;
use super::profile::{BANDS, Profile};
use super::tally::Tally;
use super::{CONTROLS, Nats};
use crate::{Level, Node, Real, math};

/// One density in a combination of them: `weight log p_zeta(x / scale)`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    /// The level's log-SNR; infinite for the data's own density.
    pub(super) zeta: f64,
    /// sqrt(alpha^2 + sigma^2): states in the level's unit are so many times the variance-preserving ones.
    pub(super) scale: f64,
    /// Its factor.
    pub(super) weight: f64,
}

impl Column {
    /// `None` where the level is none, or has no signal.
    pub(super) fn of(level: &Level, weight: f64) -> Option<Self> {
        let Level { alpha, sigma, .. } = *level;
        let scale = math::sqrt(alpha * alpha + sigma * sigma);
        let sound = alpha > 0.0 && sigma >= 0.0 && scale.is_finite();
        sound.then(|| Self { zeta: level.log_snr(), scale, weight })
    }
}

/// What is known of an item while its evaluations come in.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Account {
    tally: Tally,
    pub(super) bands: Profile,
    y: f64,
    controls: [f64; CONTROLS],
}

/// An estimate under way: nothing of it depends on the inputs.
pub(super) struct Run<'a> {
    pub(super) draws: Draws,
    pub(super) local: Local,
    pub(super) columns: &'a [Column],
    pub(super) evaluations: usize,
}

impl Run<'_> {
    pub(super) fn strata(&self) -> usize {
        self.evaluations.div_ceil(2).max(1)
    }

    /// The stratum of an evaluation, its density, and whether eps is negated there. A stratum's evaluations are neighbours: all
    /// densities with eps, then all with its negative.
    pub(super) fn place(&self, evaluation: usize) -> (usize, Column, bool) {
        let columns = self.columns.len().max(1);
        let (half, column) = (evaluation / columns, evaluation % columns);
        let none = Column { zeta: f64::INFINITY, scale: 1.0, weight: 0.0 };
        (half / 2, self.columns.get(column).copied().unwrap_or(none), half % 2 == 1)
    }

    /// `input (alpha x / scale + sigma eps)` into a row.
    pub(super) fn show<T: Real>(&self, x: &[T], evaluation: usize, node: &Node, row: &mut [T]) {
        let (stratum, column, negated) = self.place(evaluation);
        let draw = self.draws.at(stratum);
        let input = node.evaluate.map_or(1.0, |read| read.input);
        let (a, s) =
            (input * draw.alpha / column.scale, input * if negated { -draw.sigma } else { draw.sigma });
        let mut x = x.iter();
        self.draws.eps(stratum, row, |_, z, eps| {
            *z = T::from_f64(a * x.next().map_or(0.0, |x| x.to_f64()) + s * eps);
        });
    }

    /// Adds an evaluation to its item's account; false where it is not finite.
    pub(super) fn read<T: Real>(
        &self,
        x: &[T],
        evaluation: usize,
        node: &Node,
        said: &mut [T],
        account: &mut Account,
    ) -> bool {
        let (stratum, column, negated) = self.place(evaluation);
        let draw = self.draws.at(stratum);
        let Some(read) = node.evaluate else { return false };
        let a = draw.alpha / column.scale;
        let (mut error, mut square) = (0.0, 0.0);
        let mut x = x.iter();
        self.draws.eps(stratum, said, |_, said, eps| {
            let eps = if negated { -eps } else { eps };
            let z = a * x.next().map_or(0.0, |x| x.to_f64()) + draw.sigma * eps;
            let rest = eps - (read.state * z + read.output * said.to_f64());
            error += rest * rest;
            square += eps * eps;
        });
        if !error.is_finite() {
            return false;
        }
        let (base, controls) = self.local.at(&draw, square);
        account.y += column.weight * draw.weight * (base - error);
        account.controls = controls;
        let columns = self.columns.len().max(1);
        let done = evaluation + 1;
        // The last stratum of an odd budget has one half.
        let halves =
            if done == self.evaluations.saturating_mul(columns) && !negated { Some(1.0) } else { None };
        let halves = halves.or((done % (2 * columns) == 0).then_some(2.0));
        if let Some(halves) = halves {
            account.tally.add(account.y / halves, account.controls);
            if let Some(band) = account.bands.get_mut(stratum * BANDS / self.strata()) {
                *band += account.y / halves;
            }
            account.y = 0.0;
        }
        true
    }

    pub(super) fn finish(&self, dim: usize, account: &Account) -> Nats {
        let (mean, error) = account.tally.mean();
        let known: f64 = self
            .columns
            .iter()
            .map(|column| column.weight * (self.local.log_density() - dim as f64 * math::ln(column.scale)))
            .sum();
        Nats { value: known + 0.5 * mean, standard_error: 0.5 * error }
    }
}
