//! The pipeline: samples that do not depend on their company, and what goes wrong.

#[path = "common/pipeline.rs"]
#[allow(dead_code)]
mod common;

use std::{
    panic,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use common::{BETAS, MEANS, alone, exact, one, plan, request};
use picardy::guard::Clamp;
use picardy::{
    AnySampler, AnySolver, Ddim, Ddpm, Mixture, Parareal, Picard, Prediction, SetupError, Speculative,
};
use picardy_ort::pipeline::{
    self, Pipeline, PipelineError, Request, RequestError, RequestRow, RowDenoiser, Settings, SharedPlan,
};

fn samplers() -> [AnySampler; 5] {
    [
        AnySampler::Sequential(picardy::Sequential),
        AnySampler::Picard(Picard { window: 8, tolerance: 0.0, ..Picard::default() }),
        AnySampler::Picard(Picard { rows: 20, anderson: 2, ..Picard::default() }),
        AnySampler::Parareal(Parareal::default()),
        AnySampler::Speculative(Speculative::default()),
    ]
}

#[test]
fn a_sample_does_not_depend_on_its_company() {
    let solvers: Vec<AnySolver> = ["ddpm", "ddim", "heun", "dpmsolver++", "unipc", "lcm"]
        .iter()
        .map(|name| name.parse().unwrap())
        .collect();
    for (count, settings) in [
        (1, Settings::default()),
        (1, Settings { rows: 7, multiple: 4, ..Settings::default() }),
        (3, Settings { lanes: 2, active: 5, ..Settings::default() }),
    ] {
        let used: Vec<_> = (0..count).map(|_| Arc::new(AtomicUsize::new(0))).collect();
        let denoisers = used.iter().cloned().map(|used| {
            let denoiser = pipeline::from_fn(2, move |rows: &[RequestRow], x: &[f32], out: &mut [f32]| {
                assert!(rows.len() <= settings.rows.next_multiple_of(settings.multiple), "{}", rows.len());
                assert_eq!(rows.len() % settings.multiple, 0);
                used.fetch_add(1, Ordering::Relaxed);
                thread::sleep(Duration::from_micros(50));
                exact(rows, x, out)
            });
            Box::new(denoiser) as Box<dyn RowDenoiser>
        });
        let pipeline = Pipeline::new(denoisers.collect(), settings).unwrap();
        let mut cases = Vec::new();
        let mut rounds = 0;
        for i in 0..90usize {
            let (sampler, steps) = (samplers()[i % 5], 5 + i % 13);
            // Drafts need noise, blocks one-step solvers.
            let solver = match i % 5 {
                4 => solvers[0],
                3 => solvers[i / 5 % 2],
                _ => solvers[i / 5 % solvers.len()],
            };
            let mut request = Request::new(&plan(&solver, steps), 1 + i % 4).seed(i as u64).sampler(sampler);
            request.first_item = i as u64 % 3;
            let clamp = (i % 7 == 0).then(|| Clamp::new(-0.4, 0.4).unwrap());
            let want = alone(&solver, steps, &request, clamp);
            if let Some(clamp) = clamp {
                request = request.guard(clamp);
            }
            cases.push((i, solver, sampler, want, pipeline.submit(request).unwrap()));
        }
        for (i, solver, sampler, want, handle) in cases {
            let sample = handle.wait().unwrap_or_else(|error| panic!("{i} {solver} {sampler:?}: {error}"));
            assert_eq!(sample.x, want, "{i} {solver} {sampler:?}");
            assert!(sample.report.finished && !sample.late);
            rounds += sample.report.rounds as u64;
        }
        let metrics = pipeline.metrics();
        assert_eq!((metrics.submitted, metrics.done, metrics.failed_calls), (90, 90, 0), "{metrics:?}");
        // Without a limit below what one round asks, calls are shared.
        assert!(settings.rows < 20 || metrics.calls < rounds, "{} calls for {rounds} rounds", metrics.calls);
        assert_eq!(metrics.calls_by_rows.iter().sum::<u64>(), metrics.calls);
        assert!(used.iter().all(|used| used.load(Ordering::Relaxed) > 0), "{used:?}");
    }
}

#[test]
fn guidance_shows_rows_without_and_with_their_condition() {
    // A class is one of the means; without it, any.
    let classes = |rows: &[RequestRow], x: &[f32], out: &mut [f32]| {
        for ((row, x), out) in rows.iter().zip(x.chunks(2)).zip(out.chunks_mut(2)) {
            let class = 2 * row.tag as usize;
            let means = if row.row.conditional { &MEANS[class..class + 2] } else { &MEANS[..] };
            let weights = vec![1.0; means.len() / 2];
            Mixture::new(means, &weights, 0.1, 2)?.denoise(x, &row.row.level, out);
        }
        Ok(())
    };
    let pipeline = Pipeline::new(one(classes), Settings { rows: 9, ..Settings::default() }).unwrap();
    let ask = |class: u64, request: Request| (class, pipeline.submit(request.tag(class)).unwrap());
    let plan = plan(&Ddim::default(), 12);
    let base = || Request::new(&plan, 3).seed(1);
    let near = |class: usize, x: &[f32]| {
        x.chunks(2).all(|x| (0..2).all(|i| (f64::from(x[i]) - MEANS[2 * class + i]).abs() < 0.5))
    };
    let handles: Vec<_> = (0..3).map(|class| ask(class, base().guided(1.5))).collect();
    let plain = ask(0, base().guided(0.0)).1.wait().unwrap().x;
    for (class, handle) in handles {
        let sample = handle.wait().unwrap();
        assert!(near(class as usize, &sample.x), "{class}: {:?}", sample.x);
        // Under a parallel sampler and a guard, and in other company: the same.
        let picard = AnySampler::Picard(Picard { tolerance: 0.0, ..Picard::default() });
        let other = base().guided(1.5).sampler(picard).guard(Clamp::new(-9.0, 9.0).unwrap());
        assert_eq!(ask(class, other).1.wait().unwrap().x, sample.x);
    }
    // Weight 0 does not look at the class.
    assert_eq!(ask(2, base().guided(0.0)).1.wait().unwrap().x, plain);
    let error = ask(0, base().guided(f64::NAN)).1.wait().unwrap_err();
    assert!(
        matches!(&error, RequestError::Guidance(_)) && error.to_string().contains("guidance weight NaN"),
        "{error}"
    );
}

#[test]
fn a_failure_is_answered_to_those_whose_rows_it_is_of() {
    // This panic is expected: it is not shown.
    let shown = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref::<&str>() != Some(&"seventeen") {
            shown(info);
        }
    }));
    let picky = |rows: &[RequestRow], x: &[f32], out: &mut [f32]| {
        let late = |row: &RequestRow| row.row.node >= 3;
        if rows.iter().any(|row| row.tag == 13 && late(row)) {
            return Err("thirteen is refused".into());
        }
        assert!(!rows.iter().any(|row| row.tag == 17 && late(row)), "seventeen");
        exact(rows, x, out)?;
        for (row, out) in rows.iter().zip(out.chunks_mut(2)) {
            if row.tag == 19 && late(row) {
                out[1] = f32::NAN;
            }
        }
        Ok(())
    };
    let pipeline = Pipeline::new(one(picky), Settings::default()).unwrap();
    for _ in 0..3 {
        let handles: Vec<_> =
            (0..24).map(|tag| (tag, pipeline.submit(request(tag).tag(tag)).unwrap())).collect();
        for (tag, handle) in handles {
            let answer = handle.wait();
            match tag {
                13 => {
                    let error = answer.unwrap_err();
                    assert!(matches!(error, RequestError::Denoiser(_)));
                    assert_eq!(error.to_string(), "the denoiser failed: thirteen is refused");
                }
                17 => assert_eq!(answer.unwrap_err().to_string(), "a panic: seventeen"),
                19 => {
                    assert!(matches!(answer, Err(RequestError::NotFinite { item: 0, node: 3 })), "{answer:?}")
                }
                _ => assert_eq!(answer.unwrap().x, alone(&Ddim::default().into(), 10, &request(tag), None)),
            }
        }
    }
    let metrics = pipeline.metrics();
    assert_eq!((metrics.done, metrics.failed), (63, 9));
    assert!(metrics.failed_calls > 0);
}

