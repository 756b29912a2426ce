//! The public reference cases (tests/CONFORMANCE.md).

use picardy_tests::conformance::run_file;

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
