//! 24 hours of requests in miniature: 100,000 from 8 threads, with cancellations, dropped handles and deadlines.
//!
//! `cargo run --release -p picardy-tests --bin pipeline_soak [requests]`

use picardy_ort::pipeline::{Pipeline, Settings};
use picardy_tests::soak::{exact_rows, plans, resident, settle, soak};
use std::sync::Mutex;
use std::time::Instant;

fn main() -> anyhow::Result<()> {
    let requests = std::env::args().nth(1).map_or(Ok(100_000), |given| given.parse())?;
    let plans = plans()?;
    let settings = Settings { waiting: 64, ..Settings::default() };
    let pipeline = Pipeline::new(vec![exact_rows(), exact_rows()], settings)?;
    let memory = Mutex::new(Vec::new());
    let started = Instant::now();
    let tally = soak(&pipeline, &plans, requests, 8, |given| {
        if given % (requests / 10).max(1) == 0 {
            let megabytes = resident().map_or(f64::NAN, |bytes| bytes as f64 / 1e6);
            println!("{given} given, {megabytes:.2} MB, {:.1} s", started.elapsed().as_secs_f64());
            memory.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(megabytes);
        }
    })?;
    settle(&pipeline, &tally, requests)?;
    let seconds = started.elapsed().as_secs_f64();
    println!("{tally:?}");
    let metrics = pipeline.metrics();
    println!(
        "{:.0} requests/s, {:.1} rows a call\n{metrics:?}",
        requests as f64 / seconds,
        metrics.mean_rows()
    );
    let memory = memory.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    // The first tenth fills the allocator's pools.
    if let (Some(early), Some(late)) = (memory.get(1), memory.last()) {
        println!("memory {early:.2} MB after a tenth, {late:.2} MB at nine tenths");
        anyhow::ensure!(late - early < 2.0, "memory grew by {:.2} MB", late - early);
    }
    println!("none lost, none answered twice");
    Ok(())
}
