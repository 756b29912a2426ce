//! The thread that advances runs and calls a denoiser for all of them at once.

use std::{
    cell::RefCell,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Instant,
};

use super::{
    Settings,
    call::{Call, Shape, Shared, Slot, said},
    error::RequestError,
    handle::{Owed, Sample},
    metrics::Counters,
    queue::{Next, Queue, Waiting},
    request::Late,
    run::run,
};

type Answer = Result<Sample, RequestError>;

/// A request whose run is under way.
struct Active {
    owed: Owed,
    run: Pin<Box<dyn Future<Output = Answer>>>,
    slot: Rc<Slot>,
    items: usize,
    deadline: Option<Instant>,
    late: Late,
}

pub(super) struct Driver {
    queue: Arc<Queue>,
    denoiser: Shared,
    counters: Arc<Counters>,
    settings: Settings,
    dim: usize,
    call: Rc<RefCell<Call>>,
    active: Vec<Active>,
    /// The requests taken from the queue and not told it as ended.
    running: usize,
}

impl Driver {
    pub(super) fn new(
        queue: Arc<Queue>,
        denoiser: Shared,
        counters: Arc<Counters>,
        settings: Settings,
        dim: usize,
    ) -> Self {
        let call = Rc::new(RefCell::new(Call::new(dim)));
        Self { queue, denoiser, counters, settings, dim, call, active: Vec::new(), running: 0 }
    }

    /// Samples until the pipeline ends.
    pub(super) fn drive(&mut self) {
        loop {
            match catch_unwind(AssertUnwindSafe(|| self.admit() && self.turn())) {
                Ok(true) => {}
                Ok(false) => break,
                // What a run and the denoiser throw is caught before. This is a destructor's of the caller's: the requests are
                // answered as they are dropped, and the driver goes on.
                Err(_) => self.drop_all(),
            }
        }
        for active in &self.active {
            active.owed.0.answer(Err(RequestError::Aborted));
        }
        self.drop_all();
    }

    fn drop_all(&mut self) {
        let active = std::mem::take(&mut self.active);
        drop(catch_unwind(AssertUnwindSafe(|| drop(active))));
        self.queue.ended(std::mem::take(&mut self.running));
    }

    /// Takes in requests while there is room; false at the end.
    fn admit(&mut self) -> bool {
        loop {
            let items: usize = self.active.iter().map(|active| active.items).sum();
            let has_room = self.active.len() < self.settings.active && items < self.settings.rows;
            match self.queue.next(self.active.len(), has_room) {
                Next::Run(waiting) => {
                    self.running += 1;
                    let Waiting { request, owed } = *waiting;
                    let (items, deadline, late) = (request.items, request.deadline, request.late);
                    let slot = Rc::new(Slot::default());
                    let limits = (self.dim, self.settings.request_numbers);
                    let (call, ticket) = (Rc::clone(&self.call), Arc::clone(&owed.0));
                    let run = Box::pin(run(request, call, Rc::clone(&slot), ticket, limits));
                    self.active.push(Active { owed, run, slot, items, deadline, late });
                }
                Next::Work => return true,
                Next::Stop => return false,
            }
        }
    }

    /// One call of the denoiser for all runs, with what comes before and after it.
    fn turn(&mut self) -> bool {
        self.call.borrow_mut().clear();
        let now = Instant::now();
        self.active.retain_mut(|active| active.gather(now));
        let failed = self.evaluate();
        let mut place = 0;
        self.active.retain_mut(|active| {
            let failed = failed.iter().find(|(at, _)| *at == place);
            place += 1;
            match failed {
                Some((_, error)) => {
                    active.owed.0.answer(Err(error.clone()));
                    false
                }
                None => active.serve(),
            }
        });
        let ended = self.running - self.active.len();
        self.running -= ended;
        self.queue.ended(ended);
        true
    }

    /// Evaluates all rows. Where a call with rows of several requests fails, each of them is asked for alone: so an error
    /// is answered to those whose rows it is of. Gives the places of the runs that failed.
    fn evaluate(&self) -> Vec<(usize, RequestError)> {
        let shape = Shape { most: self.settings.rows, multiple: self.settings.multiple };
        let mut call = self.call.borrow_mut();
        let all = 0..call.len();
        let mut failed = Vec::new();
        for part in call.parts(all, shape.most) {
            let Err(error) = call.evaluate(part.clone(), shape, &self.denoiser, &self.counters) else {
                continue;
            };
            let concerned = self.active.iter().enumerate().filter_map(|(place, active)| {
                let asks = active.slot.asks.borrow().clone()?;
                let rows = asks.start.max(part.start)..asks.end.min(part.end);
                (!rows.is_empty()).then_some((place, rows))
            });
            let concerned: Vec<_> = concerned.collect();
            if let [(place, _)] = concerned[..] {
                failed.push((place, error.into()));
                continue;
            }
            for (place, rows) in concerned {
                let Some(active) = self.active.get(place) else { continue };
                // Each may take long: those that need it no more are left out.
                let gone = active.owed.0.is_answered() || active.is_late(Instant::now());
                let result = if self.queue.is_aborting() {
                    Err(RequestError::Aborted)
                } else if gone {
                    Err(RequestError::Expired { rounds: active.slot.rounds.get() })
                } else {
                    let alone = call.evaluate(rows, shape, &self.denoiser, &self.counters);
                    alone.map_err(RequestError::from)
                };
                failed.extend(result.err().map(|error| (place, error)));
            }
        }
        failed
    }
}

impl Active {
    fn is_late(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Has the run put its rows into the call; false where it has ended.
    fn gather(&mut self, now: Instant) -> bool {
        if self.owed.0.is_answered() {
            return false;
        }
        // Rows of an earlier call are there where a run did not take what it had asked for.
        self.slot.is_served.set(false);
        self.slot.asks.take();
        if self.is_late(now) {
            let rounds = self.slot.rounds.get();
            if self.late == Late::Fail || rounds == 0 {
                self.owed.0.answer(Err(RequestError::Expired { rounds }));
                return false;
            }
            self.slot.stop.set(true);
        }
        // A round without rows (nodes that need no network) is followed by the next at once.
        while self.slot.asks.borrow().is_none() {
            if !self.poll() {
                return false;
            }
        }
        true
    }

    /// Has the run take in its outputs; false where it has ended.
    fn serve(&mut self) -> bool {
        self.slot.is_served.set(true);
        self.poll()
    }

    /// Goes on with the run; false where it has ended, and is answered.
    fn poll(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        let answer = match catch_unwind(AssertUnwindSafe(|| self.run.as_mut().poll(&mut context))) {
            Ok(Poll::Pending) => return true,
            Ok(Poll::Ready(answer)) => answer,
            Err(panic) => Err(RequestError::Panicked(said(&*panic))),
        };
        self.owed.0.answer(answer);
        false
    }
}
