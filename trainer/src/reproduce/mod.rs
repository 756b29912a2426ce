//! The papers' experiments, each a function that writes its pictures and `report.json` into a folder and gives the report back.

mod physics_toy;

pub use physics_toy::physics_toy;
