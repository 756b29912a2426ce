//! The pipeline under 2,000 requests; `cargo run --release -p picardy-tests --bin pipeline_soak` gives it 100,000.

use picardy_ort::pipeline::{Pipeline, Settings};
use picardy_tests::soak::{exact_rows, plans, settle, soak};

#[test]
fn none_is_lost_and_none_answered_twice() {
    let plans = plans().unwrap();
    let settings = Settings { waiting: 32, active: 16, ..Settings::default() };
    let pipeline = Pipeline::new(vec![exact_rows(), exact_rows()], settings).unwrap();
    let tally = soak(&pipeline, &plans, 2000, 8, |_| {}).unwrap();
    settle(&pipeline, &tally, 2000).unwrap();
    assert!(tally.done > 1000 && tally.cancelled > 100 && tally.dropped > 50, "{tally:?}");
    assert!(tally.late + tally.expired > 20, "{tally:?}");
}
