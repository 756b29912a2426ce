//! The papers' experiments, each a function that writes its pictures and `report.json` into a folder and gives the report back.

mod darcy;
mod densities;
mod gaussian_1d;
mod kit;
mod maps;
mod physics_toy;
mod pinned;

pub use darcy::{DarcySize, darcy};
pub use densities::densities;
pub use gaussian_1d::gaussian_1d;
pub use physics_toy::physics_toy;
pub use pinned::pinned;
