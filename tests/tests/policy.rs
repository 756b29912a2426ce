//! A diffusion policy of PyTorch's, taken over and run here, makes the plans that diffusers makes with it.
//!
//! `tests/data/policy` was made by `tests/peers/policy.py tests/data/policy --horizon 8 --widths 8,16 --embedding 8
//! --condition 5`.

use picardy::config::SchedulerConfig;
use picardy::nn::{Artifact, Network, NetworkDenoiser, Step};
use picardy::{Level, Memory, Node, Noise, Sampler, Sequential};
use picardy_trainer::import::Policy;
use picardy_trainer::model::Precision;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/policy")
}

fn tensors(path: &Path) -> Tensors {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensors = file.tensors().into_iter().map(|(name, view)| {
        let values = view.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        (name, (view.shape().to_vec(), values))
    });
    tensors.collect()
}

/// A folder of a policy with other tensors or another configuration.
fn changed(tensors: &Tensors, config: impl Fn(&mut serde_json::Value)) -> tempfile::TempDir {
    let out = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(folder().join("config.json")).unwrap();
    let mut value = serde_json::from_str(&text).unwrap();
    config(&mut value);
    std::fs::write(out.path().join("config.json"), value.to_string()).unwrap();
    let bytes: Vec<_> = tensors
        .iter()
        .map(|(name, (shape, values))| {
            (name, shape, values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())
        })
        .collect();
    let views = bytes.iter().map(|(name, shape, bytes)| {
        (name.as_str(), TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap())
    });
    std::fs::write(out.path().join("model.safetensors"), serialize(views, None).unwrap()).unwrap();
    out
}

/// The plans of the scheduler of that class, in so many steps.
fn sample(
    policy: &Policy,
    class: &str,
    steps: usize,
    start: &[f32],
    conditions: &[f32],
    noise: &Noise<'_>,
) -> Vec<f32> {
    let bytes = policy.network.to_safetensors(&policy.metadata, Precision::F32).unwrap();
    let artifact = Artifact::parse(&bytes).unwrap();
    let config = policy.network.config();
    let mut program = vec![Step::default(); config.architecture.steps(config.condition)];
    let network =
        Network::new(&artifact, &config.architecture, &config.shape, config.condition, &mut program).unwrap();
    let dim = policy.network.dim();
    let mut scratch = vec![0.0; network.scratch_len(2) + config.condition];

    let mut scheduler = policy.config.scheduler();
    scheduler["_class_name"] = class.into();
    let scheduler: SchedulerConfig = scheduler.to_string().parse().unwrap();
    let mut levels = vec![Level::default(); scheduler.levels(steps)];
    let mut nodes = vec![Node::default(); scheduler.nodes(steps)];
    let plan = scheduler.plan(steps, &mut levels, &mut nodes).unwrap();
    let mut guard = vec![0.0f32; dim];
    let denoiser = NetworkDenoiser::new(network, conditions, &mut scratch);
    let mut denoiser = scheduler.guarded(denoiser, &plan, &mut guard).unwrap();
    let (mut x, mut memory) = (start.to_vec(), Memory::new());
    let mut workspace = memory.workspace(Sequential.need(&plan, start.len() / dim), dim);
    Sequential.run(&plan, &mut denoiser, noise, &mut x, &mut workspace).unwrap();
    x
}

