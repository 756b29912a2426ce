//! The pipeline's calls: what becomes of a request in the middle of a round of many calls, who shares a call, and who is harmed by
//! what a caller throws.

#[path = "common/pipeline.rs"]
#[allow(dead_code)]
mod common;

use std::{
    future::Future,
    panic,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Wake, Waker},
    thread,
    time::{Duration, Instant},
};

use common::{Gate, exact, one, plan, request};
use picardy::{AnySampler, Ddim, Guard, GuardError, Picard, Row, SliceFrames};
use picardy_ort::pipeline::{Late, Pipeline, Request, RequestError, RequestRow, Settings};

/// 64 items of 100 nodes: 1600 calls of 4 rows a round.
fn wide() -> Request {
    let picard = Picard { stride: 1, ..Picard::default() };
    Request::new(&plan(&Ddim::default(), 100), 64).sampler(AnySampler::Picard(picard))
}

/// Calls of 4 rows and 2 ms, counted.
fn slow() -> (Pipeline, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let denoiser = one(move |rows, x, out| {
        counted.fetch_add(1, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(2));
        exact(rows, x, out)
    });
    (Pipeline::new(denoiser, Settings { rows: 4, ..Settings::default() }).unwrap(), calls)
}

fn wait_for_calls(calls: &AtomicUsize, count: usize) {
    while calls.load(Ordering::SeqCst) < count {
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn an_abort_waits_for_the_call_under_way_alone() {
    let (pipeline, calls) = slow();
    let handle = pipeline.submit(wide()).unwrap();
    wait_for_calls(&calls, 10);
    let before = calls.load(Ordering::SeqCst);
    pipeline.abort();
    assert!(calls.load(Ordering::SeqCst) <= before + 2);
    assert!(matches!(handle.wait(), Err(RequestError::Aborted)));
}

#[test]
fn a_cancelled_request_has_no_rows_in_the_next_call() {
    let (pipeline, calls) = slow();
    let handle = pipeline.submit(wide()).unwrap();
    wait_for_calls(&calls, 10);
    let before = calls.load(Ordering::SeqCst);
    handle.cancel();
    pipeline.submit(Request::new(&plan(&Ddim::default(), 1), 1)).unwrap().wait().unwrap();
    // The call under way, one that may have begun meanwhile, and the other request's.
    assert!(calls.load(Ordering::SeqCst) <= before + 3);
}

#[test]
fn a_deadline_is_kept_to_one_call() {
    let (pipeline, calls) = slow();
    let begun = Instant::now();
    let handle = pipeline.submit(wide().within(Duration::from_millis(50))).unwrap();
    assert!(matches!(handle.wait(), Err(RequestError::Expired { rounds: 0 })));
    // A round has 1600 calls of 2 ms.
    let (took, calls) = (begun.elapsed(), calls.load(Ordering::SeqCst));
    assert!(calls <= 30 && took < Duration::from_secs(1), "{calls} calls, {took:?}");
}

#[test]
fn a_wide_request_shares_its_calls() {
    let (pipeline, calls) = slow();
    let wide = [pipeline.submit(wide()).unwrap(), pipeline.submit(wide()).unwrap()];
    wait_for_calls(&calls, 10);
    let before = calls.load(Ordering::SeqCst);
    let steps = 10;
    pipeline.submit(Request::new(&plan(&Ddim::default(), steps), 1)).unwrap().wait().unwrap();
    let took = calls.load(Ordering::SeqCst) - before;
    // One row in every call, from the next.
    assert!(took <= steps + 3, "{took} calls for {steps} steps");
    assert!(wide.iter().all(|wide| !wide.is_answered()));
}

/// The rows of a wide round come in several calls, with others' in between: the samples are the same.
#[test]
fn samples_do_not_depend_on_how_their_rows_were_called() {
    let wide = |seed: u64| {
        let picard = Picard { tolerance: 0.0, ..Picard::default() };
        Request::new(&plan(&Ddim::default(), 20), 5).seed(seed).sampler(AnySampler::Picard(picard))
    };
    let want: Vec<_> = (0..6)
        .map(|seed| {
            let alone = Pipeline::new(one(exact), Settings::default()).unwrap();
            alone.submit(wide(seed)).unwrap().wait().unwrap().x
        })
        .collect();
    for settings in [
        Settings { rows: 3, ..Settings::default() },
        Settings { rows: 16, multiple: 8, ..Settings::default() },
        Settings { rows: 7, multiple: 7, active: 4, ..Settings::default() },
    ] {
        // Every ninth call fails, to be made again in parts.
        let mut calls = 0;
        let denoiser = one(move |rows, x, out| {
            calls += 1;
            out.fill(7.0);
            let several = rows.iter().any(|row| row.tag != rows[0].tag);
            if calls % 9 == 0 && several { Err("busy".into()) } else { exact(rows, x, out) }
        });
        let pipeline = Pipeline::new(denoiser, settings).unwrap();
        let handles: Vec<_> = (0..6).map(|seed| pipeline.submit(wide(seed).tag(seed)).unwrap()).collect();
        for (handle, want) in handles.into_iter().zip(&want) {
            assert_eq!(&handle.wait().unwrap().x, want, "{settings:?}");
        }
        assert!(pipeline.metrics().failed_calls > 0, "{settings:?}");
    }
}

#[test]
fn the_best_so_far_is_given_where_a_common_call_fails_past_the_deadline() {
    let calls = AtomicUsize::new(0);
    let denoiser = one(move |rows: &[RequestRow], x: &[f32], out: &mut [f32]| {
        thread::sleep(Duration::from_millis(20));
        if calls.fetch_add(1, Ordering::SeqCst) >= 5 && rows.len() > 1 {
            thread::sleep(Duration::from_millis(400));
            return Err("hiccup".into());
        }
        exact(rows, x, out)
    });
    let pipeline = Pipeline::new(denoiser, Settings::default()).unwrap();
    let long = plan(&Ddim::default(), 30);
    let late = Request::new(&long, 1).within(Duration::from_millis(300)).late(Late::Best);
    let (late, other) = (pipeline.submit(late).unwrap(), pipeline.submit(Request::new(&long, 1).seed(1)));
    let late = late.wait();
    assert!(late.as_ref().is_ok_and(|sample| sample.late), "{late:?}");
    other.unwrap().wait().unwrap();
}

#[test]
fn a_request_of_too_many_items_harms_nobody() {
    let (pipeline, calls) = slow();
    let running = pipeline.submit(request(0)).unwrap();
    wait_for_calls(&calls, 2);
    assert!(pipeline.submit(Request::new(&plan(&Ddim::default(), 50), usize::MAX)).is_err());
    running.wait().unwrap();
}

/// Fails the test, not the runner, where it hangs.
fn within<T: Send + 'static>(seconds: u64, function: impl FnOnce() -> T + Send + 'static) -> T {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || send.send(function()));
    receive.recv_timeout(Duration::from_secs(seconds)).expect("it is done in time")
}

