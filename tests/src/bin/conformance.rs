//! Runs a file of reference cases: `conformance FILE.json`. A line has name, largest error over the trajectory, verdict, and
//! the final state's own error. See tests/CONFORMANCE.md.

use anyhow::{Context, Result};
use picardy_tests::conformance::run_file;
use std::process::ExitCode;

fn main() -> Result<ExitCode> {
    let path = std::env::args().nth(1).context("give a file of cases: conformance FILE.json")?;
    let file = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let file = serde_json::from_str(&file).with_context(|| format!("{path} is not JSON"))?;
    let outcomes = run_file(&file).with_context(|| format!("{path} is no file of cases"))?;
    for outcome in &outcomes {
        println!("{outcome}");
    }
    let passed = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let failed = outcomes.len() - passed;
    println!("{passed} passed, {failed} failed");
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
