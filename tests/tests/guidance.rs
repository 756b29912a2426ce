//! Guidance: against a loop by hand, and errors where it does not fit.

use picardy::guard::Clamp;
use picardy::{
    Batch, Denoiser, Form, Guarded, Guided, GuidedError, Level, Memory, Need, Noise, Picard, Plan,
    SampleError, Sampler, Sequential, SliceFrames, SpareRows, denoiser,
};
use picardy_tests::{Outcome, Ring, Solved, plan, run};

/// A network with a condition: pulled to a point where it has it, the ring where not.
fn conditional<'a>(
    ring: &'a Ring,
    calls: &'a std::cell::Cell<(usize, usize)>,
) -> impl for<'f> Denoiser<SliceFrames<'f, f64>, Error = &'static str> + use<'a> {
    denoiser::from_fn(move |batch: &Batch<'_>, x: &[f64], out: &mut [f64]| {
        let (n, rows) = calls.get();
        calls.set((n + 1, rows + batch.len()));
        assert_eq!((x.len(), out.len()), (2 * batch.len(), 2 * batch.len()));
        for ((row, x), out) in batch.iter().zip(x.chunks(2)).zip(out.chunks_mut(2)) {
            eps(ring, &row.level, row.conditional, x, out);
        }
        Ok(())
    })
}

fn eps(ring: &Ring, level: &Level, conditional: bool, x: &[f64], out: &mut [f64]) {
    ring.mixture().denoise(x, level, out);
    for (i, (out, x)) in out.iter_mut().zip(x).enumerate() {
        let x0 = if conditional { 0.5 * *out + [0.4, -0.1][i] } else { *out };
        *out = (x - level.alpha * x0) / level.sigma;
    }
}

#[test]
fn guidance_is_the_loop_by_hand() {
    let ring = Ring::default();
    let noise = Noise::seeded(8);
    let nodes = plan(Solved::Ddim(0.0), 12);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    for (weight, rescale) in [(0.0, 0.0), (1.0, 0.0), (3.0, 0.0), (7.5, 0.7), (-1.0, 1.0)] {
        let mut x = [0.0f64; 6];
        plan.start(&noise, 2, &mut x);
        let levels: Vec<Level> = nodes.iter().map(|node| node.level).collect();
        for x in x.chunks_mut(2) {
            for pair in levels.windows(2) {
                let (c, n) = (pair[0], pair[1]);
                let (mut with, mut without) = ([0.0; 2], [0.0; 2]);
                eps(&ring, &c, true, x, &mut with);
                eps(&ring, &c, false, x, &mut without);
                let mut out = [0, 1].map(|i| without[i] + weight * (with[i] - without[i]));
                let std = |v: [f64; 2]| (v[0] - v[1]).abs() / 2.0;
                let factor = rescale * std(with) / std(out) + 1.0 - rescale;
                if rescale > 0.0 {
                    out = out.map(|v| v * factor);
                }
                for (x, eps) in x.iter_mut().zip(out) {
                    let x0 = (*x - c.sigma * eps) / c.alpha;
                    *x = n.alpha * x0 + n.sigma * eps;
                }
            }
        }
        let calls = std::cell::Cell::new((0, 0));
        let mut memory = vec![0.0; 2 * Guided::<(), SliceFrames<'_, f64>>::rows(36)];
        let frames = SliceFrames::new(&mut memory, 2);
        let mut model = Guided::new(conditional(&ring, &calls), frames, weight).rescaled(rescale);
        let got: Outcome<f64> = run(&Sequential, &plan, &mut model, &noise, 3, 2).unwrap();
        assert!(got.x.iter().zip(&x).all(|(a, b)| (a - b).abs() < 1e-8), "{weight} {:?} {x:?}", got.x);
        let rows = if weight == 0.0 || weight == 1.0 { 36 } else { 72 };
        assert_eq!(calls.get(), (12, rows), "one call a step");
        let exact = Picard { tolerance: 0.0, ..Picard::default() };
        let parallel: Outcome<f64> = run(&exact, &plan, &mut model, &noise, 3, 2).unwrap();
        assert_eq!(parallel.x, got.x);
        if rescale == 0.0 {
            // To the bit the same with the call behind the run's own rows.
            for exact in [false, true] {
                let need = if exact { Picard::default().need(&plan, 3) } else { Sequential.need(&plan, 3) };
                let spare = SpareRows { first: need.rows, rows: Guided::<(), SpareRows>::rows(36) };
                let mut behind = Guided::new(conditional(&ring, &calls), spare, weight);
                let (mut x, mut memory) = ([0.0f64; 6], Memory::new());
                plan.start(&noise, 2, &mut x);
                let mut workspace = memory.workspace(Need { rows: need.rows + spare.rows, ..need }, 2);
                if exact {
                    let exact = Picard { tolerance: 0.0, ..Picard::default() };
                    exact.run(&plan, &mut behind, &noise, &mut x, &mut workspace).unwrap();
                } else {
                    Sequential.run(&plan, &mut behind, &noise, &mut x, &mut workspace).unwrap();
                }
                assert_eq!(x[..], got.x[..]);
            }
        }
        let mut model = Guarded::new(model, Clamp::symmetric(0.4).unwrap());
        let guarded: Outcome<f64> = run(&exact, &plan, &mut model, &noise, 3, 2).unwrap();
        assert!(guarded.x.iter().all(|x| x.abs() <= 0.4));
        if weight == 1.0 {
            // To the bit what the conditional network alone gives: a row alone is conditional.
            let alone: Outcome<f64> =
                run(&Sequential, &plan, &mut conditional(&ring, &calls), &noise, 3, 2).unwrap();
            assert_eq!(alone.x, got.x);
        }
    }
}

#[test]
fn guidance_that_does_not_fit_is_an_error() {
    let ring = Ring::default();
    let noise = Noise::seeded(8);
    let nodes = plan(Solved::Ddim(0.0), 3);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let calls = std::cell::Cell::new((0, 0));
    let mut memory = [0.0; 24];
    let mut with = |weight, rescale, numbers: usize, dim| {
        let frames = SliceFrames::new(&mut memory[..numbers], dim);
        let mut model = Guided::new(conditional(&ring, &calls), frames, weight).rescaled(rescale);
        match run::<f64, _, _, _>(&Sequential, &plan, &mut model, &noise, 3, 2) {
            Err(SampleError::Denoiser(error)) => Some(error),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(with(2.0, 0.0, 22, 2), Some(GuidedError::Frames { needed: 12, given: 11 }));
    assert_eq!(with(2.0, 0.0, 24, 3), Some(GuidedError::Dim { needed: 2, given: 3 }));
    assert!(matches!(with(f64::NAN, 0.0, 24, 2), Some(GuidedError::Weight(_))));
    assert_eq!(with(2.0, 1.5, 24, 2), Some(GuidedError::Rescale(1.5)));
    let frames = SliceFrames::new(&mut memory, 2);
    let inside = Guarded::new(conditional(&ring, &calls), Clamp::symmetric(1.0).unwrap());
    let mut model = Guided::new(inside, frames, 2.0);
    let error = run::<f64, _, _, _>(&Sequential, &plan, &mut model, &noise, 3, 2).unwrap_err();
    assert_eq!(error, SampleError::Denoiser(GuidedError::Guarded));
    assert!(error.to_string().contains("outside"));
}
