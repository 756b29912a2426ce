//! One request's run, as a future: it stands still wherever it waits for the network.
//!
//! A core run borrows its plan, its noise and its memory. In an `async` function all of them lie in one value that the driver
//! owns, so a thread keeps hundreds of runs without a stack for each.

use std::{cell::RefCell, future::poll_fn, rc::Rc, sync::Arc, task::Poll};

use picardy::{Memory, Noise, Run, SampleError, Sampler, SetupError};

use super::{
    call::{Call, Slot, Tap},
    error::RequestError,
    handle::{Progress, Sample, Ticket},
    request::{Boxed, Request},
};

/// Gives the driver its turn, once.
async fn turn() {
    let mut given = false;
    poll_fn(|_| if std::mem::replace(&mut given, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// Samples a request. Whenever it stands still, its rows are in the call, or it has none and is to be polled again.
pub(super) async fn run(
    request: Request,
    call: Rc<RefCell<Call>>,
    slot: Rc<Slot>,
    ticket: Arc<Ticket>,
    (dim, most): (usize, usize),
) -> Result<Sample, RequestError> {
    let waited = ticket.submitted.elapsed();
    let Request { plan, sampler, items, seed, first_item, start, guard, tag, .. } = request;
    let plan = plan.plan()?;
    let noise = Noise::seeded(seed).from_item(first_item);
    let need = sampler.need(&plan, items);
    let needed = need.numbers(dim).saturating_add(items.saturating_mul(dim));
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
    let mut tap = Tap { call, slot: Rc::clone(&slot), tag, guard: guard.map(Boxed) };
    let mut run = sampler.begin(&plan, &noise, &x, &mut workspace)?;
    let mut is_late = false;
    loop {
        match run.round(&mut tap) {
            Ok(Some(round)) => {
                slot.rounds.set(round.rounds);
                ticket.advance(Progress { rounds: round.rounds, done: round.done, last: round.last });
                if round.is_finished() {
                    break;
                }
            }
            Ok(None) => break,
            Err(SampleError::Denoiser(_)) => {}
            Err(error) => return Err(of(error)),
        }
        turn().await;
        if slot.stop.get() {
            is_late = true;
            break;
        }
    }
    let report = run.finish(&mut x);
    Ok(Sample { x, report, late: is_late, waited, took: ticket.submitted.elapsed() })
}

fn of<E>(error: SampleError<E>) -> RequestError {
    match error {
        SampleError::Setup(error) => error.into(),
        SampleError::NotFinite { item, node } => RequestError::NotFinite { item, node },
        SampleError::Overflow { item, node } => RequestError::Overflow { item, node },
        SampleError::Guard(error) => error.into(),
        // `NotYet` is the driver's, and an error that core has since learnt has no case here.
        _ => RequestError::Panicked("the sampler failed in a way that is not known here".to_owned()),
    }
}
