//! Every way in which a request of the pipeline ends, and who waits for it.

#[path = "common/pipeline.rs"]
#[allow(dead_code)]
mod common;

use std::{
    future::Future,
    panic,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::{Duration, Instant},
};

use common::{Gate, alone, exact, one, plan, request};
use picardy::{AnySampler, Ddim, Picard};
use picardy_ort::pipeline::{
    Handle, Late, Pipeline, Request, RequestError, RequestRow, Settings, SubmitError,
};

#[test]
fn a_full_queue_says_so_and_gives_the_request_back() {
    let gate = Arc::new(Gate::default());
    let settings = Settings { waiting: 2, active: 1, ..Settings::default() };
    let pipeline = Pipeline::new(gate.denoiser(), settings).unwrap();
    let first = pipeline.submit(request(0)).unwrap();
    gate.wait_for_a_call();
    let others = [pipeline.try_submit(request(1)).unwrap(), pipeline.try_submit(request(2)).unwrap()];
    let refused = pipeline.try_submit(request(3)).unwrap_err();
    assert!(refused.to_string().contains("2 requests wait already"), "{refused}");
    let back = refused.into_request();
    assert_eq!(back.seed, 3);
    let busy = pipeline.submit_within(back, Duration::from_millis(5)).unwrap_err();
    assert!(matches!(&busy, SubmitError::Busy { waiting: 2, .. }));
    let metrics = pipeline.metrics();
    assert_eq!((metrics.submitted, metrics.refused, metrics.waiting, metrics.running), (3, 2, 2, 1));
    // A waiting request that is cancelled makes room at once.
    let [second, third] = others;
    second.cancel();
    assert!(matches!(second.wait(), Err(RequestError::Cancelled)));
    let fourth = pipeline.try_submit(busy.into_request()).unwrap();
    // A submitter that waits gets in when there is room.
    thread::scope(|scope| {
        let waits = scope.spawn(|| pipeline.submit(request(4)).unwrap().wait().unwrap());
        thread::sleep(Duration::from_millis(20));
        assert!(!waits.is_finished());
        gate.open();
        assert_eq!(waits.join().unwrap().x.len(), 4);
    });
    for handle in [first, third, fourth] {
        handle.wait().unwrap();
    }
}

#[test]
fn a_cancelled_request_is_answered_at_once() {
    let gate = Arc::new(Gate::default());
    let pipeline = Pipeline::new(gate.denoiser(), Settings::default()).unwrap();
    let (kept, cancelled) = (pipeline.submit(request(0)).unwrap(), pipeline.submit(request(1)).unwrap());
    let dropped = pipeline.submit(request(2)).unwrap();
    gate.wait_for_a_call();
    drop(dropped);
    cancelled.cancel();
    cancelled.cancel();
    assert!(cancelled.is_answered());
    assert!(matches!(cancelled.wait(), Err(RequestError::Cancelled)));
    let kept = kept.wait_for(Duration::from_millis(1)).unwrap_err();
    assert!(!kept.is_answered());
    gate.open();
    kept.wait().unwrap();
    let metrics = pipeline.metrics();
    assert_eq!((metrics.done, metrics.cancelled, metrics.answered()), (1, 2, 3));
}

#[test]
fn deadlines_are_kept() {
    let slow = |rows: &[RequestRow], x: &[f32], out: &mut [f32]| {
        thread::sleep(Duration::from_millis(10));
        exact(rows, x, out)
    };
    let pipeline = Pipeline::new(one(slow), Settings::default()).unwrap();
    let long = plan(&Ddim::default(), 500);
    let (fails, best) = (Duration::from_millis(60), Duration::from_millis(200));
    let fails = pipeline.submit(Request::new(&long, 2).within(fails)).unwrap();
    let best = pipeline.submit(Request::new(&long, 2).within(best).late(Late::Best)).unwrap();
    let past = Request::new(&long, 2).within(Duration::ZERO).late(Late::Best);
    let past = pipeline.submit(past).unwrap().wait();
    assert!(matches!(past, Err(RequestError::Expired { rounds: 0 })), "{past:?}");
    match fails.wait() {
        Err(RequestError::Expired { rounds }) => assert!((1..=6).contains(&rounds), "{rounds}"),
        other => panic!("{other:?}"),
    }
    let best = best.wait().unwrap();
    assert!(best.late && !best.report.finished && best.report.rounds < 25, "{best:?}");
    assert!(best.took >= Duration::from_millis(200) && best.took < Duration::from_secs(2), "{best:?}");
    // The estimate of the data, and not the noisy state: it lies within the means' hull.
    assert!(best.x.iter().all(|x| x.abs() < 1.05), "{best:?}");
    let metrics = pipeline.metrics();
    assert_eq!((metrics.late, metrics.expired), (1, 2));
}

#[test]
fn what_waits_past_its_deadline_is_answered_before_its_turn() {
    let slow = |rows: &[RequestRow], x: &[f32], out: &mut [f32]| {
        thread::sleep(Duration::from_millis(5));
        exact(rows, x, out)
    };
    let pipeline = Pipeline::new(one(slow), Settings { active: 1, ..Settings::default() }).unwrap();
    let running = pipeline.submit(Request::new(&plan(&Ddim::default(), 300), 1)).unwrap();
    let waits = pipeline.submit(request(1).within(Duration::from_millis(30))).unwrap();
    let started = Instant::now();
    assert!(matches!(waits.wait(), Err(RequestError::Expired { rounds: 0 })));
    assert!(started.elapsed() < Duration::from_millis(700) && !running.is_answered());
}

