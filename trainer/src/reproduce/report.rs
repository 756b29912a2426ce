//! Where an experiment's results go.

use crate::train::write_whole;
use anyhow::Context;
use serde_json::Value;
use std::path::Path;

/// What is added to a seed for draws that no training has seen.
pub(super) const FRESH: u64 = 1_000_003;

/// Makes the folder of an experiment.
pub(super) fn folder(out: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(out).with_context(|| format!("cannot make the folder `{}`", out.display()))
}

/// Writes all of a report to `report.json`.
pub(super) fn write_report(out: &Path, report: &Value) -> anyhow::Result<()> {
    let path = out.join("report.json");
    write_whole(&path, format!("{report:#}\n").as_bytes())
        .with_context(|| format!("cannot write `{}`", path.display()))
}

/// Prints the report's summary, a line each, and writes all of it.
pub(super) fn finish(out: &Path, report: Value) -> anyhow::Result<Value> {
    println!("{}: {}", report["experiment"].as_str().unwrap_or_default(), report["paper"]);
    for row in report["ours"].as_array().into_iter().flatten() {
        println!("{row}");
    }
    write_report(out, &report)?;
    Ok(report)
}

/// How many seeds: those that were asked for, or else few in a quick run.
pub(super) fn seeds(asked: Option<u64>, quick: bool, full: u64) -> anyhow::Result<u64> {
    let seeds = asked.unwrap_or(if quick { 1 } else { full });
    anyhow::ensure!((1..=1000).contains(&seeds), "{seeds} seeds: ask for 1 to 1000");
    Ok(seeds)
}

#[cfg(test)]
mod tests {
    use super::seeds;

    #[test]
    fn seeds_are_in_range() {
        assert_eq!((seeds(None, true, 5).unwrap(), seeds(None, false, 5).unwrap()), (1, 5));
        assert_eq!(seeds(Some(3), true, 5).unwrap(), 3);
        assert!(seeds(Some(0), true, 5).unwrap_err().to_string().contains("0 seeds"));
    }
}
