//! A model behind the Open Inference Protocol (KServe's version 2), on one server or on many.
//!
//! Triton, OpenVINO Model Server, KServe and MLServer speak it. A [`RemoteDenoiser`] asks any number of servers of the
//! same model: the rows of a call are spread over them and evaluated at the same time, and what one does not answer
//! another is asked for. So a parallel sampler's wide rounds fill a fleet, and a server that is lost in the middle of a
//! run costs a retry.
//!
//! A server that hangs or is slow does not hold up the others:
//! - it is remembered what servers have taken of late; the one that should be done first is asked, those that are about as
//!   fast in turn. A slow one is tried again after some seconds.
//! - where a server takes [several times](RemoteOptions::hedge) what is usual (an eighth of the timeout where that is not known, at
//!   least 20 ms), another one that is open is asked too. The first answer counts; the
//!   other request goes on in a thread of its own, no longer than the timeout.
//! - a server that another one was asked for is avoided for the time of a timeout, or until it answers; one that has not answered
//!   within the timeout, for ten times that. Avoided servers are asked where no others are there.
//! - a server that failed is left alone for a [while](RemoteOptions::backoff).
//!
//! Requests go over HTTP, in JSON or, where the server has the extension, with binary tensors. Numbers are f32 to the
//! last bit either way.

mod endpoint;
mod error;
mod fleet;
mod protocol;

use std::{
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use picardy::{Batch, Denoiser, HostTensor};
use ureq::Agent;

pub use error::RemoteError;

use crate::pipeline::{BoxError, RequestRow, RowDenoiser};
use endpoint::Endpoint;
use fleet::Fleet;
use protocol::Form;

/// How tensors travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transfer {
    /// Binary where the server says that it takes that, JSON elsewhere.
    #[default]
    Auto,
    /// As JSON, which all servers take.
    Json,
    /// By the binary tensor data extension.
    Binary,
}

/// How servers are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteOptions {
    /// The shape of one item, where the model leaves extents of it free.
    pub item_shape: Option<Vec<usize>>,
    /// How tensors travel.
    pub transfer: Transfer,
    /// The most rows of one request to a server.
    pub rows: usize,
    /// Calls of fewer rows than twice this are not spread.
    pub least_rows: usize,
    /// The time for one request, connecting included.
    pub timeout: Duration,
    /// The time for connecting.
    pub connect_timeout: Duration,
    /// The time for all attempts at the rows of one call.
    pub deadline: Duration,
    /// The most attempts at one request, over all servers.
    pub attempts: usize,
    /// A server that takes so many times longer than it usually does is not waited for alone: another one is asked too, which is
    /// one more attempt. 0 for never.
    pub hedge: u32,
    /// How long a server that failed is left alone; twice as long after each further failure,
    pub backoff: Duration,
    /// up to this.
    pub backoff_most: Duration,
}

impl Default for RemoteOptions {
    fn default() -> Self {
        Self {
            item_shape: None,
            transfer: Transfer::Auto,
            rows: 1024,
            least_rows: 1,
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(3),
            deadline: Duration::from_secs(120),
            attempts: 8,
            hedge: 4,
            backoff: Duration::from_millis(50),
            backoff_most: Duration::from_secs(5),
        }
    }
}

/// What a remote denoiser has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemoteMetrics {
    /// Requests whose answers were used.
    pub answered: usize,
    /// Requests that failed, and were made again or given up.
    pub failed: usize,
    /// Requests made to another server as the first took unusually long.
    pub hedged: usize,
}

/// A denoiser on model servers.
///
/// ```no_run
/// use picardy_ort::remote::{RemoteDenoiser, RemoteOptions};
/// let addresses = ["http://10.0.0.1:8000/digits", "http://10.0.0.2:8000/digits"];
/// let denoiser = RemoteDenoiser::connect(&addresses, RemoteOptions::default())?;
/// let (x, mut out) = ([0.5, -1.0], [0.0; 2]);
/// denoiser.run(&x, [999.0].into_iter(), &mut out)?; // one row of two numbers, at timestep 999
/// # Ok::<(), picardy_ort::remote::RemoteError>(())
/// ```
#[derive(Debug)]
pub struct RemoteDenoiser {
    fleet: Arc<Fleet>,
}

