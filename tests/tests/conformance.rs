//! The public reference cases (tests/CONFORMANCE.md).

use picardy_tests::conformance::{run_case, run_file};
use serde_json::{Value, json};

#[test]
fn the_public_cases_agree() {
    all_agree(include_str!("../data/conformance.json"), 137);
}

/// LMS, LCM, TCD, single-step DPM-Solver++; exponential and beta sigmas, offsets, zero terminal SNR, other ends; DDIM whose
/// steps are not the grid's, DDPM with the large variance.
#[test]
fn more_cases_agree() {
    all_agree(include_str!("../data/more_cases.json"), 108);
}

fn all_agree(file: &str, least: usize) {
    let outcomes = run_file(&serde_json::from_str(file).unwrap()).unwrap();
    assert!(outcomes.len() >= least, "{}", outcomes.len());
    let failed: Vec<_> =
        outcomes.iter().filter(|outcome| !outcome.is_ok()).map(ToString::to_string).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

/// Hostile files: an outcome that names the key, and no panic, abort or wait.
#[test]
fn wrong_cases_are_problems() {
    let file: Value = serde_json::from_str(include_str!("../data/conformance.json")).unwrap();
    let good =
        file["cases"].as_array().unwrap().iter().find(|case| case["solver"]["kind"] == "ddim").unwrap();
    assert!(run_case(good).is_ok());
    for (pointer, value, words) in [
        ("/steps", json!(1u64 << 63), ["steps", "9223372036854775808"]),
        ("/steps", json!(10_000_000_000u64), ["steps", "10000000000"]),
        ("/steps", json!(0), ["steps", "0"]),
        ("/schedule/train_steps", json!(1u64 << 62), ["train_steps", "4611686018427387904"]),
        ("/batch", json!(1_000_000), ["init", "1000000"]),
        ("/noise", json!([null]), ["noise", "null"]),
        ("/init/0/0", Value::Null, ["init", "null"]),
        ("/final/0/0", json!("1"), ["final", "\"1\""]),
        ("/model/means", Value::Null, ["means", "null"]),
        ("/prediction", json!("eps"), ["eps", "epsilon"]),
    ] {
        let mut case = good.clone();
        *case.pointer_mut(pointer).unwrap() = value;
        let outcome = run_case(&case);
        let problem = outcome.problem.clone().unwrap_or_default();
        assert!(!outcome.is_ok() && words.iter().all(|word| problem.contains(word)), "{pointer}: {problem}");
    }
    let empty = run_file(&json!({"version": 1, "cases": []})).unwrap_err().to_string();
    assert!(empty.contains("empty"), "{empty}");
}

#[test]
fn a_line_starts_with_name_error_and_verdict() {
    let file: Value = serde_json::from_str(include_str!("../data/conformance.json")).unwrap();
    let outcome = run_case(&file["cases"][0]);
    let line = outcome.to_string();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!((words[0], words[2]), (outcome.name.as_str(), "ok"), "{line}");
    assert!(words[1].parse::<f64>().unwrap() < 2e-4 && words[3].parse::<f64>().unwrap() < 1e-3, "{line}");
}