#[test]
fn bad_requests_and_settings_are_errors() {
    let pipeline =
        Pipeline::new(one(exact), Settings { request_numbers: 10_000, ..Settings::default() }).unwrap();
    let say = |request: Request| pipeline.submit(request).unwrap().wait().unwrap_err();
    let plan = plan(&Ddim::default(), 10);
    assert!(matches!(say(Request::new(&plan, 0)), RequestError::Setup(SetupError::Shape { .. })));
    let error = say(Request::new(&plan, 4_000));
    assert!(matches!(error, RequestError::Memory { most: 10_000, .. }), "{error}");
    for items in [5_001, usize::MAX / 2, usize::MAX] {
        let error = pipeline.submit(Request::new(&plan, items)).unwrap_err();
        let want = format!("{items} items of 2 numbers are more than the 10000 numbers");
        assert!(error.to_string().starts_with(&want), "{error}");
        assert_eq!(error.into_request().items, items);
    }
    let start = |start: Vec<f32>| Request { start: Some(start), ..Request::new(&plan, 1) };
    assert!(say(start(vec![0.0; 3])).to_string().contains("3 numbers"));
    assert!(say(start(vec![0.0, f32::NAN])).to_string().contains("the start of item 0 is not finite"));
    let picard = AnySampler::Picard(Picard { tolerance: f64::NAN, ..Picard::default() });
    assert!(say(Request::new(&plan, 1).sampler(picard)).to_string().contains("tolerance NaN"));
    let drafts = AnySampler::Speculative(Speculative::default());
    assert!(matches!(
        say(Request::new(&plan, 1).sampler(drafts)),
        RequestError::Setup(SetupError::Noiseless)
    ));
    assert!(SharedPlan::trailing(&Ddpm::default(), &BETAS, 1001, Prediction::Sample).is_err());
    assert!(SharedPlan::trailing(&Ddpm::default(), &BETAS, 0, Prediction::Sample).is_err());
    // And the pipeline goes on.
    let started = pipeline.submit(start(vec![0.5, -0.5])).unwrap().wait().unwrap();
    assert_eq!(started.x.len(), 2);

    assert!(matches!(Pipeline::new(Vec::new(), Settings::default()), Err(PipelineError::NoDenoiser)));
    let other = || Box::new(pipeline::from_fn(3, exact)) as Box<dyn RowDenoiser>;
    let two = one(exact).into_iter().chain([other()]).collect();
    let error = Pipeline::new(two, Settings::default()).unwrap_err();
    assert!(error.to_string().contains("denoiser 1 takes rows of 3 numbers, the first one of 2"), "{error}");
    let error = Pipeline::new(one(exact), Settings { rows: 0, ..Settings::default() }).unwrap_err();
    assert_eq!(error.to_string(), "rows of 0: give at least 1");
}
