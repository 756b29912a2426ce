//! One request's run, as a future: it stands still wherever it waits for the network.
//!
//! A core run borrows its plan, its noise and its memory. In an `async` function all of them lie in one value that the driver
//! owns, so a thread keeps hundreds of runs without a stack for each.

use std::{future::poll_fn, rc::Rc, sync::Arc, task::Poll};

use picardy::{
    AnyRun, Denoiser, Guarded, Guided, GuidedError, Memory, Noise, Run, SampleError, Sampler, SetupError,
    SliceFrames,
};

use super::{
    call::{NotYet, Slot, Tap},
    error::RequestError,
    handle::{Progress, Sample, Ticket},
    request::{Boxed, Guidance, Request},
};

/// Gives the driver its turn, once.
async fn turn() {
    let mut given = false;
    poll_fn(|_| if std::mem::replace(&mut given, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// Samples a request. Whenever it stands still, its rows are in the slot, or it has none and is to be polled again.
pub(super) async fn run(
    request: Request,
    slot: Rc<Slot>,
    ticket: Arc<Ticket>,
    (dim, most): (usize, usize),
) -> Result<Sample, RequestError> {
    let waited = ticket.submitted.elapsed();
    let Request { plan, sampler, items, seed, first_item, start, guidance, guard, tag, .. } = request;
    let plan = plan.plan()?;
    let noise = Noise::seeded(seed).from_item(first_item);
    let need = sampler.need(&plan, items);
    // A call has no more rows than the workspace.
    let needs_guided = if guidance.is_some() {
        need.numbers(dim).saturating_mul(Guided::<(), SliceFrames<'_, f32>>::rows(1))
    } else {
        0
    };
    let needed = need.numbers(dim).saturating_add(items.saturating_mul(dim)).saturating_add(needs_guided);
    if needed.max(need.spans) > most {
        return Err(RequestError::Memory { needed, most });
    }
    let mut x = match start {
        Some(start) if start.len() == items * dim => start,
        Some(start) => return Err(SetupError::Shape { len: start.len(), dim }.into()),
        None => {
            let mut x = vec![0.0; items * dim];
            plan.start(&noise, dim, &mut x);
            x
        }
    };
    let mut memory = Memory::new();
    let mut workspace = memory.workspace(need, dim);
    let tap = Tap { slot: Rc::clone(&slot), tag };
    let mut guided = vec![0.0; needs_guided];
    let mut run = sampler.begin(&plan, &noise, &x, &mut workspace)?;
    let is_late = match (guidance, guard) {
        (None, None) => rounds(&mut run, tap, &slot, &ticket).await?,
        (None, Some(guard)) => rounds(&mut run, Guarded::new(tap, Boxed(guard)), &slot, &ticket).await?,
        (Some(Guidance { weight, rescale }), guard) => {
            let guided = Guided::new(tap, SliceFrames::new(&mut guided, dim), weight).rescaled(rescale);
            match guard {
                None => rounds(&mut run, guided, &slot, &ticket).await?,
                Some(guard) => rounds(&mut run, Guarded::new(guided, Boxed(guard)), &slot, &ticket).await?,
            }
        }
    };
    let report = run.finish(&mut x);
    Ok(Sample { x, report, late: is_late, waited, took: ticket.submitted.elapsed() })
}

/// Goes through the rounds, to the end or until it is told to stop; says whether it was.
async fn rounds<'f, D>(
    run: &mut AnyRun<'_, SliceFrames<'f, f32>>,
    mut denoiser: D,
    slot: &Slot,
    ticket: &Ticket,
) -> Result<bool, RequestError>
where
    D: Denoiser<SliceFrames<'f, f32>>,
    D::Error: Refusal,
{
    loop {
        match run.round(&mut denoiser) {
            Ok(Some(round)) => {
                slot.rounds.set(round.rounds);
                ticket.advance(Progress { rounds: round.rounds, done: round.done, last: round.last });
                if round.is_finished() {
                    return Ok(false);
                }
            }
            Ok(None) => return Ok(false),
            Err(error) => {
                if let Some(error) = of(error) {
                    return Err(error);
                }
            }
        }
        turn().await;
        if slot.stop.get() {
            return Ok(true);
        }
    }
}

/// What a request's denoiser fails with: that the outputs are not there yet, or something in its own settings.
trait Refusal {
    fn reason(self) -> Option<RequestError>;
}

impl Refusal for NotYet {
    fn reason(self) -> Option<RequestError> {
        None
    }
}

impl Refusal for GuidedError<NotYet> {
    fn reason(self) -> Option<RequestError> {
        match self {
            Self::Denoiser(NotYet) => None,
            other => Some(RequestError::Guidance(other.to_string())),
        }
    }
}

/// Why a request ends; `None` where its rows wait for their outputs.
fn of<E: Refusal>(error: SampleError<E>) -> Option<RequestError> {
    Some(match error {
        SampleError::Denoiser(error) => return error.reason(),
        SampleError::Setup(error) => error.into(),
        SampleError::NotFinite { item, node } => RequestError::NotFinite { item, node },
        SampleError::Overflow { item, node } => RequestError::Overflow { item, node },
        SampleError::Guard(error) => error.into(),
        // An error that core has since learnt has no case here.
        _ => RequestError::Panicked("the sampler failed in a way that is not known here".to_owned()),
    })
}
