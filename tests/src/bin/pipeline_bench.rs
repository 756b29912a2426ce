//! What batching over requests brings: DDIM 20, one item a request, from 8 threads, against one request after the other; the
//! residual network through ONNX Runtime on one thread, its weights random.
//!
//! `cargo run --release -p picardy-tests --bin pipeline_bench [requests]`

use picardy::{Betas, Ddim, Memory, Noise, Plan, Prediction, Sampler, Sequential};
use picardy::{Level, Node, Solver};
use picardy_ort::pipeline::{Pipeline, Request, Settings, SharedPlan, measure};
use picardy_ort::{Model, Options, OrtDenoiser, ensure_runtime};
use picardy_trainer::export::onnx;
use picardy_trainer::model::{MlpConfig, Network};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

const STEPS: usize = 20;
const THREADS: usize = 8;

fn one_by_one(denoiser: &mut OrtDenoiser, plan: &Plan<'_>, requests: usize) -> anyhow::Result<Vec<Vec<f32>>> {
    let dim = denoiser.dim();
    let mut memory = Memory::new();
    let sample = |seed| {
        let (noise, mut x) = (Noise::seeded(seed as u64), vec![0.0; dim]);
        plan.start(&noise, dim, &mut x);
        let mut workspace = memory.workspace(Sequential.need(plan, 1), dim);
        Sequential.run(plan, denoiser, &noise, &mut x, &mut workspace)?;
        Ok(x)
    };
    (0..requests).map(sample).collect()
}

fn together(pipeline: &Pipeline, plan: &SharedPlan, requests: usize) -> anyhow::Result<Vec<Vec<f32>>> {
    let samples = Mutex::new(vec![Vec::new(); requests]);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..THREADS)
            .map(|client| {
                let samples = &samples;
                scope.spawn(move || -> anyhow::Result<()> {
                    let own = (client..requests).step_by(THREADS);
                    let handles =
                        own.map(|i| Ok((i, pipeline.submit(Request::new(plan, 1).seed(i as u64))?)));
                    for handle in handles.collect::<anyhow::Result<Vec<_>>>()? {
                        let sample = handle.1.wait()?;
                        samples.lock().unwrap_or_else(std::sync::PoisonError::into_inner)[handle.0] =
                            sample.x;
                    }
                    Ok(())
                })
            })
            .collect();
        clients.into_iter().try_for_each(|client| match client.join() {
            Ok(ended) => ended,
            Err(_) => anyhow::bail!("a client panicked"),
        })
    })?;
    Ok(samples.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
}

/// How far a row's output in calls of 2 to 64 rows is from its output alone.
fn kernels(denoiser: &mut OrtDenoiser) -> anyhow::Result<()> {
    let dim = denoiser.dim();
    let (mut x, noise) = (vec![0.0f32; 64 * dim], Noise::seeded(5));
    x.chunks_mut(dim).enumerate().for_each(|(item, x)| noise.fill(1.0, item, 0, x));
    let time = |row: usize| (row * 15) as f64;
    let mut alone = vec![0.0f32; x.len()];
    for (row, (x, out)) in x.chunks(dim).zip(alone.chunks_mut(dim)).enumerate() {
        denoiser.run(x, [time(row)].into_iter(), out)?;
    }
    let (mut most, mut same, mut all) = (0.0f32, 0, 0);
    for rows in 2..=64 {
        let mut out = vec![0.0f32; rows * dim];
        denoiser.run(&x[..rows * dim], (0..rows).map(time), &mut out)?;
        for (a, b) in out.iter().zip(&alone) {
            anyhow::ensure!((a - b).is_finite(), "{a} together, {b} alone");
            (most, same, all) = (most.max((a - b).abs()), same + usize::from(a == b), all + 1);
        }
    }
    let size = (alone.iter().map(|x| x * x).sum::<f32>() / alone.len() as f32).sqrt();
    let share = 100.0 * same as f64 / f64::from(all);
    println!(
        "outputs of size {size:.2} alone and in 2 to 64 rows: {share:.1} % the same to the bit, {most:.1e} apart at most"
    );
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let requests = std::env::args().nth(1).map_or(Ok(2000), |given| given.parse())?;
    ensure_runtime()?;
    let betas = Betas::linear(1000, 1e-4, 2e-2);
    let (mut levels, mut nodes) = ([Level::default(); STEPS + 1], [Node::default(); STEPS + 1]);
    let grid = betas.trailing(STEPS, &mut levels)?;
    let middle = grid.levels()[STEPS / 2];
    let plan = Ddim::default().plan(&grid, Prediction::Epsilon, &mut nodes)?;
    let shared = SharedPlan::new(&plan);
    for (dim, width, blocks) in [(2, 64, 2), (2, 128, 3), (64, 256, 3), (64, 1024, 3)] {
        let config = MlpConfig { dim, width, blocks };
        let mut network = Network::<f32>::new(config, 1, 0)?;
        // The last layer begins at zero: outputs of about one.
        let (noise, scale) = (Noise::seeded(1), (width as f32).powf(-0.5));
        for (i, block) in network.parameters_mut().chunks_mut(4).enumerate() {
            block.iter_mut().zip(noise.block(i, 0, 0)).for_each(|(p, z)| *p += scale * z as f32);
        }
        let bytes = onnx(&network, &[])?;
        let load = || OrtDenoiser::new(Model::from_bytes(&bytes, Options::default())?);
        let mut alone = load()?;
        kernels(&mut alone)?;
        let sizing =
            measure(&mut alone, middle, 1024, Duration::from_secs(3)).map_err(anyhow::Error::from_boxed)?;
        println!("best at {} rows a call, {} as fast as one", sizing.rows, sizing.as_one);
        one_by_one(&mut alone, &plan, 20)?;
        let started = Instant::now();
        let wanted = one_by_one(&mut alone, &plan, requests)?;
        let before = requests as f64 / started.elapsed().as_secs_f64();
        for (drivers, multiple) in [(1, 1), (1, 16), (2, 1)] {
            let mut denoisers: Vec<Box<dyn picardy_ort::pipeline::RowDenoiser>> = Vec::new();
            for _ in 0..drivers {
                denoisers.push(Box::new(load()?));
            }
            let pipeline = Pipeline::new(denoisers, Settings { multiple, ..Settings::default() })?;
            together(&pipeline, &shared, 200)?;
            let started = Instant::now();
            let samples = together(&pipeline, &shared, requests)?;
            let rate = requests as f64 / started.elapsed().as_secs_f64();
            let pairs = samples.iter().flatten().zip(wanted.iter().flatten());
            let (mut most, mut size, mut same) = (0.0f32, 0.0f32, 0);
            for (a, b) in pairs {
                anyhow::ensure!((a - b).is_finite(), "{a} together, {b} alone");
                (most, size) = (most.max((a - b).abs()), size.max(b.abs()));
                same += usize::from(a == b);
            }
            let metrics = pipeline.metrics();
            println!(
                "dim {dim}, width {width} x {blocks}, {drivers} session(s), multiples of {multiple}: {rate:.0} requests/s, {:.1} times one by one \
                 ({before:.0}); {:.1} rows a call; largest difference {most:.1e} of {size:.1}, {:.1} % the same to the bit",
                rate / before,
                metrics.mean_rows(),
                100.0 * same as f64 / (requests * dim) as f64,
            );
        }
    }
    Ok(())
}
