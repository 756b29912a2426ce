//! A call spread over threads is the call of one denoiser.

use picardy::guard::Clamp;
use picardy::nn::{Artifact, MlpDenoiser, ResidualMlp};
use picardy::{
    Batch, Form, Guarded, Guided, Mixture, Noise, Picard, Plan, Prediction, SampleError, Sampler, Sequential,
    SliceFrames, Speculative, Threaded, ThreadedError, denoiser,
};
use picardy_tests::{Ring, Solved, plan, run};
use picardy_trainer::model::{MlpConfig, Network, Precision};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;

#[test]
fn samples_are_those_of_one_denoiser_to_the_bit() {
    let bytes =
        Network::<f32>::new(MlpConfig::new(2), 1, 0).unwrap().to_safetensors(&[], Precision::F32).unwrap();
    let artifact = Artifact::parse(&bytes).unwrap();
    let network = ResidualMlp::from_artifact(&artifact).unwrap();
    let nodes = plan(Solved::Ddpm, 20);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let noise = Noise::seeded(1);
    let mut scratch = vec![0.0; network.scratch_len(16)];
    let mut one = MlpDenoiser::new(network, &mut scratch);
    fn same<S: Sampler>(
        sampler: &S,
        plan: &Plan<'_>,
        noise: &Noise<'_>,
        one: &mut MlpDenoiser<'_, '_>,
        network: ResidualMlp<'_>,
    ) {
        // One item too: fewer rows than threads.
        for batch in [1, 7] {
            let want = run::<f32, _, _, _>(sampler, plan, one, noise, batch, 2).unwrap();
            for (threads, least) in [(1, 1), (2, 1), (3, 5), (40, 1), (3, 0)] {
                let mut scratch = vec![vec![0.0; network.scratch_len(1)]; threads];
                let denoisers = scratch.iter_mut().map(|scratch| MlpDenoiser::new(network, scratch));
                let mut many = Threaded::new(denoisers.collect()).least_rows(least);
                let got = run::<f32, _, _, _>(sampler, plan, &mut many, noise, batch, 2).unwrap();
                assert_eq!((&got.x, got.report), (&want.x, want.report), "{threads} threads, {batch} items");
            }
        }
    }
    same(&Sequential, &plan, &noise, &mut one, network);
    same(&Picard::default(), &plan, &noise, &mut one, network);
    same(&Speculative::default(), &plan, &noise, &mut one, network);
}

#[test]
fn guards_and_guidance_go_around_it() {
    let ring = Ring::default();
    let model = ring.mixture().predicting(Prediction::Epsilon);
    let nodes = plan(Solved::Ddpm, 20);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let noise = Noise::seeded(1);
    // Knows whether it is conditioned, so that a wrong order of rows shows.
    let conditioned = || {
        let mixture = ring.mixture();
        denoiser::from_fn(move |batch: &Batch<'_>, x: &[f64], out: &mut [f64]| {
            assert_eq!(batch.len(), batch.iter().count());
            for ((row, x), out) in batch.iter().zip(x.chunks(2)).zip(out.chunks_mut(2)) {
                mixture.denoise(x, &row.level, out);
                let shift = if row.conditional { 0.1 * row.item as f64 } else { 0.01 * row.node as f64 };
                out[0] = (x[0] - row.level.alpha * out[0]) / row.level.sigma + shift;
                out[1] = (x[1] - row.level.alpha * out[1]) / row.level.sigma;
            }
            Ok::<(), std::convert::Infallible>(())
        })
    };
    let clamp = Clamp::symmetric(1.2).unwrap();
    let sample = |threads: Option<usize>| {
        let mut rows = vec![0.0f64; 2 * Guided::<(), SliceFrames<'_, f64>>::rows(5 * 20)];
        let frames = SliceFrames::new(&mut rows, 2);
        let picard = Picard::default();
        match threads {
            Some(threads) => {
                let many = Threaded::new((0..threads).map(|_| conditioned()).collect()).least_rows(1);
                let mut model = Guarded::new(Guided::new(many, frames, 2.0), clamp);
                run::<f64, _, _, _>(&picard, &plan, &mut model, &noise, 5, 2).unwrap().x
            }
            None => {
                let mut model = Guarded::new(Guided::new(conditioned(), frames, 2.0), clamp);
                run::<f64, _, _, _>(&picard, &plan, &mut model, &noise, 5, 2).unwrap().x
            }
        }
    };
    let want = sample(None);
    for threads in [1, 2, 3, 7] {
        assert_eq!(sample(Some(threads)), want, "{threads}");
    }
    // Inside, a guard would not be asked: an error that says so.
    let mut inside = Threaded::new(vec![Guarded::new(model, clamp)]);
    let error = run::<f64, _, _, _>(&Sequential, &plan, &mut inside, &noise, 1, 2).unwrap_err();
    assert!(matches!(error, SampleError::Denoiser(ThreadedError::Guarded)));
    assert!(error.to_string().contains("outside"), "{error}");
}

