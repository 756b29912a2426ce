//! A long day of a pipeline in miniature: many threads, random plans, cancellations, deadlines.

use picardy::{AnySampler, AnySolver, Betas, Mixture, Picard, Prediction};
use picardy_ort::pipeline::{
    self, BoxError, Handle, Late, Pipeline, Request, RequestError, RequestRow, RowDenoiser, SharedPlan,
};
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// What the clients counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Samples that came whole.
    pub done: u64,
    /// Samples that came at the deadline.
    pub late: u64,
    /// Requests cancelled, as the answer said.
    pub cancelled: u64,
    /// Requests past their deadline.
    pub expired: u64,
    /// Handles dropped before the answer was looked at.
    pub dropped: u64,
    /// Whole samples that were compared with the same request's alone.
    pub compared: u64,
}

impl Tally {
    /// All requests that the clients gave.
    pub fn total(&self) -> u64 {
        self.done + self.late + self.cancelled + self.expired + self.dropped
    }

    fn add(&mut self, other: &Self) {
        self.done += other.done;
        self.late += other.late;
        self.cancelled += other.cancelled;
        self.expired += other.expired;
        self.dropped += other.dropped;
        self.compared += other.compared;
    }
}

/// Three points in the plane, exactly: a denoiser of rows.
pub fn exact_rows() -> Box<dyn RowDenoiser> {
    Box::new(pipeline::from_fn(2, |rows: &[RequestRow], x: &[f32], out: &mut [f32]| {
        const MEANS: [f64; 6] = [-1.0, 0.5, 1.0, 1.0, 0.0, -1.0];
        let mixture = Mixture::new(&MEANS, &[0.3, 0.5, 0.2], 0.1, 2)?;
        for ((row, x), out) in rows.iter().zip(x.chunks(2)).zip(out.chunks_mut(2)) {
            mixture.denoise(x, &row.row.level, out);
        }
        Ok::<(), BoxError>(())
    }))
}

/// Plans of several solvers and lengths, for sample-prediction.
///
/// # Errors
/// None that is known.
pub fn plans() -> anyhow::Result<Vec<SharedPlan>> {
    let betas = Betas::linear(1000, 1e-4, 2e-2);
    let mut plans = Vec::new();
    for (solver, steps) in [("ddim", 10), ("ddpm", 25), ("dpmsolver++", 8), ("heun", 6), ("ddim", 50)] {
        let solver: AnySolver = solver.parse()?;
        plans.push(SharedPlan::trailing(&solver, &betas, steps, Prediction::Sample)?);
    }
    Ok(plans)
}

/// A pseudo-random number below `limit`, from a key.
fn draw(key: u64, which: u64, limit: u64) -> u64 {
    let [a, b, ..] = picardy::noise::philox([key as u32, (key >> 32) as u32, which as u32, 0], [17, 4]);
    (u64::from(a) << 32 | u64::from(b)) % limit.max(1)
}

/// Request `i` of the day: one of 60 different ones, so that each has a known answer.
fn request(plans: &[SharedPlan], i: u64) -> (usize, Request) {
    let kind = draw(i, 0, 60) as usize;
    let plan = &plans[kind % plans.len()];
    let mut request = Request::new(plan, 1 + kind % 3).seed(kind as u64);
    if kind.is_multiple_of(4) {
        request = request.sampler(AnySampler::Picard(Picard { window: 12, ..Picard::default() }));
    }
    (kind, request)
}