impl RemoteDenoiser {
    /// Takes the servers at `addresses` (`http://host:port/MODEL`, or `.../v2/models/MODEL[/versions/N]`).
    ///
    /// The model's metadata are read from the first server that is ready. Servers that do not answer yet are asked again when
    /// rows are evaluated, and checked then.
    ///
    /// # Errors
    /// Addresses that are none, no server that is ready, a model that is no denoiser, servers of different models.
    pub fn connect(addresses: &[impl AsRef<str>], options: RemoteOptions) -> Result<Self, RemoteError> {
        let named =
            [("rows", options.rows), ("least_rows", options.least_rows), ("attempts", options.attempts)];
        if let Some((name, _)) = named.into_iter().find(|(_, value)| *value == 0) {
            return Err(RemoteError::Zero(name));
        }
        let endpoints: Vec<Endpoint> =
            addresses.iter().map(|address| Endpoint::parse(address.as_ref())).collect::<Result<_, _>>()?;
        let agent: Agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_connect(Some(options.connect_timeout))
            .max_idle_connections_per_host(16)
            .max_idle_connections(16 * endpoints.len().max(1))
            .user_agent(concat!("picardy/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        let (time, item) = (options.timeout, options.item_shape.as_deref());
        let mut form: Option<(Form, String)> = None;
        let mut last = RemoteError::NoEndpoint;
        for endpoint in &endpoints {
            let metadata = endpoint.ready(&agent, time).and_then(|()| endpoint.metadata(&agent, time));
            let metadata = match metadata {
                Ok(metadata) => metadata,
                Err(error) => {
                    endpoint.failed(options.backoff, options.backoff_most);
                    last = error;
                    continue;
                }
            };
            let own = Form::of(&metadata, item)
                .map_err(|what| RemoteError::NotADenoiser { endpoint: endpoint.model.clone(), what })?;
            match &form {
                None => form = Some((own, endpoint.model.clone())),
                Some((first, other)) if *first != own => {
                    let what = format!("{own:?}, not {first:?}");
                    let (endpoint, other) = (endpoint.model.clone(), other.clone());
                    return Err(RemoteError::Disagree { endpoint, other, what });
                }
                Some(_) => {}
            }
        }
        let Some((form, _)) = form else { return Err(last) };
        Ok(Self { fleet: Arc::new(Fleet::new(endpoints, form, agent, options)) })
    }

    /// The shape of one item.
    #[must_use]
    pub fn item_shape(&self) -> &[usize] {
        &self.fleet.form.item
    }

    /// The numbers in one item.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.fleet.form.dim
    }

    /// What it has done so far.
    #[must_use]
    pub fn metrics(&self) -> RemoteMetrics {
        let [answered, failed, hedged] = [&self.fleet.answered, &self.fleet.failed, &self.fleet.hedged]
            .map(|counter| counter.load(Ordering::Relaxed));
        RemoteMetrics { answered, failed, hedged }
    }

    /// Asks every server whether it and the model are ready: one answer for each address.
    pub fn health(&self) -> Vec<Result<(), RemoteError>> {
        let Fleet { endpoints, agent, options, .. } = &*self.fleet;
        let ready = |endpoint: &Endpoint| endpoint.ready(agent, options.timeout);
        endpoints.iter().map(ready).collect()
    }

    /// Evaluates the model: `x` `[n, dim]` and one t for each row to `out` `[n, dim]`, row-major. Many threads may call it.
    ///
    /// # Errors
    /// Blocks that disagree in length, times or states that the protocol cannot carry, and what the servers failed with, when
    /// all attempts have. `out` may be partly written then.
    pub fn run(&self, x: &[f32], t: impl Iterator<Item = f64>, out: &mut [f32]) -> Result<(), RemoteError> {
        let Fleet { endpoints, form, options, .. } = &*self.fleet;
        let dim = form.dim;
        let times = t.enumerate().map(|(row, t)| form.time.take(row, t));
        let times: Vec<f64> = times.collect::<Result<_, _>>()?;
        let want = times.len().saturating_mul(dim);
        for (what, got) in [("x", x.len()), ("out", out.len())] {
            if got != want {
                return Err(RemoteError::Length { what, got, want });
            }
        }
        let now = Instant::now();
        let rows = times.len();
        if rows == 0 {
            return Ok(());
        }
        let up = endpoints.iter().filter(|endpoint| endpoint.rests_for(now).is_zero()).count().max(1);
        let parts = (rows / options.least_rows).clamp(1, up).max(rows.div_ceil(options.rows));
        let width = rows.div_ceil(parts);
        let until = now.checked_add(options.deadline);
        if width >= rows {
            return self.fleet.ask((x, &times), out, until);
        }
        let numbers = width * dim;
        let parts = x.chunks(numbers).zip(times.chunks(width)).zip(out.chunks_mut(numbers));
        let (parts, failed, stop) = (Mutex::new(parts), Mutex::new(None), AtomicBool::new(false));
        let work = || {
            while !stop.load(Ordering::Relaxed) {
                let next = parts.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some(((x, t), out)) = next else { break };
                if let Err(error) = self.fleet.ask((x, t), out, until) {
                    stop.store(true, Ordering::Relaxed);
                    *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                }
            }
        };
        thread::scope(|scope| {
            // A thread that cannot be had is done without.
            for _ in 1..up {
                drop(thread::Builder::new().spawn_scoped(scope, work));
            }
            work();
        });
        match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

/// Runs on many threads may share one.
impl<F: HostTensor<Scalar = f32> + ?Sized> Denoiser<F> for &RemoteDenoiser {
    type Error = RemoteError;

    fn evaluate(
        &mut self,
        batch: &Batch<'_>,
        frames: &mut F,
        x: Range<usize>,
        out: Range<usize>,
    ) -> Result<(), RemoteError> {
        let (x, out) = frames.slices(x, out);
        self.run(x, batch.iter().map(|row| row.level.t), out)
    }
}

impl<F: HostTensor<Scalar = f32> + ?Sized> Denoiser<F> for RemoteDenoiser {
    type Error = RemoteError;

    fn evaluate(
        &mut self,
        batch: &Batch<'_>,
        frames: &mut F,
        x: Range<usize>,
        out: Range<usize>,
    ) -> Result<(), RemoteError> {
        (&mut &*self).evaluate(batch, frames, x, out)
    }
}

/// In a [`Pipeline`](crate::Pipeline) once for each call that is to be under way at a time: the servers answer several at once.
impl RowDenoiser for Arc<RemoteDenoiser> {
    fn dim(&self) -> usize {
        self.fleet.form.dim
    }

    fn evaluate(&mut self, rows: &[RequestRow], x: &[f32], out: &mut [f32]) -> Result<(), BoxError> {
        Ok(self.run(x, rows.iter().map(|row| row.row.level.t), out)?)
    }
}

impl RowDenoiser for RemoteDenoiser {
    fn dim(&self) -> usize {
        self.fleet.form.dim
    }

    fn evaluate(&mut self, rows: &[RequestRow], x: &[f32], out: &mut [f32]) -> Result<(), BoxError> {
        Ok(self.run(x, rows.iter().map(|row| row.row.level.t), out)?)
    }
}