#[test]
fn shutdown_finishes_and_abort_answers() {
    let pipeline = Pipeline::new(one(exact), Settings { active: 3, ..Settings::default() }).unwrap();
    let handles: Vec<Handle> = (0..40).map(|seed| pipeline.submit(request(seed)).unwrap()).collect();
    pipeline.shutdown();
    pipeline.shutdown();
    assert!(handles.iter().all(Handle::is_answered));
    assert!(handles.into_iter().all(|handle| handle.wait().is_ok()));
    let closed = pipeline.submit(request(9)).unwrap_err();
    assert!(matches!(&closed, SubmitError::Closed { request } if request.seed == 9), "{closed}");

    let gate = Arc::new(Gate::default());
    let settings = Settings { active: 1, waiting: 2, ..Settings::default() };
    let pipeline = Pipeline::new(gate.denoiser(), settings).unwrap();
    let running = pipeline.submit(request(0)).unwrap();
    gate.wait_for_a_call();
    let waiting = [pipeline.submit(request(1)).unwrap(), pipeline.submit(request(2)).unwrap()];
    thread::scope(|scope| {
        let blocked = scope.spawn(|| pipeline.submit(request(3)));
        let finishes = scope.spawn(|| pipeline.shutdown());
        thread::sleep(Duration::from_millis(20));
        let aborts = scope.spawn(|| pipeline.abort());
        for handle in waiting {
            assert!(matches!(handle.wait(), Err(RequestError::Aborted)));
        }
        assert!(matches!(blocked.join().unwrap(), Err(SubmitError::Closed { .. })));
        assert!(!aborts.is_finished() && !finishes.is_finished(), "the call is under way");
        gate.open();
    });
    assert!(matches!(running.wait(), Err(RequestError::Aborted)));

    let gate = Arc::new(Gate::default());
    let pipeline = Pipeline::new(gate.denoiser(), Settings::default()).unwrap();
    let handle = pipeline.submit(request(0)).unwrap();
    gate.wait_for_a_call();
    gate.open();
    drop(pipeline);
    assert!(handle.is_answered());
}

#[test]
fn a_handle_is_a_future() {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let gate = Arc::new(Gate::default());
    let pipeline = Pipeline::new(gate.denoiser(), Settings::default()).unwrap();
    let mut handle = std::pin::pin!(pipeline.submit(request(5)).unwrap());
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    assert!(handle.as_mut().poll(&mut context).is_pending());
    gate.open();
    let sample = loop {
        match handle.as_mut().poll(&mut context) {
            Poll::Ready(answer) => break answer.unwrap(),
            Poll::Pending => thread::park(),
        }
    };
    assert_eq!(sample.x, alone(&Ddim::default().into(), 10, &request(5), None));
    assert_eq!((handle.progress().done, handle.progress().last), (10, 10));
}

/// All ways at once, with a denoiser that fails and panics now and then: every handle has its answer, and all are counted.
#[test]
fn every_request_has_one_answer() {
    // These panics are expected: they are not shown.
    let shown = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref::<&str>() != Some(&"now and then") {
            shown(info);
        }
    }));
    for lanes in [1, 2] {
        let mut calls = 0;
        let ill = one(move |rows, x, out| {
            calls += 1;
            if calls % 17 == 0 {
                return Err("now and then".into());
            }
            if calls % 29 == 0 {
                panic::panic_any("now and then");
            }
            exact(rows, x, out)
        });
        let denoisers = ill.into_iter().chain(one(exact)).collect();
        let settings = Settings { waiting: 3, active: 4, rows: 3, multiple: 2, lanes, ..Settings::default() };
        let pipeline = Pipeline::new(denoisers, settings).unwrap();
        let answers = AtomicUsize::new(0);
        thread::scope(|scope| {
            for client in 0..4u64 {
                let (pipeline, answers) = (&pipeline, &answers);
                scope.spawn(move || {
                    for i in 0..200 {
                        let dice = (client * 7919 + i).wrapping_mul(6_364_136_223_846_793_005) >> 33;
                        let plan = plan(&Ddim::default(), 1 + (dice % 9) as usize);
                        let mut request = Request::new(&plan, 1 + (dice % 3) as usize).seed(dice);
                        if dice % 5 == 0 {
                            request = request.within(Duration::from_micros(dice % 3000)).late(Late::Best);
                        }
                        if dice % 2 == 0 {
                            let picard = Picard { window: 3, ..Picard::default() };
                            request = request.sampler(AnySampler::Picard(picard));
                        }
                        let handle = pipeline.submit(request).unwrap();
                        match dice % 11 {
                            0 => drop(handle),
                            1 => handle.cancel(),
                            _ => drop(handle.wait()),
                        }
                        answers.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        pipeline.shutdown();
        let metrics = pipeline.metrics();
        assert_eq!((metrics.submitted, metrics.answered()), (800, 800), "{metrics:?}");
        assert_eq!((metrics.waiting, metrics.running, answers.into_inner()), (0, 0, 800), "{metrics:?}");
        let classes = [metrics.done, metrics.cancelled, metrics.failed, metrics.failed_calls];
        assert!(classes.iter().all(|&count| count > 0), "{metrics:?}");
    }
}
