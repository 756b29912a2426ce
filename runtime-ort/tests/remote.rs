//! The remote denoiser against a server that can misbehave. `tests/remote.sh` runs it against a real one.

#[path = "common/remote.rs"]
#[allow(dead_code)]
mod common;

use std::time::{Duration, Instant};

use common::server::{Reply, Server, json, toy};
use common::{TRITON, connect, quick, rows, run};
use picardy::{Betas, Ddim, Memory, Noise, Picard, Prediction, Sampler, Solver};
use picardy_ort::pipeline::{Pipeline, Request, Settings, SharedPlan};
use picardy_ort::remote::{RemoteDenoiser, RemoteError, RemoteOptions, Transfer};

#[test]
fn numbers_travel_to_the_bit_in_every_form() {
    for time in ["FP32", "FP64", "INT64", "INT32"] {
        for extensions in [&TRITON[..], &[]] {
            let server = Server::start(move |asked| toy(asked, time, extensions));
            let denoiser = connect(&[&server], quick()).unwrap();
            assert_eq!((denoiser.dim(), denoiser.item_shape()), (2, &[2][..]));
            assert_eq!(run(&denoiser, 33).unwrap(), rows(33).2, "{time} {extensions:?}");
            assert!(run(&denoiser, 0).unwrap().is_empty());
            assert_eq!(denoiser.metrics().answered, 1);
            assert!(denoiser.health().iter().all(Result::is_ok));
        }
    }
}

/// What is said when the one server gives this answer to every inference.
fn said(reply: impl Fn() -> Reply + Send + Sync + 'static) -> String {
    let server =
        Server::start(
            move |asked| {
                if asked.path.ends_with("/infer") { reply() } else { toy(asked, "FP32", &[]) }
            },
        );
    let options = RemoteOptions { attempts: 2, timeout: Duration::from_secs(2), ..quick() };
    let error = run(&connect(&[&server], options).unwrap(), 2).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&format!("http://{}/v2/models/toy", server.address())), "{text}");
    text
}