/// A guard that does nothing until it is dropped.
struct Dropped<F: FnMut() + Send + Sync>(F);

impl<'a, F: FnMut() + Send + Sync> Guard<SliceFrames<'a, f32>> for Dropped<F> {
    fn apply(&mut self, _: &Row, _: &mut SliceFrames<'a, f32>, _: usize) -> Result<(), GuardError> {
        Ok(())
    }
}

impl<F: FnMut() + Send + Sync> Drop for Dropped<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn a_pipeline_may_be_dropped_by_its_own_thread() {
    within(20, || {
        let gate = Arc::new(Gate::default());
        let pipeline = Arc::new(Pipeline::new(gate.denoiser(), Settings::default()).unwrap());
        let (held, (send, receive)) = (Mutex::new(Some(Arc::clone(&pipeline))), mpsc::channel());
        let guard = Dropped(move || {
            drop(held.lock().unwrap().take());
            send.send(thread::current().id()).unwrap();
        });
        let handle = pipeline.submit(request(0).guard(guard)).unwrap();
        gate.wait_for_a_call();
        drop(pipeline);
        gate.open();
        handle.wait().unwrap();
        assert_ne!(receive.recv().unwrap(), thread::current().id());
    });
}

struct Throws;

impl Wake for Throws {
    fn wake(self: Arc<Self>) {
        panic::panic_any("a waker's");
    }
}

#[test]
fn what_a_caller_throws_harms_no_other_request() {
    // These panics are expected: they are not shown.
    let shown = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !info.payload().downcast_ref::<&str>().is_some_and(|said| said.starts_with("a ")) {
            shown(info);
        }
    }));
    let (pipeline, _) = slow();
    let kept = pipeline.submit(Request::new(&plan(&Ddim::default(), 60), 1)).unwrap();
    let mut woken = Box::pin(pipeline.submit(request(1)).unwrap());
    let waker = Waker::from(Arc::new(Throws));
    assert!(woken.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let guarded = pipeline.submit(request(2).guard(Dropped(|| panic::panic_any("a guard's")))).unwrap();
    while guarded.progress().rounds == 0 {
        thread::sleep(Duration::from_millis(1));
    }
    // Dropped by the driver as it is not to go on.
    guarded.cancel();
    kept.wait().unwrap();
    assert!(woken.is_answered());
    pipeline.shutdown();
    assert_eq!(pipeline.metrics().running, 0);
}
