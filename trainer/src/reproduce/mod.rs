//! The papers' experiments, each a function that writes its pictures and `report.json` into a folder and gives the report back.

mod chart;
mod churn;
mod classifier;
mod corrupt;
mod darcy;
mod densities;
mod digits;
mod dino;
mod fields;
mod frechet;
mod gaussian_1d;
mod gradient_estimation;
mod jobs;
mod maps;
mod network;
mod physics_toy;
mod pinned;
mod report;
mod spread;

pub use churn::churn;
pub use classifier::classifier;
pub use darcy::{DarcySize, darcy};
pub use densities::densities;
pub use dino::{DinoArgs, dino, dino_with};
pub use gaussian_1d::gaussian_1d;
pub use gradient_estimation::gradient_estimation;
pub use physics_toy::physics_toy;
pub use pinned::pinned;
