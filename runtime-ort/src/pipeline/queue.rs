//! The requests that wait, and how the drivers share them.

use std::{
    cell::Cell,
    collections::VecDeque,
    ptr,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    error::{RequestError, SubmitError},
    handle::Owed,
    put_away,
    request::Request,
};

/// A request that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) request: Request,
    pub(super) owed: Owed,
}

/// Whether requests are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mode {
    /// They are.
    Open,
    /// No more: those that are there are finished.
    Draining,
    /// Nothing is finished.
    Aborting,
}

/// What a driver does next.
#[derive(Debug)]
pub(super) enum Next {
    /// Takes in one more request.
    Run(Box<Waiting>),
    /// Goes on with those that it has.
    Work,
    /// Ends.
    Stop,
}

/// How often the queue is looked through for requests that are late.
const SWEEP: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    /// There is a request, or another mode.
    work: Condvar,
    /// There is room, or another mode.
    room: Condvar,
    /// A driver has ended.
    over: Condvar,
    capacity: usize,
    drivers: usize,
}

#[derive(Debug)]
struct Inner {
    waiting: VecDeque<Waiting>,
    running: usize,
    /// The drivers that have begun and not ended.
    alive: usize,
    mode: Mode,
    swept: Instant,
}

impl Queue {
    pub(super) fn new(capacity: usize, drivers: usize) -> Self {
        let (waiting, swept) = (VecDeque::new(), Instant::now());
        let inner = Inner { waiting, running: 0, alive: 0, mode: Mode::Open, swept };
        let (work, room, over) = (Condvar::new(), Condvar::new(), Condvar::new());
        Self { inner: Mutex::new(inner), work, room, over, capacity, drivers }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a request at the end; waits for room until `until` (`None`: as long as it takes). The ticket is made when there
    /// is room.
    pub(super) fn put<T>(
        &self,
        request: Request,
        until: Option<Instant>,
        ticket: impl FnOnce() -> (Owed, T),
    ) -> Result<T, SubmitError> {
        let mut inner = self.lock();
        loop {
            if inner.mode != Mode::Open {
                return Err(SubmitError::Closed { request: Box::new(request) });
            }
            if inner.waiting.len() < self.capacity {
                let (owed, given) = ticket();
                inner.waiting.push_back(Waiting { request, owed });
                drop(inner);
                self.work.notify_one();
                return Ok(given);
            }
            let now = Instant::now();
            inner = match until {
                Some(until) if until <= now => {
                    let waiting = inner.waiting.len();
                    return Err(SubmitError::Busy { waiting, request: Box::new(request) });
                }
                Some(until) => {
                    self.room.wait_timeout(inner, until - now).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.room.wait(inner).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// What a driver with `own` requests does next; it takes one more only where it `has_room`. Waits where there is nothing
    /// to do. A driver takes no more than its share, so that none stands idle while another has two.
    pub(super) fn next(&self, own: usize, has_room: bool) -> Next {
        let mut inner = self.lock();
        loop {
            if inner.mode == Mode::Aborting {
                return Next::Stop;
            }
            let late = inner.sweep();
            if !late.is_empty() {
                drop(inner);
                self.room.notify_all();
                for waiting in late {
                    waiting.owed.0.answer(Err(RequestError::Expired { rounds: 0 }));
                    put_away(waiting);
                }
                inner = self.lock();
                continue;
            }
            let share = (inner.waiting.len() + inner.running).div_ceil(self.drivers);
            let takes = own == 0 || (has_room && own < share);
            if takes && let Some(waiting) = inner.waiting.pop_front() {
                inner.running += 1;
                drop(inner);
                self.room.notify_one();
                return Next::Run(Box::new(waiting));
            }
            if own > 0 {
                return Next::Work;
            }
            if inner.mode == Mode::Draining {
                return Next::Stop;
            }
            inner = self.work.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A driver has ended so many requests.
    pub(super) fn ended(&self, requests: usize) {
        self.lock().running -= requests;
    }

    /// Takes out a request that has its answer.
    pub(super) fn forget(&self, id: u64) {
        let mut inner = self.lock();
        let place = inner.waiting.iter().position(|waiting| waiting.owed.0.id == id);
        let forgotten = place.and_then(|place| inner.waiting.remove(place));
        drop(inner);
        // What it holds is the caller's (a guard): not dropped under the lock.
        if forgotten.is_some() {
            self.room.notify_one();
            put_away(forgotten);
        }
    }

    /// Goes on to a mode, never back. Under [`Mode::Aborting`] what waits is answered.
    pub(super) fn close(&self, mode: Mode) {
        let mut inner = self.lock();
        inner.mode = inner.mode.max(mode);
        let dropped =
            if inner.mode == Mode::Aborting { std::mem::take(&mut inner.waiting) } else { VecDeque::new() };
        drop(inner);
        self.work.notify_all();
        self.room.notify_all();
        for waiting in dropped {
            waiting.owed.0.answer(Err(RequestError::Aborted));
            put_away(waiting);
        }
    }

    /// A driver is about to begin. It has ended when what is given is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Alive {
        self.lock().alive += 1;
        Alive(Arc::clone(self))
    }

    /// Whether this thread is one of its drivers, which must not wait for themselves.
    pub(super) fn is_own_thread(&self) -> bool {
        DRIVES.with(|drives| ptr::eq(drives.get(), self))
    }

    /// Waits until all drivers have ended.
    pub(super) fn wait_for_end(&self) {
        let mut inner = self.lock();
        while inner.alive > 0 {
            inner = self.over.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// How many wait, and how many are run.
    pub(super) fn size(&self) -> (usize, usize) {
        let inner = self.lock();
        (inner.waiting.len(), inner.running)
    }
}

/// A driver that has not ended.
#[derive(Debug)]
pub(super) struct Alive(Arc<Queue>);

thread_local! {
    /// The queue that this thread is a driver of. Compared, never read through.
    static DRIVES: Cell<*const Queue> = const { Cell::new(ptr::null()) };
}

impl Alive {
    /// Makes this thread the driver.
    pub(super) fn enter(&self) {
        DRIVES.with(|drives| drives.set(Arc::as_ptr(&self.0)));
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.lock().alive -= 1;
        self.0.over.notify_all();
    }
}

impl Inner {
    /// Takes out the requests whose deadline has passed, now and then.
    fn sweep(&mut self) -> Vec<Waiting> {
        let now = Instant::now();
        if now.duration_since(self.swept) < SWEEP {
            return Vec::new();
        }
        self.swept = now;
        let is_late = |waiting: &Waiting| waiting.request.deadline.is_some_and(|deadline| deadline <= now);
        if !self.waiting.iter().any(is_late) {
            return Vec::new();
        }
        let (late, kept) = std::mem::take(&mut self.waiting).into_iter().partition(is_late);
        self.waiting = kept;
        Vec::from(late)
    }
}
