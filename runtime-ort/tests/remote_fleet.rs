//! The remote denoiser over several servers: who is asked, and what becomes of those that fail, hang or are slow.

#[path = "common/remote.rs"]
#[allow(dead_code)]
mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use common::server::{Reply, Server, json, toy};
use common::{TRITON, connect, quick, rows, run};
use picardy_ort::remote::{RemoteError, RemoteOptions};

#[test]
fn rows_are_spread_over_the_servers() {
    let servers = [(); 3].map(|()| {
        Server::start(|asked| {
            thread::sleep(Duration::from_millis(2));
            toy(asked, "FP32", &TRITON)
        })
    });
    let options = RemoteOptions { rows: 10, ..quick() };
    let denoiser = connect(&[&servers[0], &servers[1], &servers[2]], options).unwrap();
    assert_eq!(run(&denoiser, 90).unwrap(), rows(90).2);
    let counts = servers.each_ref().map(Server::count);
    assert_eq!(counts.iter().sum::<usize>(), 9);
    assert!(counts.iter().all(|&count| count > 0), "{counts:?}");
    assert_eq!(run(&denoiser, 1).unwrap(), rows(1).2);
}

#[test]
fn a_server_that_is_lost_costs_a_retry() {
    let answered = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&answered);
    // It closes the connection at its third request and at every one after.
    let dying = Server::start(move |asked| {
        if asked.path.ends_with("/infer") && count.fetch_add(1, Ordering::SeqCst) >= 2 {
            return Reply::Close;
        }
        toy(asked, "FP32", &TRITON)
    });
    let living = Server::start(|asked| toy(asked, "FP32", &TRITON));
    let denoiser = connect(&[&dying, &living], quick()).unwrap();
    for n in 2..40 {
        if n == 20 {
            dying.kill();
        }
        assert_eq!(run(&denoiser, n).unwrap(), rows(n).2);
    }
    assert!(denoiser.metrics().failed > 0 && living.count() > 30, "{:?}", denoiser.metrics());
}

#[test]
fn what_an_ill_server_does_not_answer_another_does() {
    let wrong = r#"{"outputs": [{"name": "out", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}"#;
    let ills: [fn(&str) -> Reply; 7] = [
        |_| Reply::Silence(Duration::from_secs(60)),
        |_| Reply::Endless,
        |_| Reply::Close,
        |_| Reply::Truncated(4000, vec![b'['; 100]),
        |_| Reply::Body(500, None, b"out of memory".to_vec()),
        |_| Reply::Body(404, None, Vec::new()),
        |wrong| json(wrong),
    ];
    for (i, reply) in ills.into_iter().enumerate() {
        let ill = Server::start(move |asked| {
            if asked.path.ends_with("/infer") { reply(wrong) } else { toy(asked, "FP32", &[]) }
        });
        let well = Server::start(|asked| toy(asked, "FP32", &[]));
        let options = RemoteOptions { timeout: Duration::from_millis(300), ..quick() };
        let denoiser = connect(&[&ill, &well], options).unwrap();
        assert_eq!(run(&denoiser, 12).unwrap(), rows(12).2, "{i}");
        let metrics = denoiser.metrics();
        let elsewhere = metrics.failed + metrics.hedged;
        assert!(metrics.answered == 2 && elsewhere >= 1 && ill.count() >= 1, "{i}: {metrics:?}");
    }
}

#[test]
fn a_server_that_is_busy_is_asked_again() {
    let calls = AtomicUsize::new(0);
    let server = Server::start(move |asked| {
        if asked.path.ends_with("/infer") && calls.fetch_add(1, Ordering::SeqCst) % 3 != 2 {
            return Reply::Body(503, None, b"busy".to_vec());
        }
        toy(asked, "FP32", &[])
    });
    let denoiser = connect(&[&server], quick()).unwrap();
    assert_eq!(run(&denoiser, 5).unwrap(), rows(5).2);
    assert_eq!((denoiser.metrics().answered, denoiser.metrics().failed), (1, 2));
}

#[test]
fn a_server_that_comes_later_is_used() {
    let first = Server::start(|asked| toy(asked, "FP32", &[]));
    let late = Server::start(|asked| toy(asked, "FP32", &[]));
    let address = late.address();
    late.kill();
    let denoiser = connect(&[&late, &first], quick()).unwrap();
    assert_eq!(run(&denoiser, 8).unwrap(), rows(8).2);
    assert!(denoiser.health()[0].is_err() && denoiser.health()[1].is_ok());
    thread::sleep(Duration::from_millis(50));
    let late = Server::at(&address.to_string(), |asked| toy(asked, "FP32", &[]));
    thread::sleep(Duration::from_millis(50));
    for _ in 0..10 {
        assert_eq!(run(&denoiser, 8).unwrap(), rows(8).2);
    }
    assert!(late.count() > 0);
}

