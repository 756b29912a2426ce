//! Times one training step by ONNX Runtime on a provider, beside the native path on the processor.
//!
//! Both learn the same rows with the same loss, forward, backward and Adam, and the rows are made before the clock starts. Prints
//! one JSON object: median microseconds of a step, steps per second, and by how much the two losses differ at the end.

use std::time::Instant;

use clap::Parser;
use picardy_ort::{Options, Provider, ensure_runtime};
use picardy_trainer::model::{Learner, Network, NetworkConfig, NetworkKind};
use picardy_trainer::onnx::{Batch, OrtTrainer, Rates};
use picardy_trainer::optimiser::{Adam, AdamConfig};
use picardy_trainer::rng::Rng;

#[derive(Parser)]
#[command(
    about = "Times one training step by ONNX Runtime on a provider, beside the native path on the processor"
)]
struct Arguments {
    /// What evaluates the graph: cpu, cuda, cuda:1, webgpu, auto.
    #[arg(long, default_value = "cpu")]
    provider: Provider,
    /// Threads of the processor, for both.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// The network: mlp, unet1d or unet2d.
    #[arg(long, default_value = "mlp")]
    model: String,
    /// Channels of a U-Net's levels, or the MLP's width.
    #[arg(long, value_delimiter = ',')]
    widths: Vec<usize>,
    /// One item's shape.
    #[arg(long, value_delimiter = ',')]
    shape: Vec<usize>,
    /// Numbers of the condition.
    #[arg(long, default_value_t = 0)]
    condition: usize,
    /// Rows of a batch.
    #[arg(long, default_value_t = 128)]
    batch: usize,
    /// Steps that are timed.
    #[arg(long, default_value_t = 100)]
    steps: usize,
    /// Steps before those.
    #[arg(long, default_value_t = 10)]
    warmup: usize,
    /// Leave the native path out.
    #[arg(long)]
    alone: bool,
}

