//! Puts the target's memory.x where the linker looks for it, and computes the plans that images keep in flash.

mod networks;
mod policies;

use picardy::{Betas, Ddim, DpmSolverPp, Level, Node, Prediction, Solver};
use std::error::Error;
use std::fs;
use std::path::PathBuf;

const STEPS: usize = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    let memory = match std::env::var("CARGO_CFG_TARGET_ARCH")?.as_str() {
        "riscv32" => "memory/riscv.x",
        _ => "memory/arm.x",
    };
    fs::copy(memory, out.join("memory.x"))?;
    println!("cargo:rustc-link-search={}", out.display());
    println!("cargo:rerun-if-changed=memory");
    println!("cargo:rerun-if-changed=build.rs");

    let ddim = table("DDIM", "DDIM in ten steps", &Ddim { eta: 0.0 })?;
    let dpm = table("DPM_SOLVER_PP", "DPM-Solver++ 2M in ten steps", &DpmSolverPp::order2())?;
    fs::write(out.join("plans.rs"), ddim + &dpm)?;
    println!("cargo:rerun-if-changed=networks.rs");
    networks::write(&out)?;
    println!("cargo:rerun-if-changed=policies.rs");
    policies::write(&out, std::env::var_os("CARGO_FEATURE_WIDE").is_some())?;
    Ok(())
}

/// A plan as a static array in Rust. What `Debug` prints of nodes is Rust, and of numbers it prints all that `f64` has.
fn table(name: &str, what: &str, solver: &impl Solver) -> Result<String, Box<dyn Error>> {
    let (mut levels, mut nodes) = ([Level::EMPTY; STEPS + 1], [Node::EMPTY; STEPS + 1]);
    let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(STEPS, &mut levels)?;
    let plan = solver.plan(&grid, Prediction::Epsilon, &mut nodes)?;
    let (len, form) = (plan.nodes().len(), plan.form());
    Ok(format!(
        "/// {what}, its outputs read as `Form::{form:?}`.\npub static {name}: [Node; {len}] = {:#?};\n",
        plan.nodes()
    ))
}