#[test]
fn silence_ends_with_the_timeout_and_the_deadline() {
    let server = Server::start(|asked| {
        if asked.path.ends_with("/infer") {
            Reply::Silence(Duration::from_secs(60))
        } else {
            toy(asked, "FP32", &[])
        }
    });
    let (timeout, deadline) = (Duration::from_millis(100), Duration::from_millis(350));
    let options = RemoteOptions { timeout, attempts: 2, ..quick() };
    let started = Instant::now();
    let error = run(&connect(&[&server], options).unwrap(), 2).unwrap_err();
    assert!(error.to_string().contains("2 attempts failed; the last one: no answer from"), "{error}");
    assert!(error.to_string().contains("timeout"), "{error}");
    let options = RemoteOptions { timeout, deadline, attempts: 100, ..quick() };
    let error = run(&connect(&[&server], options).unwrap(), 2).unwrap_err();
    assert!(matches!(error, RemoteError::Deadline { .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}

/// A server that answers an inference after `time`.
fn slow(time: Duration) -> Server {
    Server::start(move |asked| {
        if asked.path.ends_with("/infer") {
            thread::sleep(time);
        }
        toy(asked, "FP32", &[])
    })
}

#[test]
fn a_server_that_hangs_does_not_hold_up_the_others() {
    // Its health is well.
    let hangs = Server::start(|asked| {
        if asked.path.ends_with("/infer") {
            Reply::Silence(Duration::from_secs(60))
        } else {
            toy(asked, "FP32", &[])
        }
    });
    let well = slow(Duration::from_millis(1));
    let options = RemoteOptions { timeout: Duration::from_secs(2), ..quick() };
    let denoiser = connect(&[&hangs, &well], options).unwrap();
    let (begun, mut longest, mut calls) = (Instant::now(), Duration::ZERO, 0);
    // Past the first timeout, and in calls of one part and of two.
    while begun.elapsed() < Duration::from_secs(3) {
        let (started, n) = (Instant::now(), 1 + calls % 3);
        assert_eq!(run(&denoiser, n).unwrap(), rows(n).2);
        longest = longest.max(started.elapsed());
        calls += 1;
    }
    // The first one is waited for an eighth of the timeout, as nothing is known yet.
    assert!(longest < Duration::from_secs(1), "{longest:?}");
    let metrics = denoiser.metrics();
    assert!(metrics.hedged >= 1 && metrics.failed <= 2 && hangs.count() <= 4, "{metrics:?}, {calls} calls");
}

#[test]
fn a_server_that_begins_to_hang_costs_a_few_times_the_usual() {
    let is_stuck = Arc::new(AtomicBool::new(false));
    let stuck = Arc::clone(&is_stuck);
    let first = Server::start(move |asked| {
        if asked.path.ends_with("/infer") && stuck.load(Ordering::SeqCst) {
            return Reply::Silence(Duration::from_secs(60));
        }
        toy(asked, "FP32", &[])
    });
    let second = Server::start(|asked| toy(asked, "FP32", &[]));
    let denoiser = connect(&[&first, &second], quick()).unwrap();
    for _ in 0..20 {
        assert_eq!(run(&denoiser, 8).unwrap(), rows(8).2);
    }
    is_stuck.store(true, Ordering::SeqCst);
    let begun = Instant::now();
    for _ in 0..20 {
        assert_eq!(run(&denoiser, 8).unwrap(), rows(8).2);
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}, the timeout is 5 s", begun.elapsed());
}

#[test]
fn the_faster_server_is_preferred() {
    let (slow, fast) = (slow(Duration::from_millis(60)), slow(Duration::from_millis(2)));
    let denoiser = connect(&[&slow, &fast], quick()).unwrap();
    for _ in 0..30 {
        assert_eq!(run(&denoiser, 1).unwrap(), rows(1).2);
    }
    assert!(slow.count() <= 3 && fast.count() >= 27, "{} and {}", slow.count(), fast.count());
}

#[test]
fn without_hedging_no_other_server_is_asked() {
    let (slow, other) = (slow(Duration::from_millis(300)), slow(Duration::from_millis(300)));
    let options = RemoteOptions { hedge: 0, timeout: Duration::from_secs(2), ..quick() };
    let denoiser = connect(&[&slow, &other], options).unwrap();
    assert_eq!(run(&denoiser, 1).unwrap(), rows(1).2);
    assert_eq!((slow.count() + other.count(), denoiser.metrics().hedged), (1, 0));
}

#[test]
fn attempts_are_those_that_were_made() {
    for (status, body) in [(404, ""), (302, ""), (200, "no JSON")] {
        let server = Server::start(move |asked| {
            if asked.path.ends_with("/infer") {
                Reply::Body(status, None, body.as_bytes().to_vec())
            } else {
                toy(asked, "FP32", &[])
            }
        });
        let error = run(&connect(&[&server], quick()).unwrap(), 2).unwrap_err();
        assert!(matches!(error, RemoteError::GaveUp { attempts: 1, .. }), "{error}");
        assert!(error.to_string().starts_with("1 attempt failed; the last one: "), "{error}");
        assert_eq!(server.count(), 1);
    }
}
