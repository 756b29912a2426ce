//! The choice of a sampler, and samplers chosen at run time.

use picardy::{
    AnySampler, Auto, Form, Noise, Parareal, Picard, Plan, Prediction, Sampler, Sequential, Slope,
    Speculative, Start,
};
use picardy_tests::{Ring, Solved, plan, run};

#[test]
fn a_narrow_device_samples_in_sequence_and_a_wide_one_in_parallel() {
    for (solver, steps) in [(Solved::Ddpm, 1000), (Solved::Ddpm, 100), (Solved::Ddim(0.0), 20)] {
        let nodes = plan(solver, steps);
        let plan = Plan::new(&nodes, Form::Data).unwrap();
        for (rows, batch, dim, parallel) in
            [(1, 1, 2, false), (64, 64, 2, false), (1024, 1, 2, true), (1024, 8, 64, true), (0, 0, 0, false)]
        {
            let auto = Auto { rows, ..Auto::default() };
            let chosen = auto.choose(&plan, batch, dim);
            assert_eq!(
                matches!(chosen, AnySampler::Picard(_)),
                parallel,
                "{solver:?} {rows} {batch} {dim}: {chosen:?}"
            );
        }
    }
}

/// What is no tolerance is refused by the run, not passed over by a sampler that has none.
#[test]
fn a_tolerance_that_is_none_is_left_for_the_run_to_refuse() {
    let nodes = plan(Solved::Ddpm, 100);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    for tolerance in [f64::NAN, -1.0, f64::NEG_INFINITY] {
        for rows in [1, 1024] {
            let chosen = Auto { rows, tolerance, ..Auto::default() }.choose(&plan, 2, 2);
            assert!(matches!(chosen, AnySampler::Picard(_)), "{tolerance} {rows}: {chosen:?}");
        }
    }
}

#[test]
fn on_a_device_the_slope_is_the_secant() {
    let nodes = plan(Solved::Ddpm, 100);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    for (on_device, slope) in [(true, Slope::Secant), (false, Slope::Multisecant(2))] {
        let auto = Auto { rows: 1024, on_device, ..Auto::default() };
        assert!(matches!(auto.choose(&plan, 2, 64), AnySampler::Picard(picard) if picard.slope == slope));
    }
}

#[test]
fn the_window_is_what_the_memory_holds() {
    let nodes = plan(Solved::Ddpm, 1000);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let mut windows = Vec::new();
    for memory in [usize::MAX, 20_000, 2_000, 10] {
        let auto = Auto { rows: 1024, memory, ..Auto::default() };
        match auto.choose(&plan, 2, 4) {
            AnySampler::Picard(picard) => {
                assert!(picard.need(&plan, 2).numbers(4) <= memory);
                assert_eq!(picard.slope, Slope::Multisecant(2));
                windows.push(picard.window);
            }
            AnySampler::Sequential(_) => windows.push(1),
            other => panic!("{other:?}"),
        }
    }
    assert!(windows.windows(2).all(|pair| pair[0] > pair[1]), "{windows:?}");
    assert_eq!((windows[0], windows[3]), (1000, 1));
}

/// The cap that is chosen is kept to, and the promise too.
#[test]
fn what_is_chosen_keeps_the_tolerance() {
    let nodes = plan(Solved::Ddpm, 200);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let ring = Ring::default();
    let mut model = ring.mixture().predicting(Prediction::Epsilon);
    let noise = Noise::seeded(5);
    let reference = run::<f64, _, _, _>(&Sequential, &plan, &mut model, &noise, 4, 2).unwrap();
    for rows in [64, 256, 1024] {
        let chosen = Auto { rows, ..Auto::default() }.choose(&plan, 4, 2);
        assert!(matches!(chosen, AnySampler::Picard(picard) if picard.rows == rows), "{chosen:?}");
        let got = run::<f64, _, _, _>(&chosen, &plan, &mut model, &noise, 4, 2).unwrap();
        let worst = got.x.iter().zip(&reference.x).fold(0.0f64, |worst, (a, b)| worst.max((a - b).abs()));
        assert!(worst < 0.01, "{rows}: {worst}");
        assert!(got.report.rounds < 200, "{:?}", got.report);
    }
}

#[test]
fn a_sampler_chosen_at_run_time_is_the_sampler_itself() {
    fn same(sampler: impl Sampler, any: AnySampler) {
        let nodes = plan(Solved::Ddpm, 30);
        let plan = Plan::new(&nodes, Form::Data).unwrap();
        let ring = Ring::default();
        let mut model = ring.mixture().predicting(Prediction::Epsilon);
        let noise = Noise::seeded(1);
        let itself = run::<f64, _, _, _>(&sampler, &plan, &mut model, &noise, 3, 2).unwrap();
        let chosen = run::<f64, _, _, _>(&any, &plan, &mut model, &noise, 3, 2).unwrap();
        assert_eq!((itself.x, itself.report), (chosen.x, chosen.report));
        assert_eq!(sampler.need(&plan, 3), any.need(&plan, 3));
    }
    same(Sequential, AnySampler::Sequential(Sequential));
    same(Picard::default(), AnySampler::Picard(Picard::default()));
    same(Parareal::default(), AnySampler::Parareal(Parareal::default()));
    same(Speculative::default(), AnySampler::Speculative(Speculative::default()));
}

/// Settings far beyond the plan mean as much as there is.
#[test]
fn huge_settings_end() {
    let nodes = plan(Solved::Ddpm, 6);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let ring = Ring::default();
    let mut model = ring.mixture().predicting(Prediction::Epsilon);
    let noise = Noise::seeded(1);
    let (start, stride) = (Start::Coarse(usize::MAX), usize::MAX);
    let coarse = Picard { start, stride, tolerance: 0.0, ..Picard::default() };
    let reference = run::<f64, _, _, _>(&Sequential, &plan, &mut model, &noise, 2, 2).unwrap();
    let got = run::<f64, _, _, _>(&coarse, &plan, &mut model, &noise, 2, 2).unwrap();
    assert_eq!(got.x, reference.x);
    let swept = Speculative { sweeps: usize::MAX, ..Speculative::default() };
    assert!(run::<f64, _, _, _>(&swept, &plan, &mut model, &noise, 2, 2).unwrap().report.finished);
}