/// The network that is asked for, with sizes of its kind where none are given.
fn config(arguments: &Arguments) -> anyhow::Result<NetworkConfig> {
    let or = |given: &[usize], default: &[usize]| if given.is_empty() { default } else { given }.to_vec();
    let widths = |default: &[usize]| or(&arguments.widths, default);
    let (kind, shape) = match arguments.model.as_str() {
        "mlp" => (NetworkKind::ResidualMlp { width: widths(&[128])[0], blocks: 2 }, vec![2]),
        "unet1d" => {
            let widths = widths(&[64, 128, 256]);
            (NetworkKind::Unet1d { widths, embedding: 64, kernel: 5, groups: 8, scale: true }, vec![16, 2])
        }
        "unet2d" => {
            let widths = widths(&[32, 64]);
            (NetworkKind::Unet2d { widths, embedding: 64, blocks: 1, groups: 8, heads: 4 }, vec![8, 8, 1])
        }
        other => anyhow::bail!("no network `{other}`: give mlp, unet1d or unet2d"),
    };
    let architecture = kind.architecture()?;
    Ok(NetworkConfig { shape: or(&arguments.shape, &shape), condition: arguments.condition, architecture })
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The median microseconds of the steps behind the warm-up, and the last loss.
fn time(
    arguments: &Arguments,
    mut step: impl FnMut(usize) -> anyhow::Result<f64>,
) -> anyhow::Result<(f64, f64)> {
    let (mut times, mut loss) = (Vec::with_capacity(arguments.steps), f64::NAN);
    for i in 0..arguments.warmup + arguments.steps {
        let start = Instant::now();
        loss = step(i)?;
        if i >= arguments.warmup {
            times.push(start.elapsed().as_secs_f64() * 1e6);
        }
    }
    Ok((median(times), loss))
}

/// The loss, and its slope with respect to the output.
fn slopes(out: &[f32], target: &[f32], weight: f32, dout: &mut [f32]) -> f64 {
    let mut loss = 0.0;
    for ((dout, out), target) in dout.iter_mut().zip(out).zip(target) {
        let error = out - target;
        loss += f64::from(error) * f64::from(error);
        *dout = 2.0 * error * weight;
    }
    loss * f64::from(weight)
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let (provider, n) = (arguments.provider, arguments.batch);
    rayon::ThreadPoolBuilder::new().num_threads(arguments.threads.max(1)).build_global()?;
    if picardy_ort::Runtime::load_for(provider, None).is_err() {
        ensure_runtime()?;
    }
    let config = config(&arguments)?;
    let mut model = Network::<f32>::new(&config, n, 0)?;
    let dim = model.dim();
    // Batches in turns.
    let mut rng = Rng::new(0, 1);
    let mut numbers = |len: usize| {
        let mut values = vec![0.0f32; len];
        rng.fill_normal(&mut values);
        values
    };
    let batches: Vec<[Vec<f32>; 4]> = (0..4)
        .map(|_| {
            let t = numbers(n).iter().map(|t| (t.abs() * 300.0).floor().min(999.0)).collect();
            [numbers(n * dim), t, numbers(n * config.condition), numbers(n * dim)]
        })
        .collect();
    let weight = vec![1.0 / (n * dim) as f32; n];
    let rates = Rates::new(1e-3);

    let options = Options { provider, threads: arguments.threads, ..Options::default() };
    let start = Instant::now();
    let mut trainer = OrtTrainer::new(&model, &[n], AdamConfig::default(), options.clone())?;
    let mut first = None;
    let (ort, loss) = time(&arguments, |i| {
        let [x, t, condition, target] = &batches[i % batches.len()];
        let told = trainer.step(Batch { x, t, condition, target, weight: &weight }, rates)?;
        first.get_or_insert_with(|| start.elapsed().as_secs_f64());
        Ok(told.loss)
    })?;
    let mut report = serde_json::json!({
        "model": config.architecture.name(), "parameters": model.parameters().len(), "batch": n,
        "provider": trainer.provider().to_string(), "threads": arguments.threads,
        "microseconds": (ort * 10.0).round() / 10.0, "steps_per_second": (1e7 / ort).round() / 10.0,
        "seconds_to_the_first_step": first, "loss": loss,
    });
    // The same in the three runs that a loss of any form takes.
    let mut trainer = OrtTrainer::new(&model, &[n], AdamConfig::default(), options)?;
    let mut dout = vec![0.0f32; n * dim];
    let (parts, parts_loss) = time(&arguments, |i| {
        let [x, t, condition, target] = &batches[i % batches.len()];
        let loss = slopes(trainer.forward(x, t, condition)?, target, weight[0], &mut dout);
        trainer.backward(&dout)?;
        trainer.update(rates)?;
        Ok(loss)
    })?;
    report["any_loss_microseconds"] = ((parts * 10.0).round() / 10.0).into();
    report["any_loss_steps_per_second"] = ((1e7 / parts).round() / 10.0).into();
    report["any_loss_apart"] = (parts_loss / loss - 1.0).abs().into();
    if !arguments.alone {
        let mut adam = Adam::new(AdamConfig::default(), model.parameters().len());
        let (native, native_loss) = time(&arguments, |i| {
            let [x, t, condition, target] = &batches[i % batches.len()];
            model.zero_gradients();
            let loss = slopes(model.forward(x, t, condition)?, target, weight[0], &mut dout);
            model.backward(&dout)?;
            let (parameters, gradients) = model.parameters_and_gradients();
            adam.step(1e-3, 1.0, parameters, gradients);
            Ok(loss)
        })?;
        report["native_microseconds"] = ((native * 10.0).round() / 10.0).into();
        report["native_steps_per_second"] = ((1e7 / native).round() / 10.0).into();
        report["ratio"] = ((ort / native * 1e3).round() / 1e3).into();
        report["loss_apart"] = (loss / native_loss - 1.0).abs().into();
    }
    println!("{report}");
    Ok(())
}
