//! One model server: its address, its health, and requests to it.

use std::{
    fmt::Write,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde::de::DeserializeOwned;
use ureq::Agent;

use super::{
    Transfer,
    error::RemoteError,
    protocol::{Form, ModelMetadata, ServerMetadata, error_of},
};

/// Answers that are not outputs are not longer than this.
const MOST_TOLD: u64 = 1 << 20;

#[derive(Debug)]
pub(super) struct Endpoint {
    /// As it is told: `http://host:port/v2/models/NAME`.
    pub(super) model: String,
    /// `http://host:port/v2`.
    server: String,
    /// Requests under way.
    load: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    /// Failures since the last answer.
    failures: u32,
    /// Not to be asked before.
    down_until: Option<Instant>,
    /// Not to be asked before, where others can be.
    avoided_until: Option<Instant>,
    /// Whether it has answered since it failed: the first answer is slow, by what is set up for it.
    is_warm: bool,
    /// What its requests have taken of late.
    usual: Option<Usual>,
    /// Whether it was looked at, and takes binary tensors.
    checked: Option<bool>,
}

/// Moving means over requests.
#[derive(Clone, Copy, Debug)]
struct Usual {
    seconds: f64,
    rows: f64,
    /// The last one.
    at: Instant,
}

/// How much the last request counts.
const LAST: f64 = 0.3;
/// What a server took longer ago says nothing: it may have been busy with others' requests.
const MEMORY: Duration = Duration::from_secs(30);
/// By how much a server is slower than others is believed half as much after so long, so that it is tried again.
const DOUBT: Duration = Duration::from_secs(1);

impl Endpoint {
    /// `http://host:port/NAME`, or the protocol's own path `http://host:port[/prefix]/v2/models/NAME[/versions/N]`.
    pub(super) fn parse(given: &str) -> Result<Self, RemoteError> {
        let error = |what: &str| RemoteError::Address { given: given.to_owned(), what: what.to_owned() };
        let trimmed = given.trim().trim_end_matches('/');
        let Some((scheme, rest)) = trimmed.split_once("://") else {
            return Err(error("it has no http://"));
        };
        match scheme {
            "http" => {}
            "https" => {
                return Err(error("https is not spoken here: put a proxy that does before the server"));
            }
            _ => return Err(error("it is not of http")),
        }
        let (host, path) = rest.split_once('/').ok_or_else(|| error("it names no model"))?;
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(error("it names no host"));
        }
        if path.contains(|c: char| c.is_whitespace() || c.is_control() || "?#\"<>\\^`{|}".contains(c)) {
            return Err(error("the path has characters that no path has"));
        }
        let (prefix, name) = match path.find("v2/models/") {
            Some(at) if at == 0 || path[..at].ends_with('/') => {
                (&path[..at], &path[at + "v2/models/".len()..])
            }
            _ if path.contains('/') => return Err(error("a longer path must go on with v2/models/NAME")),
            _ => ("", path),
        };
        if name.is_empty() {
            return Err(error("it names no model"));
        }
        let server = format!("http://{host}/{prefix}v2");
        let state = State {
            failures: 0,
            down_until: None,
            avoided_until: None,
            is_warm: false,
            usual: None,
            checked: None,
        };
        Ok(Self {
            model: format!("{server}/models/{name}"),
            server,
            load: AtomicUsize::new(0),
            state: Mutex::new(state),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn load(&self) -> usize {
        self.load.load(Ordering::Relaxed)
    }

    /// A request to it begins.
    pub(super) fn begin(&self) {
        self.load.fetch_add(1, Ordering::Relaxed);
    }

    /// A request to it has ended.
    pub(super) fn end(&self) {
        self.load.fetch_sub(1, Ordering::Relaxed);
    }

    /// How long it is not to be asked.
    pub(super) fn down_for(&self, now: Instant) -> Duration {
        left(self.state().down_until, now)
    }

    /// How long others are to be asked before it.
    pub(super) fn rests_for(&self, now: Instant) -> Duration {
        let state = *self.state();
        left(state.down_until, now).max(left(state.avoided_until, now))
    }

    /// What it usually takes for so many rows, as far as is known: in proportion for more rows than usual.
    pub(super) fn usual(&self, rows: usize) -> Option<Duration> {
        let usual = self.state().usual.filter(|usual| usual.at.elapsed() < MEMORY)?;
        Duration::try_from_secs_f64(usual.seconds * (rows as f64 / usual.rows).max(1.0)).ok()
    }

    /// The seconds it may be expected to take, where the fastest takes `least`. One that is not known is taken to be as fast.
    pub(super) fn expected(&self, rows: usize, least: Duration) -> f64 {
        let (least, usual) = (least.as_secs_f64(), self.usual(rows));
        let age = self.state().usual.map_or(Duration::ZERO, |usual| usual.at.elapsed());
        let doubt = (-age.as_secs_f64() / DOUBT.as_secs_f64()).exp2();
        usual.map_or(least, |usual| least + (usual.as_secs_f64() - least).max(0.0) * doubt)
    }

    /// It has answered a request of so many rows.
    pub(super) fn succeeded(&self, rows: usize, took: Duration) {
        let mut state = self.state();
        (state.failures, state.down_until, state.avoided_until) = (0, None, None);
        if !std::mem::replace(&mut state.is_warm, true) {
            return;
        }
        let (seconds, rows, at) = (took.as_secs_f64(), rows.max(1) as f64, Instant::now());
        let mean = |old: f64, new: f64| old + LAST * (new - old);
        state.usual = Some(match state.usual.filter(|usual| usual.at.elapsed() < MEMORY) {
            Some(usual) => Usual { seconds: mean(usual.seconds, seconds), rows: mean(usual.rows, rows), at },
            None => Usual { seconds, rows, at },
        });
    }

    /// Prefers others for so long.
    pub(super) fn avoid(&self, time: Duration) {
        let until = Instant::now().checked_add(time);
        let mut state = self.state();
        state.avoided_until = state.avoided_until.max(until);
    }

    /// Leaves it alone for a while that doubles with every failure, up to `most`. Another model may stand there after.
    pub(super) fn failed(&self, first: Duration, most: Duration) {
        let mut state = self.state();
        let pause = first.saturating_mul(1 << state.failures.min(16)).min(most);
        state.failures = state.failures.saturating_add(1);
        state.down_until = Instant::now().checked_add(pause);
        (state.checked, state.is_warm) = (None, false);
    }

    /// Whether the server and the model are ready.
    pub(super) fn ready(&self, agent: &Agent, time: Duration) -> Result<(), RemoteError> {
        let begun = Instant::now();
        for url in [format!("{}/health/ready", self.server), format!("{}/ready", self.model)] {
            let body = self.get(agent, &url, time.saturating_sub(begun.elapsed()))?;
            // Some servers say so in the body, some in the status alone.
            let told: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
            if told.and_then(|told| told.get("ready")?.as_bool()) == Some(false) {
                let said = "it says that it is not ready".to_owned();
                return Err(RemoteError::Status { endpoint: url, status: 200, said });
            }
        }
        Ok(())
    }

    /// What the model says of itself.
    pub(super) fn metadata(&self, agent: &Agent, time: Duration) -> Result<ModelMetadata, RemoteError> {
        self.told(&self.get(agent, &self.model, time)?)
    }

    /// Looks at a server that was not looked at since it failed: is it ready, and of the same model. Says whether it takes
    /// binary tensors. It takes no longer than `time`.
    pub(super) fn check(
        &self,
        agent: &Agent,
        form: &Form,
        item: Option<&[usize]>,
        transfer: Transfer,
        time: Duration,
    ) -> Result<bool, RemoteError> {
        if let Some(binary) = self.state().checked {
            return Ok(binary);
        }
        let begun = Instant::now();
        let left = || time.saturating_sub(begun.elapsed());
        self.ready(agent, left())?;
        let own = Form::of(&self.metadata(agent, left())?, item)
            .map_err(|what| RemoteError::NotADenoiser { endpoint: self.model.clone(), what })?;
        if own != *form {
            let what = format!("{own:?}, not {form:?}");
            return Err(RemoteError::Disagree {
                endpoint: self.model.clone(),
                other: "the first".to_owned(),
                what,
            });
        }
        let binary = match transfer {
            Transfer::Json => false,
            Transfer::Binary => true,
            Transfer::Auto => {
                let server: ServerMetadata = self.told(&self.get(agent, &self.server, left())?)?;
                // Triton's and OpenVINO's word for it; KServe's own has a shorter one.
                let names = ["binary_tensor_data", "binary_tensor_data_extension"];
                server.extensions.iter().any(|extension| names.contains(&extension.as_str()))
            }
        };
        self.state().checked = Some(binary);
        Ok(binary)
    }

    fn told<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, RemoteError> {
        serde_json::from_slice(body)
            .map_err(|error| self.answer(format!("its metadata cannot be read ({error})")))
    }

    fn get(&self, agent: &Agent, url: &str, time: Duration) -> Result<Vec<u8>, RemoteError> {
        let answer = agent.get(url).config().timeout_global(Some(time)).build().call();
        let (body, _) = self.body(answer.map_err(|error| self.unreachable(&error))?, MOST_TOLD)?;
        Ok(body)
    }

    /// Evaluates rows into `out`.
    pub(super) fn infer(
        &self,
        agent: &Agent,
        form: &Form,
        binary: bool,
        (x, t): (&[f32], &[f64]),
        out: &mut [f32],
        time: Duration,
    ) -> Result<(), RemoteError> {
        let request = agent.post(format!("{}/infer", self.model)).config().timeout_global(Some(time)).build();
        let answer = if binary {
            let (body, length) = form.binary(x, t);
            request
                .header("content-type", "application/octet-stream")
                .header("inference-header-content-length", length.to_string())
                .send(&body[..])
        } else {
            request.header("content-type", "application/json").send(&form.json(x, t)?[..])
        };
        let answer = answer.map_err(|error| self.unreachable(&error))?;
        let (body, header) = self.body(answer, form.most_bytes(t.len()))?;
        form.read(&body, header, out).map_err(|what| self.answer(what))
    }

    /// The body of a good answer, and the length of its JSON where it is told.
    fn body(
        &self,
        answer: ureq::http::Response<ureq::Body>,
        most: u64,
    ) -> Result<(Vec<u8>, Option<usize>), RemoteError> {
        let (head, body) = answer.into_parts();
        let good = head.status.is_success();
        let most = if good { most } else { 1 << 16 };
        let read = body.into_with_config().limit(most).read_to_vec();
        if !good {
            let said = error_of(&read.unwrap_or_default());
            return Err(RemoteError::Status {
                endpoint: self.model.clone(),
                status: head.status.as_u16(),
                said,
            });
        }
        let body = read.map_err(|error| match error {
            ureq::Error::BodyExceedsLimit(most) => {
                self.answer(format!("it has more than {most} bytes, more than what was asked for can have"))
            }
            other => self.unreachable(&other),
        })?;
        let header = match head.headers.get("inference-header-content-length") {
            None => None,
            Some(value) => {
                let length = value.to_str().ok().and_then(|text| text.trim().parse().ok());
                Some(length.ok_or_else(|| self.answer(format!("its header's length is {value:?}")))?)
            }
        };
        Ok((body, header))
    }

    fn answer(&self, what: String) -> RemoteError {
        RemoteError::Answer { endpoint: self.model.clone(), what }
    }

    fn unreachable(&self, error: &ureq::Error) -> RemoteError {
        let mut said = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            let text = cause.to_string();
            if !said.contains(&text) {
                // A string takes all that is written.
                let _ = write!(said, ": {text}");
            }
            source = cause.source();
        }
        RemoteError::Unreachable { endpoint: self.model.clone(), said }
    }
}

fn left(until: Option<Instant>, now: Instant) -> Duration {
    until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
}