/// Gives `requests` requests from `threads` threads, each with some open at a time; some are cancelled, some dropped, some
/// have deadlines too short. `watch` is told now and then how many were given.
///
/// # Errors
/// A request that was lost or failed, or a sample that is not the one it would be alone.
pub fn soak(
    pipeline: &Pipeline,
    plans: &[SharedPlan],
    requests: usize,
    threads: usize,
    watch: impl Fn(usize) + Sync,
) -> anyhow::Result<Tally> {
    let alone = Pipeline::new(vec![exact_rows()], pipeline::Settings { active: 1, ..Default::default() })?;
    let mut known: Vec<Option<Vec<f32>>> = vec![None; 60];
    for i in 0..10_000 {
        let (kind, request) = request(plans, i);
        if known[kind].is_none() {
            known[kind] = Some(alone.submit(request)?.wait()?.x);
        }
    }
    let (given, tally) = (AtomicUsize::new(0), Mutex::new(Tally::default()));
    let client = || -> anyhow::Result<()> {
        let mut own = Tally::default();
        let mut open: VecDeque<(usize, Handle)> = VecDeque::new();
        let mut end = |(kind, handle): (usize, Handle)| -> anyhow::Result<()> {
            // A lost answer would be waited for to the end of days.
            let Ok(answer) = handle.wait_for(Duration::from_secs(60)) else {
                anyhow::bail!("a request of kind {kind} has no answer after a minute");
            };
            match answer {
                Ok(sample) if sample.late => own.late += 1,
                Ok(sample) => {
                    own.done += 1;
                    own.compared += 1;
                    anyhow::ensure!(
                        known[kind].as_ref() == Some(&sample.x),
                        "kind {kind} gave another sample"
                    );
                }
                Err(RequestError::Cancelled) => own.cancelled += 1,
                Err(RequestError::Expired { .. }) => own.expired += 1,
                Err(error) => anyhow::bail!("kind {kind}: {error}"),
            }
            Ok(())
        };
        let mut dropped = 0;
        loop {
            let i = given.fetch_add(1, Ordering::Relaxed);
            if i >= requests {
                break;
            }
            watch(i);
            let (kind, mut request) = request(plans, i as u64);
            let fate = draw(i as u64, 1, 100);
            match fate {
                0..5 => request = request.within(Duration::from_micros(draw(i as u64, 2, 3000))),
                5..10 => {
                    let time = Duration::from_micros(draw(i as u64, 2, 3000));
                    request = request.within(time).late(Late::Best);
                }
                _ => {}
            }
            let handle = pipeline.submit(request)?;
            match fate {
                // At once, or after others were given.
                10..15 => {
                    drop(handle);
                    dropped += 1;
                }
                15..25 => {
                    handle.cancel();
                    open.push_back((kind, handle));
                }
                _ => open.push_back((kind, handle)),
            }
            if draw(i as u64, 3, 10) == 0 && !open.is_empty() {
                let place = draw(i as u64, 4, open.len() as u64) as usize;
                open[place].1.cancel();
            }
            if open.len() >= 16 {
                open.pop_front().map_or(Ok(()), &mut end)?;
            }
        }
        open.into_iter().try_for_each(&mut end)?;
        own.dropped = dropped;
        tally.lock().unwrap_or_else(std::sync::PoisonError::into_inner).add(&own);
        Ok(())
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..threads).map(|_| scope.spawn(client)).collect();
        clients.into_iter().try_for_each(|client| match client.join() {
            Ok(ended) => ended,
            Err(_) => anyhow::bail!("a client panicked"),
        })
    })?;
    let tally = *tally.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok(tally)
}

/// Compares the clients' account with the pipeline's, at rest.
///
/// # Errors
/// A number that disagrees.
pub fn settle(pipeline: &Pipeline, tally: &Tally, requests: usize) -> anyhow::Result<()> {
    pipeline.shutdown();
    let metrics = pipeline.metrics();
    anyhow::ensure!(tally.total() == requests as u64, "clients counted {} of {requests}", tally.total());
    anyhow::ensure!(metrics.submitted == requests as u64, "{} of {requests} were taken", metrics.submitted);
    anyhow::ensure!(
        metrics.answered() == requests as u64,
        "{} answers to {requests} requests",
        metrics.answered()
    );
    anyhow::ensure!(metrics.waiting + metrics.running + metrics.failed + metrics.aborted == 0, "{metrics:?}");
    // What was dropped may have been done before, or run out of time.
    let told = [
        (tally.done, metrics.done),
        (tally.late, metrics.late),
        (tally.expired, metrics.expired),
        (tally.cancelled, metrics.cancelled),
    ];
    let more: u64 = told.iter().map(|(clients, own)| own.saturating_sub(*clients)).sum();
    anyhow::ensure!(told.iter().all(|(clients, own)| clients <= own) && more == tally.dropped, "{told:?}");
    Ok(())
}

/// The memory that the process holds, in bytes; `None` where the system does not say.
pub fn resident() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    statm.split_whitespace().nth(1)?.parse::<u64>().ok()?.checked_mul(4096)
}
