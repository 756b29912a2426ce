//! Sampling with states that stay on the model's device.

use picardy::config::{ConfigGuard, SchedulerConfig};
use picardy::{AnySampler, Guarded, Guided, Need, Plan, Report, Sampler, SpareRows, guard::Clamp};
use picardy_ort::{Element, GpuGraphs, OrtDenoiser, OrtError, Provider, ResidentFrames};

use super::{SampleArgs, run_over};

/// What a run asks of its rows beside the network.
struct Asked {
    guidance: Option<f64>,
    clamp: Option<Clamp>,
    /// The most rows of a call.
    call: usize,
}

/// Samples on the device. `None` where a part of the run needs rows in host memory: the processor's provider, guidance that
/// rescales, limits beside plain clipping, guidance under other samplers than these two, types that the device has no kernels for.
pub(super) fn sample(
    args: &SampleArgs,
    plan: &Plan<'_>,
    config: Option<SchedulerConfig>,
    sampler: &AnySampler,
    denoiser: &mut OrtDenoiser,
) -> anyhow::Result<Option<(Vec<f32>, Report)>> {
    let rescaled = args.signature.guidance_rescale.is_some_and(|rescale| rescale != 0.0);
    let clamp = match config.map(|config| (config.guard, config.keeps_noise)) {
        None | Some((None, _)) => None,
        Some((Some(ConfigGuard::Clamp(clamp)), false)) => Some(clamp),
        Some(_) => return Ok(None),
    };
    if denoiser.model().provider() == Provider::Cpu || rescaled {
        return Ok(None);
    }
    let (batch, guidance) = (args.batch as usize, args.signature.guidance);
    let call = match sampler {
        AnySampler::Sequential(_) => batch,
        AnySampler::Picard(picard) => {
            batch.saturating_mul(picard.window.min(plan.evaluations())).min(picard.rows)
        }
        // How many rows guidance takes is not known of the others.
        _ if guidance.is_some() => return Ok(None),
        _ => batch,
    };
    run(args, sampler, plan, denoiser, &Asked { guidance, clamp, call })
}

fn run(
    args: &SampleArgs,
    sampler: &impl Sampler,
    plan: &Plan<'_>,
    denoiser: &mut OrtDenoiser,
    asked: &Asked,
) -> anyhow::Result<Option<(Vec<f32>, Report)>> {
    let need = sampler.need(plan, args.batch as usize);
    let spare = SpareRows {
        first: need.rows,
        rows: asked.guidance.map_or(0, |_| Guided::<OrtDenoiser, SpareRows>::rows(asked.call)),
    };
    let rows = Need { rows: need.rows.saturating_add(spare.rows), ..need };
    let mut frames = ResidentFrames::new(denoiser.model().provider(), rows, denoiser.item_shape())?;
    let [x, _, out] = denoiser.ports();
    for element in [x, out].into_iter().filter_map(|port| port.element.and_then(Element::of)) {
        match frames.supports(element) {
            Err(error @ OrtError::NotOnDevice { .. }) => {
                eprintln!("note: sampled with rows in host memory: {error}");
                return Ok(None);
            }
            supported => supported?,
        }
    }
    let guided = |denoiser, weight| Guided::new(denoiser, spare, weight);
    let counter = frames.counter();
    let done = match (asked.guidance, asked.clamp) {
        (None, None) => run_over(args, sampler, plan, denoiser, frames),
        (None, Some(clamp)) => run_over(args, sampler, plan, &mut Guarded::new(denoiser, clamp), frames),
        (Some(weight), None) => run_over(args, sampler, plan, &mut guided(denoiser, weight), frames),
        (Some(weight), Some(clamp)) => {
            run_over(args, sampler, plan, &mut Guarded::new(guided(denoiser, weight), clamp), frames)
        }
    }?;
    if args.gpu_graphs != GpuGraphs::Off {
        eprintln!("note: {} runs repeated a captured graph", counter.get().captured);
    }
    if let Some(why) = counter.uncaptured() {
        eprintln!("note: not all runs are captured: {why}");
    }
    Ok(Some(done))
}