#[test]
fn plans_are_those_of_diffusers() {
    let policy = Policy::read(&folder()).unwrap();
    let reference = tensors(&folder().join("reference.safetensors"));
    let of = |name: &str| reference[name].1.as_slice();
    for (name, class, steps) in [
        ("ddim10", "DDIMScheduler", 10),
        ("ddim16", "DDIMScheduler", 16),
        ("ddpm10", "DDPMScheduler", 10),
        ("ddpm16", "DDPMScheduler", 16),
        ("ddpm100", "DDPMScheduler", 100),
    ] {
        let drawn: Vec<f64> = match class {
            "DDPMScheduler" => of(&format!("{name}.noise")).iter().map(|x| f64::from(*x)).collect(),
            _ => Vec::new(),
        };
        let noise = match drawn[..] {
            [] => Noise::seeded(0),
            _ => Noise::tape(&drawn, 2, policy.network.dim()),
        };
        let got = sample(&policy, class, steps, of("start"), of("condition"), &noise);
        let worst = got.iter().zip(of(name)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        println!("{name}: at most {worst:e} from diffusers");
        assert!(worst < 1e-4, "{name}: {worst}");
        // Neither the condition nor the start is left out.
        let other = sample(&policy, class, steps, of("start"), &vec![0.5; of("condition").len()], &noise);
        assert!(got.iter().zip(&other).any(|(a, b)| (a - b).abs() > 1e-2), "{name}");
    }
}

/// Diffusion Policy's own names, another prefix, an average and an encoder beside the weights: the same network.
#[test]
fn both_namings_are_known() {
    let own = tensors(&folder().join("model.safetensors"));
    let mut theirs = Tensors::new();
    for (name, tensor) in &own {
        let name = name.strip_prefix("diffusion.unet.").unwrap();
        let mut name =
            name.replace(".conv1.block.", ".blocks.0.block.").replace(".conv2.block.", ".blocks.1.block.");
        for stack in ["down_modules.0.2", "up_modules.0.2"] {
            name = name.replace(&format!("{stack}."), &format!("{stack}.conv."));
        }
        let zeros = (tensor.0.clone(), vec![0.0; tensor.1.len()]);
        theirs.insert(format!("ema_model.model.{name}"), zeros);
        theirs.insert(format!("model.{name}"), tensor.clone());
    }
    let bare = |name: &String| name.strip_prefix("model.").map(str::to_owned);
    let mut without: Tensors =
        theirs.iter().filter_map(|(name, tensor)| Some((bare(name)?, tensor.clone()))).collect();
    let other = changed(&without, |_| {});
    assert!(
        Policy::read(other.path()).unwrap().network.parameters()
            == Policy::read(&folder()).unwrap().network.parameters()
    );
    without.insert("local_cond_encoder.0.bias".to_owned(), (vec![1], vec![0.0]));
    let error = Policy::read(changed(&without, |_| {}).path()).unwrap_err().to_string();
    assert!(error.contains("local_cond_encoder.0.bias"), "{error}");
    theirs.insert("obs_encoder.backbone.weight".to_owned(), (vec![2], vec![1.0, 2.0]));
    let other = changed(&theirs, |_| {});
    let (a, b) = (Policy::read(&folder()).unwrap(), Policy::read(other.path()).unwrap());
    assert!(a.network.parameters() == b.network.parameters() && a.metadata == b.metadata);
}

#[test]
fn what_does_not_fit_is_named() {
    let own = tensors(&folder().join("model.safetensors"));
    let fails = |tensors: &Tensors, config: &dyn Fn(&mut serde_json::Value), says: &[&str]| {
        let folder = changed(tensors, config);
        let error = Policy::read(folder.path()).unwrap_err().to_string();
        assert!(says.iter().all(|part| error.contains(part)), "{error} does not say {says:?}");
    };
    let change = |name: &str, tensor: Option<(Vec<usize>, Vec<f32>)>| {
        let mut changed = own.clone();
        let name = format!("diffusion.unet.{name}");
        match tensor {
            Some(tensor) => changed.insert(name, tensor),
            None => changed.remove(&name),
        };
        changed
    };
    let same = |_: &mut serde_json::Value| {};
    fails(&change("final_conv.1.bias", None), &same, &["final_conv.1.bias", "missing"]);
    fails(&change("final_conv.1.bias", Some((vec![3], vec![0.0; 3]))), &same, &["[3]", "[2]"]);
    fails(&change("final_conv.1.bias", Some((vec![2], vec![0.0, f32::NAN]))), &same, &["NaN"]);
    fails(&change("extra.weight", Some((vec![1], vec![0.0]))), &same, &["extra.weight", "left over"]);
    fails(&Tensors::new(), &same, &["diffusion_step_encoder.1.weight"]);
    fails(&own, &|c| c["down_dims"] = serde_json::json!([8, 32]), &["belongs there"]);
    fails(&own, &|c| c["down_dims"] = serde_json::json!([]), &["widths"]);
    fails(&own, &|c| c["diffusion_step_embed_dim"] = 64.into(), &["64"]);
    fails(&own, &|c| c["n_groups"] = 3.into(), &["n_groups", "3", "8"]);
    fails(&own, &|c| c["clip_sample_range"] = (-1.0).into(), &["clip_sample_range", "-1"]);
    fails(&own, &|c| c["prediction_type"] = "flow".into(), &["flow", "v_prediction"]);
    fails(&own, &|c| c["horizon"] = 0.into(), &["0"]);
    fails(&own, &|c| c["beta_schedule"] = "cubic".into(), &["beta_schedule", "cubic", "squaredcos_cap_v2"]);
    fails(&own, &|c| c["num_train_timesteps"] = 0.into(), &["num_train_timesteps"]);
    fails(&own, &|c| c["prediction_type"] = "sound".into(), &["prediction_type", "sound", "epsilon"]);
    fails(&own, &|c| c["noise_scheduler_type"] = "PNDM".into(), &["PNDM", "DDIM"]);
    fails(&own, &|c| c["horizon"] = "long".into(), &["config.json", "long"]);
    let error = Policy::read(Path::new("/nowhere")).unwrap_err().to_string();
    assert!(error.contains("/nowhere/config.json"), "{error}");
}
