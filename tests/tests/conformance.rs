//! The public reference cases (tests/CONFORMANCE.md).

use picardy_tests::conformance::run_file;

#[test]
fn the_public_cases_agree() {
    let file = serde_json::from_str(include_str!("../data/conformance.json")).unwrap();
    let outcomes = run_file(&file).unwrap();
    assert!(outcomes.len() > 100);
    let failed: Vec<_> =
        outcomes.iter().filter(|outcome| !outcome.is_ok()).map(ToString::to_string).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}
