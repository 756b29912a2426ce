//! The pipeline: samples that do not depend on their company, and every way in which a request ends.

use std::{
    future::Future,
    panic,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::{Duration, Instant},
};

use picardy::guard::{Clamp, Guarded};
use picardy::{
    AnySampler, AnySolver, Betas, Ddim, Ddpm, Memory, Mixture, Node, Noise, Parareal, Picard, Plan,
    Prediction, Sampler, SetupError, Solver, Speculative,
};
use picardy_ort::pipeline::{
    self, BoxError, Handle, Late, Pipeline, PipelineError, Request, RequestError, RequestRow, RowDenoiser,
    Settings, SharedPlan, SubmitError,
};

const BETAS: Betas = Betas::linear(1000, 1e-4, 2e-2);
const MEANS: [f64; 6] = [-1.0, 0.5, 1.0, 1.0, 0.0, -1.0];

fn mixture() -> Mixture<'static> {
    Mixture::new(&MEANS, &[0.3, 0.5, 0.2], 0.1, 2).unwrap()
}

/// The exact denoiser, of the data.
fn exact(rows: &[RequestRow], x: &[f32], out: &mut [f32]) -> Result<(), BoxError> {
    for ((row, x), out) in rows.iter().zip(x.chunks(2)).zip(out.chunks_mut(2)) {
        mixture().denoise(x, &row.row.level, out);
    }
    Ok(())
}

fn one(
    function: impl FnMut(&[RequestRow], &[f32], &mut [f32]) -> Result<(), BoxError> + Send + 'static,
) -> Vec<Box<dyn RowDenoiser>> {
    vec![Box::new(pipeline::from_fn(2, function))]
}

fn plan(solver: &impl Solver, steps: usize) -> SharedPlan {
    SharedPlan::trailing(solver, &BETAS, steps, Prediction::Sample).unwrap()
}

/// The same request by core alone.
fn alone(solver: &AnySolver, steps: usize, request: &Request, clamp: Option<Clamp>) -> Vec<f32> {
    let mut levels = vec![picardy::Level::default(); steps + 1];
    let grid = BETAS.trailing(steps, &mut levels).unwrap();
    let mut nodes = vec![Node::default(); solver.nodes(steps)];
    let plan: Plan<'_> = solver.plan(&grid, Prediction::Sample, &mut nodes).unwrap();
    let noise = Noise::seeded(request.seed).from_item(request.first_item);
    let mut x = vec![0.0f32; request.items * 2];
    plan.start(&noise, 2, &mut x);
    let mut memory = Memory::new();
    let mut workspace = memory.workspace(request.sampler.need(&plan, request.items), 2);
    let denoiser = mixture().predicting(Prediction::Sample);
    match clamp {
        None => {
            let mut denoiser = denoiser;
            request.sampler.run(&plan, &mut denoiser, &noise, &mut x, &mut workspace).unwrap();
        }
        Some(clamp) => {
            let mut guarded = Guarded::new(denoiser, clamp);
            request.sampler.run(&plan, &mut guarded, &noise, &mut x, &mut workspace).unwrap();
        }
    }
    x
}

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

/// A denoiser that stands still until it is let go.
#[derive(Default)]
struct Gate {
    state: Mutex<(bool, usize)>,
    changed: Condvar,
}

impl Gate {
    fn open(&self) {
        self.state.lock().unwrap().0 = true;
        self.changed.notify_all();
    }

    /// Waits until a call stands at the gate.
    fn wait_for_a_call(&self) {
        let mut state = self.state.lock().unwrap();
        while state.1 == 0 {
            state = self.changed.wait(state).unwrap();
        }
    }

    fn denoiser(self: &Arc<Self>) -> Vec<Box<dyn RowDenoiser>> {
        let gate = Arc::clone(self);
        one(move |rows, x, out| {
            let mut state = gate.state.lock().unwrap();
            state.1 += 1;
            gate.changed.notify_all();
            while !state.0 {
                state = gate.changed.wait(state).unwrap();
            }
            exact(rows, x, out)
        })
    }
}

fn request(seed: u64) -> Request {
    Request::new(&plan(&Ddim::default(), 10), 2).seed(seed)
}

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
    for items in [100_000, usize::MAX] {
        let error = say(Request::new(&plan, items));
        assert!(matches!(error, RequestError::Memory { most: 10_000, .. }), "{error}");
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