#[test]
fn the_first_error_in_row_order_is_returned_and_the_round_can_be_asked_for_again() {
    let nodes = plan(Solved::Ddpm, 10);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let failing = |k: usize, broken: bool| {
        let mixture = Mixture::new(&[-1.0, 1.0], &[0.5, 0.5], 0.1, 1).unwrap();
        denoiser::from_fn(move |batch: &Batch<'_>, x: &[f64], out: &mut [f64]| {
            if broken {
                // The first of the failing ones is the last to fail.
                thread::sleep(std::time::Duration::from_millis(if k == 1 { 30 } else { 0 }));
                return Err(k);
            }
            for ((row, x), out) in batch.iter().zip(x).zip(out) {
                mixture.denoise(&[*x], &row.level, std::slice::from_mut(out));
            }
            Ok(())
        })
    };
    let noise = Noise::seeded(0);
    let mut broken = Threaded::new((0..3).map(|k| failing(k, k > 0)).collect()).least_rows(1);
    let error = run::<f64, _, _, _>(&Sequential, &plan, &mut broken, &noise, 6, 1).unwrap_err();
    assert_eq!(error, SampleError::Denoiser(ThreadedError::Denoiser(1)));
    // Too few rows for those that fail: no thread is started.
    let mut few = Threaded::new((0..3).map(|k| failing(k, k > 0)).collect()).least_rows(4);
    assert!(run::<f64, _, _, _>(&Sequential, &plan, &mut few, &noise, 6, 1).is_ok());
    broken = Threaded::new(Vec::new());
    let error = run::<f64, _, _, _>(&Sequential, &plan, &mut broken, &noise, 6, 1).unwrap_err();
    assert_eq!(error, SampleError::Denoiser(ThreadedError::Empty));
    assert!(error.to_string().contains("give one"), "{error}");
}

#[test]
fn a_panic_in_a_thread_is_the_callers() {
    let nodes = plan(Solved::Ddpm, 10);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    for at in [0, 1] {
        let one = |k: usize| {
            denoiser::from_fn(move |_: &Batch<'_>, _: &[f64], out: &mut [f64]| {
                if k == at {
                    std::panic::panic_any(42usize + k);
                }
                out.fill(0.0);
                Ok::<(), std::convert::Infallible>(())
            })
        };
        let mut model = Threaded::new(vec![one(0), one(1)]).least_rows(1);
        let payload = catch_unwind(AssertUnwindSafe(|| {
            run::<f64, _, _, _>(&Sequential, &plan, &mut model, &Noise::seeded(0), 4, 1).map(|o| o.x)
        }))
        .unwrap_err();
        assert_eq!(payload.downcast_ref::<usize>(), Some(&(42 + at)));
    }
}

#[test]
fn rows_go_to_threads_in_contiguous_parts() {
    let seen = Mutex::new(Vec::new());
    let one = || {
        denoiser::from_fn(|batch: &Batch<'_>, x: &[f64], out: &mut [f64]| {
            assert_eq!((x.len(), out.len()), (batch.len(), batch.len()));
            let rows: Vec<_> = batch.iter().map(|row| (row.item, row.node)).collect();
            // A part of a part, and one that is beyond the end.
            assert!(batch.part(1..3).part(1..9).iter().eq(batch.iter().skip(2).take(1)));
            assert!(batch.part(9999..99999).is_empty());
            seen.lock().unwrap().push((rows, thread::current().id()));
            out.copy_from_slice(x);
            Ok::<(), std::convert::Infallible>(())
        })
    };
    let nodes = plan(Solved::Ddpm, 6);
    let plan = Plan::new(&nodes[..=5], Form::Data).unwrap();
    let mut model = Threaded::new(vec![one(), one(), one()]).least_rows(2);
    let mut x = vec![0.1; 4];
    let picard = Picard { stride: 1, ..Picard::default() };
    let mut memory = picardy::Memory::new();
    let mut workspace = memory.workspace(picard.need(&plan, 4), 1);
    let noise = Noise::seeded(0);
    let stop = |_: &picardy::Round| std::ops::ControlFlow::Break(());
    picard.run_watched(&plan, &mut model, &noise, &mut x, &mut workspace, stop).unwrap();
    let mut seen = seen.into_inner().unwrap();
    assert!(seen.iter().filter(|(_, id)| *id == thread::current().id()).count() == 1);
    seen.sort_by_key(|(rows, _)| rows[0]);
    // 20 rows: 7, 7 and 6.
    assert_eq!(seen.iter().map(|(rows, _)| rows.len()).collect::<Vec<_>>(), [7, 7, 6]);
    let all: Vec<_> = seen.into_iter().flat_map(|(rows, _)| rows).collect();
    assert!(all.iter().copied().eq((0..4).flat_map(|item| (0..5).map(move |node| (item, node)))));
}
