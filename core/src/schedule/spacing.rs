//! Which timesteps a run visits.

use crate::math;

/// Which of the `T` training timesteps a run of `N` steps visits, `i = 0 .. N` (arXiv 2305.08891, table 2).
///
/// The last three rows are what the libraries that first shipped some solvers do: DPM-Solver++, UniPC and DEIS leave one
/// interval to the last step (`Open`), samplers in sigma interpolate (`Fractional`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Spacing {
    /// `round(T - i T/N) - 1`: starts at the last timestep. The right choice for few steps.
    #[default]
    Trailing,
    /// `(N - 1 - i) floor(T/N) + offset`: ends at timestep `offset`, and never sees the last one.
    Leading {
        /// What is added to every timestep: 0 for DDPM, 1 for Stable Diffusion.
        offset: usize,
    },
    /// `round((T-1) (1 - i/(N-1)))`: both ends; for `N = 1` the last timestep.
    Linspace,
    /// `(T-1) (1 - i/(N-1))`, not rounded: between two timesteps sigma/alpha is linear.
    LinspaceFractional,
    /// `(N - i) floor(T/(N+1)) + offset`: ends one interval above timestep `offset`.
    /// For `N = T`, which leaves no room for that, `Leading`.
    LeadingOpen {
        /// What is added to every timestep.
        offset: usize,
    },
    /// `round((T-1) (1 - i/N))`: ends one interval above timestep 0. For `N = T`, `Linspace`.
    LinspaceOpen,
    /// `(K - floor(i K/N)) floor(T/K) - 1`: `N` of the `K` timesteps that a model was distilled on (arXiv 2310.04378).
    Distilled {
        /// `K`; 50 is usual. More steps than that visit all timesteps as `Trailing` does.
        original: usize,
    },
}

/// Where a run ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Final {
    /// At no noise: `alpha = 1`, `sigma = 0`.
    #[default]
    Data,
    /// At the level of training timestep 0 (DDIM's `set_alpha_to_one = false`, others' `final_sigmas_type = sigma_min`).
    FirstTimestep,
}

impl Spacing {
    /// The timestep of step `i` of `steps`, of `train_steps` (`1 <= steps <= train_steps`).
    ///
    /// From the index, not by adding up: a float range can run one step long or short.
    pub(super) fn timestep(self, i: usize, steps: usize, train_steps: usize) -> f64 {
        let (train, n, i_f) = (train_steps as f64, steps as f64, i as f64);
        let left = steps - 1 - i;
        match self {
            Self::Trailing => math::rint(train - i_f * (train / n)) - 1.0,
            Self::LeadingOpen { offset } if steps < train_steps => {
                ((left + 1) * (train_steps / (steps + 1))).saturating_add(offset) as f64
            }
            Self::Leading { offset } | Self::LeadingOpen { offset } => {
                (left * (train_steps / steps)).saturating_add(offset) as f64
            }
            Self::LinspaceOpen if steps < train_steps => math::rint((train - 1.0) / n * (n - i_f)),
            Self::Linspace | Self::LinspaceOpen | Self::LinspaceFractional if steps == 1 => train - 1.0,
            Self::Linspace | Self::LinspaceOpen => math::rint((train - 1.0) / (n - 1.0) * left as f64),
            Self::LinspaceFractional if i == 0 => train - 1.0,
            Self::LinspaceFractional => (train - 1.0) / (n - 1.0) * left as f64,
            Self::Distilled { original } if (steps..=train_steps).contains(&original) => {
                ((original - i * original / steps) * (train_steps / original)) as f64 - 1.0
            }
            Self::Distilled { .. } => Self::Trailing.timestep(i, steps, train_steps),
        }
    }
}
