//! diffusers' scheduler_config.json: the defaults of its classes, real pipelines' files, and hostile text.

use picardy::config::{ConfigError, ConfigGuard, ScheduleConfig, SchedulerConfig};
use picardy::guard::{Clamp, DynamicThreshold};
use picardy::{
    AnySolver, Betas, Curve, DdimStride, Ddpm, Deis, DpmSolverPp, DpmSolverSingle, Euler, EulerAncestral,
    Final, FlowShift, Heun, Lcm, Level, Lms, Node, Pndm, Prediction, SigmaShape, Spacing, Tcd, Told, UniPc,
    Variance,
};
use proptest::prelude::*;

fn read(text: &str) -> SchedulerConfig {
    text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn error(class: &str, rest: &str) -> String {
    let text = format!(r#"{{"_class_name": "{class}", {rest}}}"#);
    text.parse::<SchedulerConfig>().unwrap_err().to_string()
}

fn spaced(config: &SchedulerConfig) -> (Betas, Spacing, Final) {
    match config.schedule {
        ScheduleConfig::Spaced { betas, spacing, last } => (betas, spacing, last),
        other => panic!("{other:?}"),
    }
}

/// Class, the keys of its defaults, and the solver, betas, spacing and clipping that come out.
#[test]
fn the_defaults_of_every_class() {
    let (ddpm, sd) = (Betas::linear(1000, 1e-4, 2e-2), Betas::scaled_linear(1000, 0.00085, 0.012));
    let leading = Spacing::Leading { offset: 0 };
    let (fractional, open) = (Spacing::LinspaceFractional, Spacing::LinspaceOpen);
    let distilled = Spacing::Distilled { original: 50 };
    let base = r#""num_train_timesteps": 1000, "beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "linear",
        "trained_betas": null, "prediction_type": "epsilon", "_diffusers_version": "0.42.1""#;
    let sd_base = r#""num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012,
        "beta_schedule": "scaled_linear", "trained_betas": null, "prediction_type": "epsilon", "steps_offset": 0,
        "original_inference_steps": 50, "timestep_scaling": 10.0, "clip_sample": false, "clip_sample_range": 1.0,
        "set_alpha_to_one": true, "thresholding": false, "dynamic_thresholding_ratio": 0.995, "sample_max_value": 1.0,
        "timestep_spacing": "leading", "rescale_betas_zero_snr": false"#;
    let clip = r#""clip_sample": true, "clip_sample_range": 1.0, "thresholding": false, "timestep_spacing": "leading",
        "dynamic_thresholding_ratio": 0.995, "sample_max_value": 1.0, "steps_offset": 0, "rescale_betas_zero_snr": false"#;
    let sigmas = r#""use_karras_sigmas": false, "use_exponential_sigmas": false, "use_beta_sigmas": false,
        "timestep_spacing": "linspace", "steps_offset": 0"#;
    let multistep = format!(
        r#"{base}, {sigmas}, "solver_order": 2, "thresholding": false, "dynamic_thresholding_ratio": 0.995,
        "sample_max_value": 1.0, "lower_order_final": true, "use_flow_sigmas": false, "flow_shift": 1.0,
        "use_dynamic_shifting": false, "time_shift_type": "exponential""#
    );
    let cases: [(_, _, AnySolver, _, _, _); 12] = [
        (
            "DDPMScheduler",
            format!(r#"{base}, {clip}, "variance_type": "fixed_small""#),
            Ddpm::fixed_small().into(),
            ddpm,
            leading,
            true,
        ),
        (
            "DDIMScheduler",
            format!(r#"{base}, {clip}, "set_alpha_to_one": true"#),
            DdimStride { eta: 0.0, betas: ddpm, last: Final::Data }.into(),
            ddpm,
            leading,
            true,
        ),
        (
            "EulerDiscreteScheduler",
            format!(
                r#"{base}, {sigmas}, "interpolation_type": "linear", "sigma_min": null,
            "sigma_max": null, "timestep_type": "discrete", "rescale_betas_zero_snr": false, "final_sigmas_type": "zero""#
            ),
            Euler::ve().into(),
            ddpm,
            fractional,
            false,
        ),
        (
            "EulerAncestralDiscreteScheduler",
            format!(
                r#"{base}, "timestep_spacing": "linspace", "steps_offset": 0,
            "rescale_betas_zero_snr": false"#
            ),
            EulerAncestral { eta: 1.0 }.into(),
            ddpm,
            fractional,
            false,
        ),
        (
            "HeunDiscreteScheduler",
            format!(
                r#"{sigmas}, "num_train_timesteps": 1000, "beta_start": 0.00085,
            "beta_end": 0.012, "beta_schedule": "linear", "trained_betas": null, "prediction_type": "epsilon",
            "clip_sample": false, "clip_sample_range": 1.0"#
            ),
            Heun::ve().into(),
            Betas::linear(1000, 0.00085, 0.012),
            fractional,
            false,
        ),
        (
            "LMSDiscreteScheduler",
            format!("{base}, {sigmas}"),
            Lms { order: 4 }.into(),
            ddpm,
            fractional,
            false,
        ),
        (
            "DPMSolverMultistepScheduler",
            format!(
                r#"{multistep}, "algorithm_type": "dpmsolver++",
            "solver_type": "midpoint", "euler_at_final": false, "use_lu_lambdas": false, "final_sigmas_type": "zero",
            "lambda_min_clipped": -Infinity, "variance_type": null, "rescale_betas_zero_snr": false"#
            ),
            DpmSolverPp::order2().into(),
            ddpm,
            open,
            false,
        ),
        (
            "DPMSolverSinglestepScheduler",
            format!(
                r#"{multistep}, "algorithm_type": "dpmsolver++",
            "solver_type": "midpoint", "final_sigmas_type": "zero", "lambda_min_clipped": -Infinity,
            "variance_type": null"#
            ),
            DpmSolverSingle { order: 2 }.into(),
            ddpm,
            open,
            false,
        ),
        (
            "UniPCMultistepScheduler",
            format!(
                r#"{multistep}, "predict_x0": true, "solver_type": "bh2",
            "disable_corrector": [], "solver_p": null, "final_sigmas_type": "zero", "rescale_betas_zero_snr": false,
            "sigma_min": null, "sigma_max": null, "shift_terminal": null"#
            ),
            UniPc::default().into(),
            ddpm,
            open,
            false,
        ),
        (
            "DEISMultistepScheduler",
            format!(r#"{multistep}, "algorithm_type": "deis", "solver_type": "logrho""#),
            Deis { order: 2, lower_order_final: true }.into(),
            ddpm,
            open,
            false,
        ),
        ("LCMScheduler", sd_base.into(), Lcm::default().into(), sd, distilled, false),
        ("TCDScheduler", sd_base.into(), Tcd { eta: 0.3, betas: sd }.into(), sd, distilled, false),
    ];
    for (class, keys, solver, table, spacing, clips) in cases {
        let written = read(&format!(r#"{{"_class_name": "{class}", {keys}}}"#));
        assert_eq!(written.solver, solver, "{class}");
        let last = match written.solver {
            AnySolver::Deis(_) | AnySolver::Tcd(_) => Final::FirstTimestep,
            _ => Final::Data,
        };
        assert_eq!(spaced(&written), (table, spacing, last), "{class}");
        assert_eq!(written.prediction, Prediction::Epsilon, "{class}");
        let guard = clips.then(|| ConfigGuard::Clamp(Clamp::symmetric(1.0).unwrap()));
        assert_eq!(written.guard, guard, "{class}");
        assert_eq!(written.keeps_noise, class == "DDIMScheduler");
        // The defaults are the same where nothing is written.
        assert_eq!(read(&format!(r#"{{"_class_name": "{class}"}}"#)), written, "{class}");
    }
    for (class, solver) in [
        ("FlowMatchEulerDiscreteScheduler", AnySolver::from(Euler::flow())),
        ("FlowMatchHeunDiscreteScheduler", AnySolver::from(Heun::flow())),
    ] {
        let config =
            read(&format!(r#"{{"_class_name": "{class}", "num_train_timesteps": 1000, "shift": 3.0}}"#));
        assert_eq!((config.solver, config.prediction), (solver, Prediction::Flow));
        assert_eq!(config.schedule, ScheduleConfig::Flow(FlowShift { train_steps: 1000, shift: 3.0 }));
    }
}

/// A run of it can be planned, and every coefficient is a number.
fn plans(config: &SchedulerConfig) {
    for steps in [1, 2, 20, 50] {
        let mut levels = vec![Level::default(); config.levels(steps)];
        let mut nodes = vec![Node::default(); config.nodes(steps)];
        let plan =
            config.plan(steps, &mut levels, &mut nodes).unwrap_or_else(|error| panic!("{error}\n{config:?}"));
        assert!(plan.evaluations() >= steps);
    }
}

/// Zero terminal SNR with the solvers in sigma, whose last alpha_bar diffusers keeps at 2^-24.
#[test]
fn zero_snr_in_sigma_has_a_plan() {
    for class in [
        "EulerDiscreteScheduler",
        "EulerAncestralDiscreteScheduler",
        "DPMSolverMultistepScheduler",
        "UniPCMultistepScheduler",
    ] {
        for karras in [false, class != "EulerAncestralDiscreteScheduler"] {
            let config = read(&format!(
                r#"{{"_class_name": "{class}", "prediction_type": "v_prediction", "rescale_betas_zero_snr": true,
                "timestep_spacing": "trailing", "use_karras_sigmas": {karras}}}"#
            ));
            plans(&config);
            let mut levels = [Level::default(); 21];
            let first = config.grid(20, &mut levels).unwrap().levels()[0];
            assert!((first.sigma / first.alpha - 4096.0).abs() < 0.01, "{class} {first:?}");
        }
    }
    let ddim = read(
        r#"{"_class_name": "DDIMScheduler", "rescale_betas_zero_snr": true, "prediction_type": "v_prediction"}"#,
    );
    assert_eq!(spaced(&ddim).0, Betas::linear(1000, 1e-4, 2e-2).zero_snr());
    plans(&ddim);
}

#[test]
fn what_pipelines_ship() {
    // A diffusion policy's.
    let policy = read(
        r#"{"_class_name": "DDIMScheduler", "num_train_timesteps": 100, "beta_start": 0.0001, "beta_end": 0.02,
            "beta_schedule": "squaredcos_cap_v2", "clip_sample": true, "prediction_type": "epsilon"}"#,
    );
    plans(&policy);
    assert_eq!(spaced(&policy).0, Betas::cosine(100));
    assert!(policy.keeps_noise && policy.guard.is_some());
    // Stable Diffusion 1's.
    let stable = read(
        r#"{"_class_name": "PNDMScheduler", "_diffusers_version": "0.6.0", "beta_end": 0.012, "beta_schedule": "scaled_linear",
            "beta_start": 0.00085, "num_train_timesteps": 1000, "set_alpha_to_one": false, "skip_prk_steps": true,
            "steps_offset": 1, "trained_betas": null, "clip_sample": false}"#,
    );
    plans(&stable);
    assert_eq!((stable.solver, stable.guard), (Pndm::default().into(), None));
    // A latent model with v-prediction, and Karras sigmas on a multistep solver.
    let latent = read(
        r#"{"_class_name": "DPMSolverMultistepScheduler", "beta_end": 0.012, "beta_schedule": "scaled_linear",
            "beta_start": 0.00085, "prediction_type": "v_prediction", "skip_prk_steps": true, "solver_type": "bh2",
            "steps_offset": 1, "timestep_spacing": "leading", "use_karras_sigmas": true, "clip_sample": true,
            "algorithm_type": "sde-dpmsolver++", "final_sigmas_type": "sigma_min", "rescale_betas_zero_snr": true}"#,
    );
    assert_eq!(latent.prediction, Prediction::V);
    assert_eq!((latent.solver, latent.guard), (DpmSolverPp::sde().into(), None));
    let curve = Curve { shape: SigmaShape::Karras { rho: 7.0 }, between: None, told: Told::Rounded };
    let betas = Betas::scaled_linear(1000, 0.00085, 0.012).zero_snr().ending_at(2f64.powi(-24));
    plans(&latent);
    assert_eq!(latent.schedule, ScheduleConfig::Curved { betas, curve, last: Final::FirstTimestep });
    // A video model's flow under UniPC.
    let flow = read(
        r#"{"_class_name": "UniPCMultistepScheduler", "prediction_type": "flow_prediction", "use_flow_sigmas": true,
            "flow_shift": 3.0, "num_train_timesteps": 1000}"#,
    );
    plans(&flow);
    let shift = FlowShift { train_steps: 1000, shift: 3.0 };
    assert_eq!(flow.schedule, ScheduleConfig::FlowOpen { flow: shift, top: 1.0, bottom: 0.001 });
    // Pixels with a dynamic threshold: it goes before the clipping.
    let pixels = read(
        r#"{"_class_name": "DDPMScheduler", "thresholding": true, "dynamic_thresholding_ratio": 0.95,
            "sample_max_value": 1.5, "clip_sample": true, "variance_type": "fixed_large"}"#,
    );
    let threshold = DynamicThreshold::within(0.95, 1.0, 1.5).unwrap();
    assert_eq!(pixels.guard, Some(ConfigGuard::DynamicThreshold(threshold)));
    plans(&pixels);
    assert_eq!(pixels.solver, Ddpm { variance: Variance::FixedLargeThroughout }.into());
}

#[test]
fn a_wrong_value_names_its_key_the_value_and_what_is_allowed() {
    for (class, rest, words) in [
        ("SASolverScheduler", r#""a": 1"#, ["_class_name", "SASolverScheduler", "DDIMScheduler"]),
        ("PNDMScheduler", r#""a": 1"#, ["skip_prk_steps", "missing", "true"]),
        ("PNDMScheduler", r#""skip_prk_steps": false"#, ["skip_prk_steps", "false", "true"]),
        (
            "PNDMScheduler",
            r#""skip_prk_steps": true, "prediction_type": "v_prediction""#,
            ["prediction_type", "v_prediction", "epsilon"],
        ),
        ("DDPMScheduler", r#""beta_schedule": "cosine""#, ["beta_schedule", "cosine", "squaredcos_cap_v2"]),
        ("DDPMScheduler", r#""prediction_type": "eps""#, ["prediction_type", "eps", "v_prediction"]),
        ("DDPMScheduler", r#""timestep_spacing": 3"#, ["timestep_spacing", "3", "string"]),
        ("DDPMScheduler", r#""trained_betas": [0.1, 0.2]"#, ["trained_betas", "[0.1,0.2]", "beta_schedule"]),
        (
            "DDPMScheduler",
            r#""variance_type": "learned_range""#,
            ["variance_type", "learned_range", "fixed_small"],
        ),
        ("DDPMScheduler", r#""num_train_timesteps": 0"#, ["num_train_timesteps", "0", "1000000"]),
        (
            "DDPMScheduler",
            r#""num_train_timesteps": 99999999999"#,
            ["num_train_timesteps", "99999999999", "1000000"],
        ),
        ("DDPMScheduler", r#""num_train_timesteps": 10.5"#, ["num_train_timesteps", "10.5", "whole"]),
        ("DDPMScheduler", r#""steps_offset": 1000"#, ["steps_offset", "1000", "whole"]),
        ("DDPMScheduler", r#""clip_sample": "yes""#, ["clip_sample", "yes", "true or false"]),
        ("DDPMScheduler", r#""clip_sample_range": -1"#, ["clip_sample_range", "-1", "positive"]),
        ("DDPMScheduler", r#""beta_end": 3"#, ["beta_end", "3", "(0, 1)"]),
        (
            "DDPMScheduler",
            r#""thresholding": true, "dynamic_thresholding_ratio": 0"#,
            ["dynamic_thresholding_ratio", "0", "(0, 1]"],
        ),
        (
            "DDPMScheduler",
            r#""thresholding": true, "sample_max_value": 0.5"#,
            ["sample_max_value", "0.5", "at least 1"],
        ),
        ("DDIMScheduler", r#""eta": 2"#, ["eta", "2", "[0, 1]"]),
        ("DPMSolverMultistepScheduler", r#""solver_order": 4"#, ["solver_order", "4", "1, 2, 3"]),
        (
            "DPMSolverMultistepScheduler",
            r#""algorithm_type": "dpmsolver""#,
            ["algorithm_type", "dpmsolver", "sde-dpmsolver++"],
        ),
        (
            "DPMSolverMultistepScheduler",
            r#""lambda_min_clipped": -5.1"#,
            ["lambda_min_clipped", "-5.1", "infinity"],
        ),
        (
            "DPMSolverMultistepScheduler",
            r#""final_sigmas_type": "one""#,
            ["final_sigmas_type", "one", "sigma_min"],
        ),
        (
            "DPMSolverMultistepScheduler",
            r#""use_karras_sigmas": true, "use_beta_sigmas": true"#,
            ["use_beta_sigmas", "true", "only one"],
        ),
        (
            "DPMSolverMultistepScheduler",
            r#""solver_order": 3, "solver_type": "heun""#,
            ["solver_type", "heun", "midpoint"],
        ),
        (
            "DPMSolverMultistepScheduler",
            r#""solver_order": 3, "algorithm_type": "sde-dpmsolver++""#,
            ["solver_order", "3", "1, 2"],
        ),
        (
            "DPMSolverMultistepScheduler",
            r#""final_sigmas_type": "sigma_min", "euler_at_final": true"#,
            ["euler_at_final", "true", "zero"],
        ),
        ("DPMSolverSinglestepScheduler", r#""solver_order": 3"#, ["solver_type", "missing", "heun"]),
        ("DEISMultistepScheduler", r#""use_flow_sigmas": true"#, ["use_flow_sigmas", "true", "false"]),
        ("UniPCMultistepScheduler", r#""predict_x0": false"#, ["predict_x0", "false", "true"]),
        ("UniPCMultistepScheduler", r#""disable_corrector": [0]"#, ["disable_corrector", "[0]", "[]"]),
        (
            "EulerDiscreteScheduler",
            r#""timestep_type": "continuous""#,
            ["timestep_type", "continuous", "discrete"],
        ),
        (
            "FlowMatchEulerDiscreteScheduler",
            r#""use_dynamic_shifting": true"#,
            ["use_dynamic_shifting", "true", "shift"],
        ),
        ("FlowMatchEulerDiscreteScheduler", r#""shift": 0"#, ["shift", "0", "positive"]),
        ("LCMScheduler", r#""timestep_scaling": -1"#, ["timestep_scaling", "-1", "positive"]),
        (
            "DPMSolverMultistepScheduler",
            r#""use_flow_sigmas": true, "use_karras_sigmas": true"#,
            ["use_karras_sigmas", "true", "give false"],
        ),
    ] {
        let error = error(class, rest);
        for word in words {
            assert!(error.contains(word), "{class} {rest}: {error}");
        }
    }
    let missing = "{}".parse::<SchedulerConfig>().unwrap_err();
    assert!(matches!(&missing, ConfigError::Missing { key: "_class_name", .. }), "{missing}");
    let long = format!(r#"{{"_class_name": "{}"}}"#, "x".repeat(10_000));
    assert!(long.parse::<SchedulerConfig>().unwrap_err().to_string().len() < 700);
}

#[test]
fn hostile_text_is_an_error() {
    let deep = "[".repeat(100_000);
    for text in [
        "",
        "null",
        "[]",
        "3",
        "{",
        r#"{"_class_name": }"#,
        "{\"_class_name\": \"DDPMScheduler\"",
        "\u{feff}{}",
        &deep,
        "NaN",
        "\"\\",
    ] {
        let error = text.parse::<SchedulerConfig>().unwrap_err();
        assert!(matches!(error, ConfigError::Json(_)), "{text:.20}: {error}");
    }
    for value in ["NaN", "Infinity", "1e999", "{}", "[[]]"] {
        let text = format!(r#"{{"_class_name": "DDPMScheduler", "beta_start": {value}}}"#);
        assert!(text.parse::<SchedulerConfig>().is_err(), "{value}");
    }
    // Not a number there, but a name here.
    let text = r#"{"_class_name": "DDPMScheduler", "a\"NaN": "\\", "b": "Infinity", "beta_schedule": "NaN"}"#;
    let error = text.parse::<SchedulerConfig>().unwrap_err().to_string();
    assert!(error.contains("\"NaN\""), "{error}");
}

/// Python's `Infinity`: no bound where a bound is meant, an error elsewhere; never the default.
#[test]
fn infinities_are_not_absent() {
    let unbounded =
        read(r#"{"_class_name": "DDPMScheduler", "thresholding": true, "sample_max_value": Infinity}"#);
    let threshold = DynamicThreshold::within(0.995, 1.0, f64::INFINITY).unwrap();
    assert_eq!(unbounded.guard, Some(ConfigGuard::DynamicThreshold(threshold)));
    let unbounded = read(r#"{"_class_name": "DDIMScheduler", "clip_sample_range": Infinity}"#);
    assert_eq!(unbounded.guard, Some(ConfigGuard::Clamp(Clamp::symmetric(f64::INFINITY).unwrap())));
    for (class, rest, words) in [
        (
            "DDIMScheduler",
            r#""clip_sample_range": -Infinity"#,
            ["clip_sample_range", "-Infinity", "positive"],
        ),
        ("DDIMScheduler", r#""clip_sample_range": NaN"#, ["clip_sample_range", "NaN", "positive"]),
        (
            "DDPMScheduler",
            r#""thresholding": true, "sample_max_value": NaN"#,
            ["sample_max_value", "NaN", "positive"],
        ),
        ("DDPMScheduler", r#""beta_end": NaN"#, ["beta_end", "NaN", "finite"]),
        ("DDPMScheduler", r#""num_train_timesteps": Infinity"#, ["num_train_timesteps", "Infinity", "whole"]),
        ("DDPMScheduler", r#""clip_sample": NaN"#, ["clip_sample", "NaN", "true or false"]),
        ("DDPMScheduler", r#""prediction_type": NaN"#, ["prediction_type", "NaN", "string"]),
        ("FlowMatchEulerDiscreteScheduler", r#""shift": Infinity"#, ["shift", "Infinity", "finite"]),
        (
            "DPMSolverMultistepScheduler",
            r#""lambda_min_clipped": Infinity"#,
            ["lambda_min_clipped", "Infinity", "minus"],
        ),
        ("EulerDiscreteScheduler", r#""sigma_max": Infinity"#, ["sigma_max", "Infinity", "null"]),
    ] {
        let error = error(class, rest);
        assert!(words.iter().all(|word| error.contains(word)), "{class} {rest}: {error}");
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in r#"[{}\[\]",:a-zN\-\\ Infity0-9.é]{0,60}"#) {
        let _ = text.parse::<SchedulerConfig>();
    }

    #[test]
    fn no_value_panics(key in 0usize..12, value in r#"(-?[0-9]{1,20}(\.[0-9]{1,3})?|true|null|"[a-z+]{0,9}"|\[\])"#) {
        let key = ["_class_name", "num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "steps_offset",
            "clip_sample_range", "sample_max_value", "dynamic_thresholding_ratio", "solver_order", "thresholding", "eta"][key];
        for class in ["DDPMScheduler", "DDIMScheduler", "DPMSolverMultistepScheduler"] {
            let text = format!(r#"{{"_class_name": "{class}", "thresholding": true, "{key}": {value}}}"#);
            let _ = text.parse::<SchedulerConfig>();
        }
    }
}
