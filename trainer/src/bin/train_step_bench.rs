//! Times one training step of a network: forward, backward and Adam.
//!
//! The networks, the loss and the optimiser are the ones of tests/peers/train_step.py. Prints one JSON object, with
//! the median microseconds of a step. `tests/peers/train_step.sh` runs both.

use std::time::Instant;

use clap::{Parser, ValueEnum};
use picardy::Betas;
use picardy_trainer::model::{Network, NetworkConfig, NetworkKind};
use picardy_trainer::optimiser::{Adam, AdamConfig};
use picardy_trainer::rng::Rng;

#[derive(Parser)]
#[command(about = "Times one training step of a network")]
struct Arguments {
    /// The network.
    #[arg(long, value_enum, default_value = "mlp")]
    model: Model,
    /// Threads.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Steps that are timed.
    #[arg(long, default_value_t = 500)]
    steps: usize,
    /// Steps before those.
    #[arg(long, default_value_t = 100)]
    warmup: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum Model {
    /// Residual MLP, width 128, 2 blocks, dimension 2, batch 128.
    Mlp,
    /// Temporal U-Net of 64, 128 and 256 channels, 16 places of 2, a condition of 20 numbers, batch 64.
    Unet1d,
    /// U-Net of 32 and 64 channels with attention, images of 8 x 8 x 1, ten labels, batch 128.
    Unet2d,
}

impl Model {
    /// The network, and the batch.
    fn setting(self) -> (NetworkKind, Vec<usize>, usize, usize) {
        match self {
            Self::Mlp => (NetworkKind::ResidualMlp { width: 128, blocks: 2 }, vec![2], 0, 128),
            Self::Unet1d => {
                let widths = vec![64, 128, 256];
                let kind = NetworkKind::Unet1d { widths, embedding: 64, kernel: 5, groups: 8, scale: true };
                (kind, vec![16, 2], 20, 64)
            }
            Self::Unet2d => {
                let widths = vec![32, 64];
                let kind = NetworkKind::Unet2d { widths, embedding: 64, blocks: 1, groups: 8, heads: 4 };
                (kind, vec![8, 8, 1], 10, 128)
            }
        }
    }
}

fn main() -> anyhow::Result<()> {
    let Arguments { model, threads, steps, warmup } = Arguments::parse();
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    let (kind, shape, condition, batch) = model.setting();
    let config = NetworkConfig { shape, condition, architecture: kind.architecture()? };
    let mut model = Network::<f32>::new(config, batch, 0)?;
    let dim = model.dim();
    let levels: Vec<(f32, f32)> = Betas::linear(1000, 1e-4, 2e-2)
        .alpha_bars()
        .map(|abar| (abar.sqrt() as f32, (1.0 - abar).sqrt() as f32))
        .collect();
    let mut adam = Adam::new(AdamConfig::default(), model.parameters().len());
    let mut rng = Rng::new(0, 1);
    let mut normal = |len: usize| {
        let mut values = vec![0.0; len];
        rng.fill_normal(&mut values);
        values
    };
    let (data, c) = (normal(4096 * dim), normal(batch * condition));
    let mut rng = Rng::new(0, 2);
    let (mut z, mut eps, mut t) = (vec![0.0; batch * dim], vec![0.0; batch * dim], vec![0.0; batch]);
    let mut dout = vec![0.0; batch * dim];
    let mut times = Vec::with_capacity(steps);
    let mut last = 0.0;
    for step in 0..warmup + steps {
        let start = Instant::now();
        rng.fill_normal(&mut eps);
        for ((z, eps), t) in z.chunks_exact_mut(dim).zip(eps.chunks_exact(dim)).zip(&mut t) {
            let (from, level) = (rng.below(4096) * dim, rng.below(levels.len()));
            let (a, s) = levels[level];
            *t = level as f32;
            for ((z, eps), x0) in z.iter_mut().zip(eps).zip(&data[from..from + dim]) {
                *z = a * x0 + s * eps;
            }
        }
        model.zero_gradients();
        let out = model.forward(&z, &t, &c)?;
        let (mut sum, scale) = (0.0, 2.0 / (batch * dim) as f32);
        for ((dout, out), eps) in dout.iter_mut().zip(out).zip(&eps) {
            let error = out - eps;
            sum += f64::from(error * error);
            *dout = scale * error;
        }
        last = sum / (batch * dim) as f64;
        model.backward(&dout)?;
        let (parameters, gradients) = model.parameters_and_gradients();
        adam.step(1e-3, 1.0, parameters, gradients);
        if step >= warmup {
            times.push(start.elapsed().as_secs_f64() * 1e6);
        }
    }
    times.sort_by(f64::total_cmp);
    let median = times.get(times.len() / 2).copied().unwrap_or(f64::NAN);
    println!("{{\"microseconds\": {median:.1}, \"loss\": {last:.4}}}");
    Ok(())
}
