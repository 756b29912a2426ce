//! The papers' experiments, each a function that writes its pictures and `report.json` into a folder and gives the report back.

mod churn;
mod digits;
mod dino;
mod frechet;
mod gradient_estimation;
mod physics_toy;
mod tools;

pub use churn::churn;
pub use dino::{DinoArgs, dino, dino_with};
pub use gradient_estimation::gradient_estimation;
pub use physics_toy::physics_toy;
