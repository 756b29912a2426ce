//! What examples/c/main.c prints, by core itself: `reference MODEL.safetensors`. tests/c.sh compares them.

use picardy::guard::{Guard, Limits};
use picardy::horizon::{Chunk, Overlap, renoise, shift};
use picardy::likelihood::{BANDS, Buffers, Likelihood, LogSnrs, Nats, Threshold, Typical, View};
use picardy::nn::{Aligned, Artifact, MlpDenoiser, ModelCard, ResidualMlp};
use picardy::{
    Betas, Ddim, Ddpm, Denoiser, DpmSolverPp, Level, Mark, Mixture, Node, Noise, Picard, Plan, Prediction,
    Row, Run, Sampler, Sequential, SliceFrames, Solver, Span, Workspace,
};
use std::error::Error;

type Frames<'a> = SliceFrames<'a, f32>;

fn sample<D>(
    name: &str,
    plan: &Plan<'_>,
    sampler: &impl Sampler,
    denoiser: &mut D,
    most_rounds: usize,
) -> Result<(), Box<dyn Error>>
where
    D: for<'a> Denoiser<Frames<'a>, Error: Error + 'static>,
{
    let (noise, mut x) = (Noise::seeded(7), [0.0f32; 4]);
    plan.start(&noise, 2, &mut x);
    let (mut memory, mut spans, mut marks) = ([0.0; 1024], [Span::default(); 4], [Mark::default(); 64]);
    let mut workspace = Workspace::new(SliceFrames::new(&mut memory, 2), &mut spans).with_marks(&mut marks);
    let mut run = sampler.begin(plan, &noise, &x, &mut workspace)?;
    for _ in 0..most_rounds {
        if run.round(denoiser)?.is_none() {
            break;
        }
    }
    run.finish(&mut x);
    for (item, x) in x.chunks(2).enumerate() {
        println!("sample {name} {item} {:.7} {:.7}", x[0], x[1]);
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("give the path of a model")?;
    let file = std::fs::read(path)?;
    let mut bytes = Box::new(Aligned([0u8; 1 << 16]));
    bytes.0.get_mut(..file.len()).ok_or("a model of at most 64 KiB")?.copy_from_slice(&file);
    let artifact = Artifact::parse(&bytes.0[..file.len()])?;
    let network = ResidualMlp::from_artifact(&artifact)?;
    let card = network.card(&artifact)?;
    let mut scratch = vec![0.0; network.scratch_len(4)];
    let mut trained = MlpDenoiser::new(network, &mut scratch);
    let mut exact =
        Mixture::new(&[-1.0, -1.0, 1.0, 1.0], &[0.5, 0.5], 0.1, 2)?.predicting(Prediction::Epsilon);

    let mut nodes = [[Node::default(); 11]; 4];
    let [ddim, dpm, ddpm, own] = &mut nodes;
    let mut levels = [Level::default(); 11];
    let grid = card.schedule.trailing(10, &mut levels)?;
    let ddim = Ddim::default().plan(&grid, card.prediction, ddim)?;
    let dpm = DpmSolverPp::order2().plan(&grid, card.prediction, dpm)?;
    let ddpm = Ddpm::default().plan(&grid, card.prediction, ddpm)?;
    let mut levels = [Level::default(); 11];
    let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(10, &mut levels)?;
    let own = Ddim::default().plan(&grid, Prediction::Epsilon, own)?;
    let picard = Picard { data_variance: card.data_variance, ..Picard::default() };

    sample("ddim", &ddim, &Sequential, &mut trained, 100)?;
    sample("dpmpp2m", &dpm, &Sequential, &mut trained, 100)?;
    sample("ddpm", &ddpm, &Sequential, &mut trained, 100)?;
    sample("picard", &ddpm, &picard, &mut trained, 100)?;
    sample("stopped", &ddim, &Sequential, &mut trained, 3)?;
    sample("exact", &own, &Sequential, &mut exact, 100)?;
    sample("exact-picard", &own, &picard, &mut exact, 100)?;
    sample("best-after-3", &ddim, &Sequential, &mut trained, 3)?;
    sample("stepped", &ddim, &Sequential, &mut trained, 100)?;
    receding()?;
    classify(&card, &mut trained)
}

/// Between two plans of a robot.
fn receding() -> Result<(), Box<dyn Error>> {
    let chunk = Chunk::new(2, 2)?;
    let mut x: [f32; 4] = core::array::from_fn(|i| 0.5 * i as f32 - 0.25);
    let (mut weights, mut warm) = ([0.0f32; 4], [0.0f32; 4]);
    shift(chunk, 1, &mut x)?;
    Overlap { delay: 0, executed: 1 }.fill(chunk, &mut weights)?;
    let level = Level { alpha: 0.6, sigma: 0.8, t: 40.0 };
    renoise(&level, &x, &Noise::seeded(7), chunk.dim(), &mut warm)?;
    let mut limits = Limits::new(2, 0.4, 0.3)?.after(&[0.0, 0.0], &[0.1, 0.0])?;
    let at = Row { item: 0, node: 0, level: Level::DATA, conditional: true };
    limits.apply(&at, &mut SliceFrames::new(&mut x, chunk.dim()), 0)?;
    for (name, x) in [("held", weights), ("warm", warm), ("limited", x)] {
        for (item, x) in x.chunks(2).enumerate() {
            println!("sample {name} {item} {:.7} {:.7}", x[0], x[1]);
        }
    }
    Ok(())
}

/// How likely two inputs are, how noisy, and whether they are alarms.
fn classify<D>(card: &ModelCard<'_>, denoiser: &mut D) -> Result<(), Box<dyn Error>>
where
    D: for<'a> Denoiser<Frames<'a>, Error: Error + 'static>,
{
    let steps = card.schedule.most_steps();
    let mut levels = vec![Level::default(); steps + 1];
    let known = card.schedule.trailing(steps, &mut levels)?.levels();
    let likelihood = Likelihood {
        levels: LogSnrs::for_eigenvalues(&[1.0]),
        evaluations: 32,
        variance: card.data_variance,
        seed: 7,
        view: |l| View::nearest(known, card.prediction, l),
    };
    let (mut memory, mut nodes) = ([0.0f32; 256], [Node::default(); 64]);
    let mut buffers = Buffers::new(SliceFrames::new(&mut memory, 2), &mut nodes);
    let units = card.data_mean.iter().zip(card.data_scale.iter()).cycle();
    let x: Vec<f32> =
        [50.0, 60.0, 70.0, 110.0].iter().zip(units).map(|(x, (m, s))| ((x - m) / s) as f32).collect();
    let noisy = Level { alpha: 0.8, sigma: 0.6, t: 0.0 };
    let (mut density, mut ratio, mut posterior) = ([Nats::default(); 2], [Nats::default(); 2], [0.0; 2]);
    likelihood.log_density(denoiser, &x, &mut buffers, &mut density)?;
    likelihood.log_ratio(denoiser, &noisy, &x, &mut buffers, &mut ratio)?;
    likelihood.posterior(denoiser, &[Level::DATA, noisy], &[], &x[..2], &mut buffers, &mut posterior)?;
    for (name, nats) in [("density", density), ("ratio", ratio)] {
        for (item, nats) in nats.iter().enumerate() {
            println!("sample {name} {item} {:.7} {:.7}", nats.value, nats.standard_error);
        }
    }
    println!("sample posterior 0 {:.7} {:.7}", posterior[0], posterior[1]);
    let held_out: [f32; 64] = core::array::from_fn(|i| (i * 37 % 64) as f32 / 32.0 - 1.0);
    let (mut profiles, mut odd) = ([[0.0; BANDS]; 32], [[0.0; BANDS]; 2]);
    likelihood.profile(denoiser, &held_out, &mut buffers, &mut profiles)?;
    let typical = Typical::fit(&profiles[..16])?;
    let mut scores: [f64; 16] = core::array::from_fn(|i| typical.score(&profiles[16 + i]));
    let threshold = Threshold::calibrate(&mut scores, 0.1)?;
    likelihood.profile(denoiser, &x, &mut buffers, &mut odd)?;
    for (item, profile) in odd.iter().enumerate() {
        let score = typical.score(profile);
        let alarm = f64::from(u8::from(threshold.is_alarm(score)));
        println!("sample alarm {item} {alarm:.7} {:.7}", threshold.value / score);
    }
    Ok(())
}
