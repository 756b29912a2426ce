//! Which server is asked, when another one is, and whose answer counts.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use ureq::Agent;

use super::{RemoteOptions, endpoint::Endpoint, error::RemoteError, protocol::Form};

/// No other server is asked before.
const LEAST_PATIENCE: Duration = Duration::from_millis(20);
/// Where it is not known what is usual, another server is asked after such a part of the timeout.
const PATIENCE: u32 = 8;
/// A server that has not answered within the timeout is avoided for so many times the timeout.
const AVOIDED: u32 = 10;

#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) form: Form,
    pub(super) agent: Agent,
    pub(super) options: RemoteOptions,
    pub(super) answered: AtomicUsize,
    pub(super) failed: AtomicUsize,
    pub(super) hedged: AtomicUsize,
    /// Whose turn it is; held from looking at the servers' loads to adding to one.
    turn: Mutex<usize>,
}

/// A request under way.
struct Load {
    fleet: Arc<Fleet>,
    index: usize,
}

impl Drop for Load {
    fn drop(&mut self) {
        self.endpoint().end();
    }
}

impl Load {
    fn endpoint(&self) -> &Endpoint {
        &self.fleet.endpoints[self.index]
    }

    /// Asks the server once, and remembers how it went.
    fn ask(self, x: &[f32], t: &[f64], time: Duration) -> Result<Vec<f32>, RemoteError> {
        let (fleet, endpoint) = (&self.fleet, self.endpoint());
        let Fleet { agent, form, options, .. } = &**fleet;
        let item = options.item_shape.as_deref();
        let begun = Instant::now();
        let result = endpoint.check(agent, form, item, options.transfer, time).and_then(|binary| {
            let mut out = vec![0.0; x.len()];
            let (asked, left) = (Instant::now(), time.saturating_sub(begun.elapsed()));
            endpoint.infer(agent, form, binary, (x, t), &mut out, left)?;
            endpoint.succeeded(t.len(), asked.elapsed());
            Ok(out)
        });
        match &result {
            // The first is the caller's fault.
            Err(RemoteError::NotFinite { .. }) | Ok(_) => {}
            Err(_) => {
                fleet.failed.fetch_add(1, Ordering::Relaxed);
                endpoint.failed(options.backoff, options.backoff_most);
                // Timers are not exact.
                if begun.elapsed() >= options.timeout.mul_f64(0.95) {
                    endpoint.avoid(options.timeout.saturating_mul(AVOIDED));
                }
            }
        }
        result
    }
}

impl Fleet {
    pub(super) fn new(endpoints: Vec<Endpoint>, form: Form, agent: Agent, options: RemoteOptions) -> Self {
        let [answered, failed, hedged] = [(); 3].map(|()| AtomicUsize::new(0));
        Self { endpoints, form, agent, options, answered, failed, hedged, turn: Mutex::default() }
    }

