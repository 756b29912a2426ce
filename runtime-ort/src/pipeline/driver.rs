//! The thread that advances runs and calls a denoiser for all of them at once.

use std::{
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
    call::{Call, Shared, Slot, said},
    error::RequestError,
    handle::{Owed, Sample},
    metrics::Counters,
    put_away,
    queue::{Next, Queue, Waiting},
    request::Late,
    run::run,
    share::{Claim, share},
};

type Answer = Result<Sample, RequestError>;

/// A request whose run is under way.
struct Active {
    owed: Owed,
    run: Pin<Box<dyn Future<Output = Answer>>>,
    slot: Rc<Slot>,
    items: usize,
    /// When it last had rows in a call, in shares given.
    served: u64,
    /// A call that it shared has failed: its rows are asked for alone until its round is done.
    alone: bool,
    deadline: Option<Instant>,
    late: Late,
}

pub(super) struct Driver {
    queue: Arc<Queue>,
    denoiser: Shared,
    counters: Arc<Counters>,
    settings: Settings,
    dim: usize,
    call: Call,
    /// The shares given so far.
    shares: u64,
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
        let call = Call::new(dim);
        Self { queue, denoiser, counters, settings, dim, call, shares: 0, active: Vec::new(), running: 0 }
    }

    /// Samples until the pipeline ends.
    pub(super) fn drive(&mut self) {
        loop {
            match catch_unwind(AssertUnwindSafe(|| self.admit() && self.turn())) {
                Ok(true) => {}
                Ok(false) => break,
                // What a run, the denoiser, a waker and a destructor throw is caught before. Whatever this is: the requests
                // are answered as they are dropped, and the driver goes on.
                Err(_) => self.drop_all(),
            }
        }
        for active in &self.active {
            active.owed.0.answer(Err(RequestError::Aborted));
        }
        self.drop_all();
    }

    fn drop_all(&mut self) {
        std::mem::take(&mut self.active).into_iter().for_each(put_away);
        self.queue.ended(std::mem::take(&mut self.running));
    }

    /// Takes in requests while there is room; false at the end.
    fn admit(&mut self) -> bool {
        loop {
            // A wide request leaves room for others: they share its calls.
            let most = self.settings.rows.div_ceil(WIDE);
            let items =
                self.active.iter().map(|active| active.items.min(most)).fold(0, usize::saturating_add);
            let has_room = self.active.len() < self.settings.active && items < self.settings.rows;
            match self.queue.next(self.active.len(), has_room) {
                Next::Run(waiting) => {
                    self.running += 1;
                    let Waiting { request, owed } = *waiting;
                    let (items, deadline, late) = (request.items, request.deadline, request.late);
                    let slot = Rc::new(Slot::default());
                    let limits = (self.dim, self.settings.request_numbers);
                    let ticket = Arc::clone(&owed.0);
                    let run = Box::pin(run(request, Rc::clone(&slot), ticket, limits));
                    let (served, alone) = (0, false);
                    self.active.push(Active { owed, run, slot, items, served, alone, deadline, late });
                }
                Next::Work => return true,
                Next::Stop => return false,
            }
        }
    }

    /// One call of the denoiser, with what comes before and after it. So an abort, a cancellation and a deadline take no
    /// longer than a call, however many calls a run's round needs.
    fn turn(&mut self) -> bool {
        let now = Instant::now();
        self.keep(|active| active.gather(now));
        self.evaluate();
        self.keep(Active::serve);
        let ended = self.running - self.active.len();
        self.running -= ended;
        self.queue.ended(ended);
        true
    }

    /// Puts those away for which `goes_on` is false.
    fn keep(&mut self, mut goes_on: impl FnMut(&mut Active) -> bool) {
        for mut active in std::mem::take(&mut self.active) {
            if goes_on(&mut active) { self.active.push(active) } else { put_away(active) }
        }
    }

    /// Evaluates rows of the runs in one call. Where one with rows of several requests fails, each of them is asked for alone
    /// in the calls to come: so an error is answered to those whose rows it is of.
    fn evaluate(&mut self) {
        let claim = |(place, active): (usize, &Active)| {
            let rows = active.slot.ask.borrow().left();
            Claim { place, rows, served: active.served, alone: active.alone }
        };
        let shares = share(self.active.iter().enumerate().map(claim).collect(), self.settings.rows);
        let part = |&(place, rows): &(usize, usize)| Some((&*self.active.get(place)?.slot, rows));
        let parts: Vec<_> = shares.iter().filter_map(part).collect();
        if parts.is_empty() {
            return;
        }
        let result = self.call.evaluate(&parts, self.settings.multiple, &self.denoiser, &self.counters);
        for &(place, _) in &shares {
            let Some(active) = self.active.get_mut(place) else { continue };
            self.shares += 1;
            active.served = self.shares;
            match &result {
                Ok(()) => {}
                Err(_) if shares.len() > 1 => active.alone = true,
                // It is put away as answered.
                Err(error) => _ = active.owed.0.answer(Err(error.clone().into())),
            }
        }
    }
}

/// The most wide requests that a driver samples at a time: each counts as no more than such a part of a call.
const WIDE: usize = 8;

impl Active {
    fn is_late(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Has the run say which rows it needs; false where it has ended.
    fn gather(&mut self, now: Instant) -> bool {
        if self.owed.0.is_answered() {
            return false;
        }
        if self.is_late(now) {
            let rounds = self.slot.rounds.get();
            if self.late == Late::Fail || rounds == 0 {
                self.owed.0.answer(Err(RequestError::Expired { rounds }));
                return false;
            }
            self.slot.stop.set(true);
            self.slot.ask.borrow_mut().close();
        }
        if self.slot.ask.borrow().is_full() {
            // A run that did not take what it had asked for.
            self.slot.ask.borrow_mut().close();
        }
        // A round without rows (nodes that need no network) is followed by the next at once.
        while !self.slot.ask.borrow().is_open() {
            if !self.poll() {
                return false;
            }
        }
        true
    }

    /// Has the run take in its outputs, where all are there; false where it has ended.
    fn serve(&mut self) -> bool {
        if self.owed.0.is_answered() {
            return false;
        }
        if !self.slot.ask.borrow().is_full() {
            return true;
        }
        self.alone = false;
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
