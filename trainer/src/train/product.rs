//! What a run gives: the network, and what is to be said of it.

use super::{LossKind, TrainError, Trainer};
use crate::export::{About, metadata};
use crate::loss::{Gaussian, NoiseTable};
use crate::model::{Network, Parameter};

impl Trainer {
    /// The network that is exported and evaluated: with the averaged weights, and in a run with patience with those of the lowest
    /// held-out loss. From a device they are brought here, and the network is built for one row at a time.
    ///
    /// # Errors
    /// [`TrainError::Device`].
    pub fn averaged(&self) -> Result<Network<f32>, TrainError> {
        let best = self.best.as_ref().filter(|_| self.config.run.patience > 0);
        let mut model = self.engine.model().clone();
        match best {
            Some(best) => model.parameters_mut().copy_from_slice(&best.weights),
            None => model.parameters_mut().copy_from_slice(&self.engine.average()?),
        }
        Ok(model)
    }

    /// Names, shapes and places of the network's parameters.
    pub fn layout(&self) -> &[Parameter] {
        self.engine.model().layout()
    }

    /// The schedule as the losses use it.
    pub fn table(&self) -> &NoiseTable {
        self.objective.table()
    }

    /// The Gaussian fitted to the data, computed at each call.
    ///
    /// # Errors
    /// [`TrainError::Covariance`] where there is none.
    pub fn gaussian(&self) -> Result<Gaussian, TrainError> {
        let name = || self.data.name().to_owned();
        Gaussian::fit(&self.data.data(), self.data.dim())
            .map_err(|error| TrainError::Covariance { data: name(), error })
    }

    /// The metadata that both exported files carry: a model card's entries.
    pub fn card(&self) -> Vec<(String, String)> {
        // The schedule was checked at the start.
        let Ok(schedule) = self.config.noise_schedule() else { return Vec::new() };
        let network = self.engine.model().config();
        let about = About {
            architecture: network.architecture,
            condition: network.condition,
            shape: &network.shape,
            schedule,
            prediction: self.config.loss.output(),
            loss: &LossKind::said(&self.config.loss),
            seed: self.config.run.seed,
            added_variance: 0.0,
        };
        metadata(&self.data, &about)
    }
}
