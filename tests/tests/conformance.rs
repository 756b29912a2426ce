//! DDPM and DDIM against diffusers' own runs (tests/data/ddpm_ddim.json: public cases, float32 tables).

use picardy::{
    Batch, Betas, Ddim, Ddpm, Final, Level, Memory, Mixture, Node, Noise, Prediction, Sampler, Sequential,
    Solver, Spacing, denoiser,
};
use serde_json::Value;

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        other => vec![other.as_f64().expect("a number")],
    }
}

fn betas(schedule: &Value) -> Betas {
    let train_steps = schedule["train_steps"].as_u64().unwrap() as usize;
    let (start, end) = (schedule["beta_start"].as_f64().unwrap(), schedule["beta_end"].as_f64().unwrap());
    match schedule["beta_schedule"].as_str().unwrap() {
        "linear" => Betas::linear(train_steps, start, end),
        "scaled_linear" => Betas::scaled_linear(train_steps, start, end),
        "squaredcos_cap_v2" => Betas::cosine(train_steps),
        other => panic!("no such schedule here: {other}"),
    }
}

/// Runs a case and gives its largest error relative to the trajectory's largest magnitude.
fn error(case: &Value) -> f64 {
    let schedule = &case["schedule"];
    let steps = case["steps"].as_u64().unwrap() as usize;
    let (batch, dim) = (case["batch"].as_u64().unwrap() as usize, case["dim"].as_u64().unwrap() as usize);
    let spacing = match schedule["spacing"].as_str().unwrap() {
        "trailing" => Spacing::Trailing,
        "leading" => Spacing::Leading { offset: 0 },
        _ => Spacing::Linspace,
    };
    let last =
        if schedule["final_alpha_one"].as_bool() == Some(false) { Final::FirstTimestep } else { Final::Data };
    let mut levels = vec![Level::default(); steps + 1];
    let grid = betas(schedule).grid(steps, spacing, last, &mut levels).unwrap();
    for (level, seen) in grid.levels().iter().zip(case["levels"].as_array().unwrap()) {
        assert_eq!(level.t, seen["t"].as_f64().unwrap());
        assert!((level.alpha - seen["a"].as_f64().unwrap()).abs() < 2e-6, "{level:?} {seen}");
        assert!((level.sigma - seen["s"].as_f64().unwrap()).abs() < 2e-6, "{level:?} {seen}");
    }
    let prediction = match case["prediction"].as_str().unwrap() {
        "epsilon" => Prediction::Epsilon,
        "sample" => Prediction::Sample,
        _ => Prediction::V,
    };
    let mut nodes = vec![Node::default(); steps + 1];
    let plan = match case["solver"]["kind"].as_str().unwrap() {
        "ddpm" => Ddpm::fixed_small().plan(&grid, prediction, &mut nodes),
        _ => Ddim { eta: case["solver"]["eta"].as_f64().unwrap() }.plan(&grid, prediction, &mut nodes),
    }
    .unwrap();

    let model = &case["model"];
    let (means, weights) = (numbers(&model["means"]), numbers(&model["weights"]));
    let mixture = Mixture::new(&means, &weights, model["std"].as_f64().unwrap(), dim).unwrap();
    // Every state the network is shown is a point of the trajectory.
    let mut states = Vec::new();
    let mut exact = mixture.predicting(prediction);
    let mut recorder = denoiser::from_fn(|call: &Batch<'_>, x: &[f64], out: &mut [f64]| {
        states.extend_from_slice(x);
        let mut rows = [x, &vec![0.0; x.len()]].concat();
        let mut frames = picardy::SliceFrames::new(&mut rows, dim);
        picardy::Denoiser::evaluate(&mut exact, call, &mut frames, 0..batch, batch..2 * batch)?;
        out.copy_from_slice(&rows[x.len()..]);
        Ok::<(), std::convert::Infallible>(())
    });
    // What the oracle does not draw (eta 0, the last step) is not in the file; its coefficient is 0.
    let mut tape = numbers(&case["noise"]);
    tape.resize(steps * batch * dim, 0.0);
    let mut x = numbers(&case["init"]);
    let mut memory = Memory::new();
    let mut workspace = memory.workspace(Sequential.need(&plan, batch), dim);
    Sequential.run(&plan, &mut recorder, &Noise::tape(&tape, batch, dim), &mut x, &mut workspace).unwrap();
    states.extend_from_slice(&x);

    let expected = [numbers(&case["init"]), numbers(&case["trajectory"])].concat();
    assert_eq!(states.len(), expected.len());
    let scale = expected.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    states.iter().zip(&expected).fold(0.0, |most: f64, (a, b)| most.max((a - b).abs())) / scale
}

#[test]
fn ddpm_and_ddim_agree_with_diffusers() {
    let file: Value = serde_json::from_str(include_str!("../data/ddpm_ddim.json")).unwrap();
    let cases = file["cases"].as_array().unwrap();
    assert!(cases.len() >= 10);
    for case in cases {
        let error = error(case);
        assert!(error < 2e-4, "{}: {error:e}", case["name"]);
    }
}