#[test]
fn hostile_answers_are_errors_that_say_what_is_amiss() {
    let out = |text: &str| format!(r#"{{"outputs": [{{"name": "out", {text}}}]}}"#);
    let answers = [
        (
            out(r#""datatype": "FP32", "shape": [2, 3], "data": [1, 2, 3, 4, 5, 6]"#),
            "shape [2, 3], not [2, 2]",
        ),
        (out(r#""datatype": "FP32", "shape": [-2, -2], "data": [1, 2, 3, 4]"#), "shape [-2, -2]"),
        (out(r#""datatype": "FP64", "shape": [2, 2], "data": [1, 2, 3, 4]"#), "is FP64, not FP32"),
        (out(r#""datatype": "FP32", "shape": [2, 2], "data": [1, 2, 3]"#), "has 3 numbers, not 4"),
        (out(r#""datatype": "FP32", "shape": [2, 2], "data": [1, 2, 3, NaN]"#), "outputs are not finite"),
        (out(r#""datatype": "FP32", "shape": [2, 2], "data": ["1", 2, 3, 4]"#), "JSON cannot be read"),
        (out(r#""datatype": "FP32", "shape": [2, 2]"#), "has no data"),
        (
            out(r#""datatype": "FP32", "shape": [2, 2], "parameters": {"binary_data_size": 16}"#),
            "binary data end at byte 0, not 16",
        ),
        (
            out(r#""datatype": "FP32", "shape": [2, 2], "parameters": {"binary_data_size": -1}"#),
            "JSON cannot be read",
        ),
        (r#"{"outputs": []}"#.to_owned(), "no output `out`"),
        (r#"{"outputs": "none"}"#.to_owned(), "JSON cannot be read"),
        (format!("{}{}", r#"{"outputs": [{"data": "#, "[".repeat(50_000)), "JSON cannot be read"),
        ("<html>".to_owned(), "JSON cannot be read"),
        (String::new(), "JSON cannot be read"),
    ];
    for (body, want) in answers {
        let text = said(move || json(&body));
        assert!(text.contains(want), "{want}: {text}");
    }
    let binary = |header: &'static str, body: Vec<u8>| {
        said(move || Reply::Body(200, Some(header.into()), body.clone()))
    };
    assert!(binary("900", vec![b' '; 20]).contains("said to have 900 bytes, the body has 20"));
    assert!(binary("-3", vec![b' '; 20]).contains("header's length is \"-3\""));
    let head = out(r#""datatype": "FP32", "shape": [2, 2], "parameters": {"binary_data_size": 12}"#);
    let length: &'static str = Box::leak(head.len().to_string().into_boxed_str());
    assert!(binary(length, [head.as_bytes(), &[0; 16]].concat()).contains("has 12 bytes, not 16"));
    let most = usize::MAX;
    let head =
        out(&format!(r#""datatype": "FP32", "shape": [2, 2], "parameters": {{"binary_data_size": {most}}}"#));
    let length: &'static str = Box::leak(head.len().to_string().into_boxed_str());
    assert!(binary(length, head.into_bytes()).contains("binary data end at byte 0"));
    // More than there can be, said or not, is not read.
    let started = Instant::now();
    assert!(said(|| Reply::Endless).contains("it has more than"));
    assert!(said(|| Reply::Truncated(1 << 40, vec![b' '; 100])).contains("http"));
    assert!(said(|| Reply::Truncated(500, vec![b'['; 100])).contains("no answer from"));
    assert!(started.elapsed() < Duration::from_secs(10));
    // A null is a NaN of one row: the sampler's to name.
    let body = out(r#""datatype": "FP32", "shape": [2, 2], "data": [[1, null], [3, 4]]"#);
    let server =
        Server::start(
            move |asked| {
                if asked.path.ends_with("/infer") { json(&body) } else { toy(asked, "FP32", &[]) }
            },
        );
    let numbers = run(&connect(&[&server], quick()).unwrap(), 2).unwrap();
    assert!(numbers[1].is_nan() && numbers[3] == 4.0);
}

#[test]
fn refusals_carry_status_and_reason() {
    let text = said(|| Reply::Body(400, None, br#"{"error": "unexpected shape for input 'x'"}"#.to_vec()));
    assert!(text.contains("answered with status 400: unexpected shape for input 'x'"), "{text}");
    let text = said(|| Reply::Body(400, None, br#"{"error": "\u001b[31mred\u0007\n line"}"#.to_vec()));
    assert!(text.ends_with("status 400: [31mred line"), "{text:?}");
    let text = said(|| Reply::Body(500, None, vec![b'z'; 1 << 20]));
    assert!(text.contains("2 attempts failed") && text.len() < 1000, "{text}");
    assert!(said(|| Reply::Body(302, None, Vec::new())).contains("status 302: no reason given"));
    // A refusal is not asked for again there.
    let server = Server::start(|asked| {
        if asked.path.ends_with("/infer") {
            Reply::Body(422, None, Vec::new())
        } else {
            toy(asked, "FP32", &[])
        }
    });
    run(&connect(&[&server], quick()).unwrap(), 2).unwrap_err();
    assert_eq!(server.count(), 1);
}

#[test]
fn what_is_no_denoiser_is_refused_when_connecting() {
    let metadata =
        |x: &str, t: &str, out: &str| {
            let text = format!(r#"{{"name": "toy", "inputs": [{x}, {t}], "outputs": [{out}]}}"#);
            let server = Server::start(move |asked| {
                if asked.path == "/v2/models/toy" { json(&text) } else { toy(asked, "FP32", &[]) }
            });
            connect(&[&server], quick()).map(|_| ()).unwrap_err().to_string()
        };
    let port = |name: &str, datatype: &str, shape: &str| {
        format!(r#"{{"name": "{name}", "datatype": "{datatype}", "shape": {shape}}}"#)
    };
    let (x, t) = (port("x", "FP32", "[-1, 2]"), port("t", "FP32", "[-1]"));
    assert!(metadata(&port("x", "FP16", "[-1, 2]"), &t, &x).contains("`x: FP16 [-1, 2]` is not FP32"));
    assert!(
        metadata(&x, &port("t", "BYTES", "[-1]"), &x).contains("`t: BYTES [-1]` is no vector of timesteps")
    );
    assert!(metadata(&x, &t, &port("y", "FP32", "[-1, 3]")).contains("another shape than the input"));
    assert!(metadata(&port("x", "FP32", "[8, 2]"), &t, &x).contains("is fixed"));
    assert!(metadata(&port("x", "FP32", "[-1, -1]"), &t, &x).contains("is not known: give it"));
    assert!(
        metadata(&port("x", "FP32", "[-1, 4611686018427387904, 4]"), &t, &port("x", "FP32", "[-1, -1, -1]"))
            .contains("too large")
    );
    assert!(metadata(&x, &format!("{t}, {t}"), &x).contains("it has 3 inputs (x: FP32 [-1, 2]; t"));

    let empty =
        Server::start(
            |asked| if asked.path == "/v2/models/toy" { json("{}") } else { toy(asked, "FP32", &[]) },
        );
    let error = connect(&[&empty], quick()).unwrap_err().to_string();
    assert!(error.contains("it has 0 inputs") && error.contains("in the model's metadata"), "{error}");
    let loads = Server::start(|asked| match asked.path.as_str() {
        "/v2/models/toy/ready" => Reply::Body(400, None, br#"{"error": "toy is not ready"}"#.to_vec()),
        _ => toy(asked, "FP32", &[]),
    });
    let error = connect(&[&loads], quick()).unwrap_err().to_string();
    assert!(error.contains("status 400: toy is not ready"), "{error}");
    let says = Server::start(|asked| match asked.path.as_str() {
        "/v2/health/ready" => json(r#"{"ready": false}"#),
        _ => toy(asked, "FP32", &[]),
    });
    let error = connect(&[&says], quick()).unwrap_err().to_string();
    assert!(error.contains("it says that it is not ready"), "{error}");
    let (one, two) =
        (Server::start(|asked| toy(asked, "FP32", &[])), Server::start(|asked| toy(asked, "INT64", &[])));
    let error = connect(&[&one, &two], quick()).unwrap_err();
    assert!(matches!(error, RemoteError::Disagree { .. }), "{error}");
    let nobody: [&str; 0] = [];
    assert!(matches!(RemoteDenoiser::connect(&nobody, quick()), Err(RemoteError::NoEndpoint)));
    let error = connect(&[&one], RemoteOptions { attempts: 0, ..quick() }).unwrap_err();
    assert_eq!(error.to_string(), "attempts of 0: give at least 1");
}

#[test]
fn addresses_are_read_in_both_forms() {
    let server = Server::start(|asked| toy(asked, "FP32", &[]));
    let at = server.address();
    for good in [format!("http://{at}/toy/"), format!("http://{at}/v2/models/toy")] {
        RemoteDenoiser::connect(&[good], quick()).unwrap();
    }
    for bad in [
        "",
        "localhost:8000/toy",
        "https://localhost/toy",
        "ftp://localhost/toy",
        "http://localhost",
        "http://localhost/",
        "http:///toy",
        "http://localhost/a/b",
        "http://localhost/to y",
        "http://localhost/v2/models/",
        "http://localhost/toy?x=1",
    ] {
        let error = RemoteDenoiser::connect(&[bad], quick()).unwrap_err();
        assert!(matches!(&error, RemoteError::Address { .. }), "{bad}: {error}");
        assert!(error.to_string().contains("give http://host:port/model"), "{error}");
    }
    // Well formed, and nobody there.
    let error = RemoteDenoiser::connect(&["http://127.0.0.1:9/toy"], quick()).unwrap_err();
    assert!(matches!(&error, RemoteError::Unreachable { .. }), "{error}");
}

#[test]
fn what_cannot_be_asked_is_not_asked() {
    let server = Server::start(|asked| toy(asked, "INT64", &[]));
    let denoiser = connect(&[&server], quick()).unwrap();
    let mut out = [0.0; 4];
    let error = denoiser.run(&[0.0; 4], [3.0, 0.5].into_iter(), &mut out).unwrap_err();
    assert!(matches!(error, RemoteError::FractionalTime { row: 1, value: 0.5 }), "{error}");
    let error = denoiser.run(&[0.0; 3], [3.0, 1.0].into_iter(), &mut out).unwrap_err();
    assert!(matches!(error, RemoteError::Length { what: "x", got: 3, want: 4 }), "{error}");
    let error = denoiser.run(&[0.0, 1.0, f32::NAN, 0.0], [3.0, 1.0].into_iter(), &mut out).unwrap_err();
    assert!(matches!(error, RemoteError::NotFinite { index: 2, .. }), "{error}");
    assert_eq!(server.count(), 0);
    let options = RemoteOptions { transfer: Transfer::Binary, ..quick() };
    let binary = connect(&[&server], options).unwrap();
    binary.run(&[0.0, 1.0, f32::NAN, 0.0], [3.0, 1.0].into_iter(), &mut out).unwrap();
    assert!(out[2].is_nan() && out[1] == 4.0);
}

#[test]
fn samplers_and_the_pipeline_run_on_it() {
    let servers = [(); 2].map(|()| Server::start(|asked| toy(asked, "FP32", &TRITON)));
    let remote = || connect(&[&servers[0], &servers[1]], quick()).unwrap();
    let betas = Betas::linear(1000, 1e-4, 2e-2);
    let (mut levels, mut nodes) = (vec![picardy::Level::default(); 11], vec![picardy::Node::default(); 11]);
    let grid = betas.trailing(10, &mut levels).unwrap();
    let plan = Ddim::default().plan(&grid, Prediction::Sample, &mut nodes).unwrap();
    let (noise, picard) = (Noise::seeded(3), Picard { tolerance: 0.0, ..Picard::default() });
    let mut here = picardy::denoiser::from_fn(|batch: &picardy::Batch<'_>, x: &[f32], out: &mut [f32]| {
        for ((row, x), out) in batch.iter().zip(x.chunks(2)).zip(out.chunks_mut(2)) {
            out.iter_mut().zip(x).for_each(|(out, x)| *out = x * (1.0 + row.level.t as f32));
        }
        Ok::<(), std::convert::Infallible>(())
    });
    let mut local = [0.0f32; 6];
    plan.start(&noise, 2, &mut local);
    let mut memory = Memory::new();
    let mut workspace = memory.workspace(picard.need(&plan, 3), 2);
    picard.run(&plan, &mut here, &noise, &mut local, &mut workspace).unwrap();
    let mut denoiser = remote();
    let mut x = [0.0f32; 6];
    plan.start(&noise, 2, &mut x);
    let mut workspace = memory.workspace(picard.need(&plan, 3), 2);
    picard.run(&plan, &mut denoiser, &noise, &mut x, &mut workspace).unwrap();
    assert_eq!(x, local);
    let pipeline = Pipeline::new(vec![Box::new(remote())], Settings::default()).unwrap();
    let request =
        Request::new(&SharedPlan::new(&plan), 3).seed(3).sampler(picardy::AnySampler::Picard(picard));
    assert_eq!(pipeline.submit(request).unwrap().wait().unwrap().x, local);
}
