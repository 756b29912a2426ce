//! A loaded scheduler_config.json runs what the conformance cases run: the same levels, the same plan, to the bit.

use picardy::config::SchedulerConfig;
use picardy::{AnySolver, Level, Node, Solver};
use picardy_tests::conformance;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What diffusers would have saved for a case's scheduler; `None` where a case is none of its classes', or its setting is
/// an argument of a call and no key.
fn scheduler_config(case: &Value) -> Option<Value> {
    let (schedule, solver) = (&case["schedule"], &case["solver"]);
    let kind = solver["kind"].as_str()?;
    let class = match kind {
        "ddpm" => "DDPMScheduler",
        "ddim" => "DDIMScheduler",
        "euler" => "EulerDiscreteScheduler",
        "euler_ancestral" => "EulerAncestralDiscreteScheduler",
        "heun" => "HeunDiscreteScheduler",
        "lms" => "LMSDiscreteScheduler",
        "dpmsolver++" | "sde-dpmsolver++" => "DPMSolverMultistepScheduler",
        "dpmsolver++single" => "DPMSolverSinglestepScheduler",
        "unipc" => "UniPCMultistepScheduler",
        "deis" => "DEISMultistepScheduler",
        "pndm" => "PNDMScheduler",
        "lcm" => "LCMScheduler",
        "tcd" if solver["eta"] == 0.3 => "TCDScheduler",
        "flow_euler" => "FlowMatchEulerDiscreteScheduler",
        "flow_heun" => "FlowMatchHeunDiscreteScheduler",
        _ => return None,
    };
    let mut keys = Map::new();
    let mut set = |key: &str, value: Value| {
        if !value.is_null() {
            keys.insert(key.into(), value);
        }
    };
    set("_class_name", class.into());
    set("num_train_timesteps", schedule["train_steps"].clone());
    set("shift", schedule["shift"].clone());
    set("clip_sample", false.into());
    if !kind.starts_with("flow") {
        set("prediction_type", case["prediction"].clone());
    }
    for key in ["beta_schedule", "beta_start", "beta_end", "steps_offset", "final_sigmas_type"] {
        set(key, schedule[key].clone());
    }
    if !matches!(schedule["spacing"].as_str(), Some("distilled" | "linspace_open")) {
        set("timestep_spacing", schedule["spacing"].clone());
    }
    for curve in ["karras_sigmas", "exponential_sigmas", "beta_sigmas"] {
        set(&format!("use_{curve}"), schedule[curve].clone());
    }
    set("set_alpha_to_one", schedule["final_alpha_one"].clone());
    set("rescale_betas_zero_snr", schedule["zero_snr"].clone());
    set("solver_order", solver["order"].clone());
    match kind {
        "pndm" => set("skip_prk_steps", true.into()),
        "ddpm" => set("variance_type", solver["variance"].clone()),
        "ddim" => set("eta", solver["eta"].clone()),
        "dpmsolver++single" => {
            set("solver_type", if solver["order"] == 3 { "heun" } else { "midpoint" }.into());
        }
        "dpmsolver++" | "sde-dpmsolver++" => {
            set("algorithm_type", kind.into());
            set("solver_type", solver["variant"].clone());
        }
        "unipc" => set("solver_type", solver["variant"].clone()),
        _ => {}
    }
    Some(json!(keys))
}

#[test]
fn a_loaded_configuration_is_the_case() {
    let files = [include_str!("../data/conformance.json"), include_str!("../data/more_cases.json")];
    let mut seen = BTreeMap::new();
    for file in files {
        let file: Value = serde_json::from_str(file).unwrap();
        for case in file["cases"].as_array().unwrap() {
            let Some(text) = scheduler_config(case).map(|config| config.to_string()) else { continue };
            let config: SchedulerConfig = text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
            let name = &case["name"];
            let steps = case["steps"].as_u64().unwrap() as usize;
            let solver: AnySolver = conformance::solver(case).unwrap();
            let prediction = case["prediction"].as_str().unwrap().parse().unwrap();
            assert_eq!((config.solver, config.prediction), (solver, prediction), "{name} {text}");
            assert_eq!(config.guard, None, "{name}");

            let mut levels = vec![Level::default(); steps + 1];
            let grid = conformance::grid(case, steps, &mut levels).unwrap();
            let mut ours = vec![Level::default(); config.levels(steps)];
            assert_eq!(config.grid(steps, &mut ours).unwrap().levels(), grid.levels(), "{name} {text}");

            let mut nodes = vec![Node::default(); solver.nodes(steps)];
            let plan = solver.plan(&grid, prediction, &mut nodes).unwrap();
            let mut own = vec![Node::default(); config.nodes(steps)];
            assert_eq!(config.plan(steps, &mut ours, &mut own).unwrap().nodes(), plan.nodes(), "{name}");
            *seen.entry(case["solver"]["kind"].as_str().unwrap().to_string()).or_insert(0) += 1;
        }
    }
    assert_eq!(seen.len(), 16, "{seen:?}");
    assert!(seen.values().sum::<usize>() > 180, "{seen:?}");
}

/// `use_flow_sigmas`: the numbers are diffusers 0.42.1's, 4 steps, `flow_shift` 3.
#[test]
fn flow_sigmas_of_the_multistep_classes() {
    let below = [0.9996664524078369, 0.8996397852897644, 0.7496247887611389, 0.4996665418148041, 0.0];
    for (class, sigmas, told) in [
        (
            "UniPCMultistepScheduler",
            [0.9999989867210388, 0.900119960308075, 0.7503747940063477, 0.5009989738464355, 0.0],
            [999.0, 900.0, 750.0, 500.0, 0.0],
        ),
        ("DPMSolverMultistepScheduler", below, [999.0, 899.0, 749.0, 499.0, 0.0]),
        ("DPMSolverSinglestepScheduler", below, [999.0, 899.0, 749.0, 499.0, 0.0]),
    ] {
        let text = format!(
            r#"{{"_class_name": "{class}", "prediction_type": "flow_prediction", "use_flow_sigmas": true,
            "flow_shift": 3.0}}"#
        );
        let config: SchedulerConfig = text.parse().unwrap();
        let (mut levels, mut nodes) = ([Level::default(); 5], vec![Node::default(); config.nodes(4)]);
        for ((level, sigma), told) in
            config.grid(4, &mut levels).unwrap().levels().iter().zip(sigmas).zip(told)
        {
            assert!(
                (level.sigma - sigma).abs() < 1e-6 && level.t == told,
                "{class} {level:?} {sigma} {told}"
            );
        }
        assert_eq!(config.plan(4, &mut levels, &mut nodes).unwrap().evaluations(), 4);
    }
}
