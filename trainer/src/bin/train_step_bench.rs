//! Times one training step of the residual MLP on one thread: forward, backward and Adam.
//!
//! The network, the loss and the optimiser are the ones of tests/peers/train_step.py. Prints one JSON object, with
//! the median microseconds of a step. `tests/peers/train_step.sh` runs both.

use std::time::Instant;

use clap::Parser;
use picardy_trainer::loss::{NoiseTable, Standard};
use picardy_trainer::model::{MlpConfig, Network};
use picardy_trainer::optimiser::{Adam, AdamConfig};
use picardy_trainer::rng::Rng;

#[derive(Parser)]
#[command(about = "Times one training step of the residual MLP on one thread")]
struct Arguments {
    /// Rows of a batch.
    #[arg(long, default_value_t = 128)]
    batch: usize,
    /// Coordinates of an item.
    #[arg(long, default_value_t = 2)]
    dim: usize,
    /// Width of the network.
    #[arg(long, default_value_t = 128)]
    width: usize,
    /// Residual blocks.
    #[arg(long, default_value_t = 2)]
    blocks: usize,
    /// Steps that are timed.
    #[arg(long, default_value_t = 2000)]
    steps: usize,
    /// Steps before those.
    #[arg(long, default_value_t = 200)]
    warmup: usize,
}

fn main() -> anyhow::Result<()> {
    let Arguments { batch, dim, width, blocks, steps, warmup } = Arguments::parse();
    let betas = (0..1000).map(|i| 1e-4 + (2e-2 - 1e-4) * f64::from(i) / 999.0);
    let abar = betas.scan(1.0, |abar, beta| {
        *abar *= 1.0 - beta;
        Some(*abar)
    });
    let table = NoiseTable::new(abar.collect())?;
    let mut model = Network::<f32>::new(MlpConfig { dim, width, blocks }, batch, 0)?;
    let mut adam = Adam::new(AdamConfig::default(), model.parameters().len());
    let mut loss = Standard::new(batch, dim);
    let mut rng = Rng::new(0, 1);
    let mut data = vec![0.0; 4096 * dim];
    rng.fill_normal(&mut data);
    let mut x0 = vec![0.0; batch * dim];
    let mut times = Vec::with_capacity(steps);
    let mut last = 0.0;
    for step in 0..warmup + steps {
        let start = Instant::now();
        for item in x0.chunks_exact_mut(dim) {
            let from = rng.below(data.len() / dim) * dim;
            item.copy_from_slice(&data[from..from + dim]);
        }
        model.zero_gradients();
        last = loss.step(&mut model, &table, &x0, &mut rng)?;
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