    /// Evaluates rows by one request: again elsewhere where it fails, and elsewhere too where it takes unusually long.
    pub(super) fn ask(
        self: &Arc<Self>,
        (x, t): (&[f32], &[f64]),
        out: &mut [f32],
        until: Option<Instant>,
    ) -> Result<(), RemoteError> {
        let options = &self.options;
        let (send, receive) = mpsc::channel();
        // Servers that would fail again, and servers that have not answered yet.
        let count = self.endpoints.len();
        let (mut refused, mut asked) = (vec![false; count], vec![false; count]);
        let mut shared: Option<Arc<(Vec<f32>, Vec<f64>)>> = None;
        let mut last: Option<RemoteError> = None;
        let (mut attempts, mut due) = (0, Instant::now());
        loop {
            let now = Instant::now();
            let left = until.map_or(options.deadline, |until| until.saturating_duration_since(now));
            let deadline = |waits: &str, last: &Option<RemoteError>| RemoteError::Deadline {
                time: options.deadline,
                last: last.as_ref().map_or_else(|| format!("waiting for {waits}"), ToString::to_string),
            };
            let waits = asked.iter().position(|&asked| asked);
            if left.is_zero() {
                return Err(deadline(&self.endpoints[waits.unwrap_or(0)].model, &last));
            }
            if attempts < options.attempts && (waits.is_none() || due <= now) {
                let closed = |i: usize| refused[i] || asked[i];
                if let Some(load) = self.choose(t.len(), closed, waits.is_some()) {
                    let pause = load.endpoint().down_for(now);
                    if left <= pause {
                        return Err(deadline(&load.endpoint().model, &last));
                    }
                    thread::sleep(pause);
                    if waits.is_some() {
                        self.hedged.fetch_add(1, Ordering::Relaxed);
                        let late = (0..count).filter(|&i| asked[i]);
                        late.for_each(|i| self.endpoints[i].avoid(options.timeout));
                    }
                    let (index, time) = (load.index, options.timeout.min(left - pause));
                    due = later(Instant::now(), self.patience(index, t.len()));
                    asked[index] = true;
                    attempts += 1;
                    let send = send.clone();
                    if count == 1 {
                        // There is no other one to ask meanwhile.
                        drop(send.send((index, load.ask(x, t, time))));
                    } else {
                        let rows = shared.get_or_insert_with(|| Arc::new((x.to_vec(), t.to_vec())));
                        let rows = Arc::clone(rows);
                        let ask = move || drop(send.send((index, load.ask(&rows.0, &rows.1, time))));
                        if let Err(error) = thread::Builder::new().name("picardy remote".into()).spawn(ask) {
                            asked[index] = false;
                            last = Some(RemoteError::Unreachable {
                                endpoint: self.endpoints[index].model.clone(),
                                said: format!("no thread to ask it with ({error})"),
                            });
                        }
                    }
                    continue;
                }
                // A server that is left alone may be open by then.
                due = later(now, LEAST_PATIENCE);
            }
            if waits.is_none() {
                let last = Box::new(last.unwrap_or(RemoteError::NoEndpoint));
                return Err(RemoteError::GaveUp { attempts, last });
            }
            let wait = if attempts < options.attempts && count > 1 && options.hedge > 0 {
                left.min(due.saturating_duration_since(now))
            } else {
                left
            };
            match receive.recv_timeout(wait) {
                Ok((_, Ok(outputs))) => {
                    out.copy_from_slice(&outputs);
                    self.answered.fetch_add(1, Ordering::Relaxed);
                    return Ok(());
                }
                Ok((_, Err(error @ RemoteError::NotFinite { .. }))) => return Err(error),
                Ok((index, Err(error))) => {
                    (asked[index], refused[index]) = (false, !error.is_passing());
                    last = Some(error);
                    due = Instant::now();
                }
                // There is a sender here, so it is the time.
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
    }

    /// How long a server is waited for before another one is asked too.
    fn patience(&self, index: usize, rows: usize) -> Duration {
        let Self { endpoints, options, .. } = self;
        if options.hedge == 0 {
            return options.deadline;
        }
        let usual = endpoints[index].usual(rows).or_else(|| self.least_usual(rows));
        let unknown = options.timeout / PATIENCE;
        usual.map_or(unknown, |usual| usual.saturating_mul(options.hedge)).max(LEAST_PATIENCE)
    }

    fn least_usual(&self, rows: usize) -> Option<Duration> {
        self.endpoints.iter().filter_map(|endpoint| endpoint.usual(rows)).min()
    }

    /// The server to ask: one that is neither left alone nor avoided, of these one that should be done first by what it usually
    /// takes and is doing, of these the next in turn. Where all are left alone, the one that is asked again first; none then
    /// where it must be `open`.
    fn choose(self: &Arc<Self>, rows: usize, closed: impl Fn(usize) -> bool, open: bool) -> Option<Load> {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, count) = (Instant::now(), self.endpoints.len());
        let least = self.least_usual(rows).unwrap_or(Duration::from_millis(1));
        let key = |&i: &usize| {
            let endpoint = &self.endpoints[i];
            let (load, expected) = (endpoint.load(), endpoint.expected(rows, least));
            // Times are never equal: they are taken to be where their ratio is less than 2 or so.
            let done = (expected.max(1e-6) * (load + 1) as f64).log2().round() as i64;
            (endpoint.rests_for(now), done, load)
        };
        let candidates = (0..count).map(|i| (*turn + i) % count).filter(|&i| !closed(i));
        let index =
            candidates.filter(|&i| !open || self.endpoints[i].rests_for(now).is_zero()).min_by_key(key)?;
        *turn = (index + 1) % count;
        self.endpoints[index].begin();
        Some(Load { fleet: Arc::clone(self), index })
    }
}

/// `time` after an instant; a time that no clock reaches is a year.
fn later(from: Instant, time: Duration) -> Instant {
    from.checked_add(time).unwrap_or(from + Duration::from_secs(365 * 24 * 3600))
}
