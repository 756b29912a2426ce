//! An ONNX model, loaded: its session, its inputs and outputs, its metadata.

use std::{
    collections::BTreeMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use ort::{
    session::{
        Session,
        builder::{GraphOptimizationLevel, SessionBuilder},
    },
    value::{Outlet, TensorElementType, ValueType},
};

use crate::{
    device::NEGATE,
    error::{OrtError, explained},
    graphs::GpuGraphs,
    placement::{self, Placement},
    provider::{self, Cause, Exclusively, Provider, ProviderError, exclusive},
    runtime::Runtime,
    source::{Origin, Source, Stamp},
};

/// How a model is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Threads that share one operator's work. 1 runs on the caller's thread alone, which is the
    /// fastest for small networks; 0 leaves the number to ONNX Runtime.
    pub threads: usize,
    /// What evaluates the nodes: this one, or loading the model is an error. Nodes that it has no
    /// kernel for, and those that compute shapes, are ONNX Runtime's to run on the processor: see
    /// [`Model::placements`].
    pub provider: Provider,
    /// Whether a GPU's runs over rows that stay on it are captured. Off: no NVIDIA GPU has run it yet.
    pub graphs: GpuGraphs,
}

impl Default for Options {
    fn default() -> Self {
        Self { threads: 1, provider: Provider::Cpu, graphs: GpuGraphs::Off }
    }
}

/// One input or output of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name in the graph.
    pub name: String,
    /// Its element type; `None` where it is no tensor.
    pub element: Option<TensorElementType>,
    /// Its shape, -1 where an extent is free.
    pub shape: Vec<i64>,
    /// The names of the free extents, empty where they have none.
    symbols: Vec<String>,
}

impl Port {
    fn new(outlet: &Outlet) -> Self {
        let name = outlet.name().to_owned();
        match outlet.dtype() {
            ValueType::Tensor { ty, shape, dimension_symbols } => {
                Self { name, element: Some(*ty), shape: shape.to_vec(), symbols: dimension_symbols.to_vec() }
            }
            _ => Self { name, element: None, shape: Vec::new(), symbols: Vec::new() },
        }
    }

    /// The name of a free extent, where it has one.
    pub(crate) fn symbol(&self, axis: usize) -> Option<&str> {
        self.symbols.get(axis).map(String::as_str).filter(|symbol| !symbol.is_empty())
    }
}

impl fmt::Display for Port {
    /// As in `x: f32 [n, 2]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(element) = self.element else {
            return write!(f, "{}: not a tensor", self.name);
        };
        write!(f, "{}: {element} [", self.name)?;
        for (i, &extent) in self.shape.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            match self.symbols.get(i).map(String::as_str) {
                _ if extent >= 0 => write!(f, "{extent}")?,
                Some("") | None => f.write_str("?")?,
                Some(symbol) => f.write_str(symbol)?,
            }
        }
        f.write_str("]")
    }
}

/// A loaded model.
#[derive(Debug)]
pub struct Model {
    session: Exclusively<Session>,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    metadata: BTreeMap<String, String>,
    origin: Origin,
    options: Options,
    provider: Provider,
    passed_over: Vec<ProviderError>,
    placements: Vec<Placement>,
    is_resting: bool,
}

impl Model {
    /// Loads the ONNX file at `path`, with the data files beside it that it names (a model of more than 2 GB has
    /// such). The version that [`install`](crate::install()) fetches refuses data files outside of the model's directory.
    ///
    /// # Errors
    /// [`OrtError::Read`] where there is no such file, [`OrtError::NotAModel`] where it is no ONNX
    /// model or one that ONNX Runtime cannot run, [`OrtError::Runtime`] where there is no ONNX
    /// Runtime.
    pub fn load(path: &Path, options: Options) -> Result<Self, OrtError> {
        // ONNX Runtime's own message for a missing file is long and does not say so plainly.
        let about =
            std::fs::metadata(path).map_err(|source| OrtError::Read { path: path.to_path_buf(), source })?;
        if !about.is_file() {
            return Err(OrtError::NotAModel {
                model: path.display().to_string(),
                said: "it is a directory, or no plain file".to_owned(),
            });
        }
        Self::commit(Source::File(path), Origin::File(path.to_owned(), Stamp::of(&about)), options, false)
    }

    /// Loads a model from the bytes of an ONNX file, of which a copy is kept: load large ones from their file. Data files that it names are looked for in the working directory:
    /// [`load`](Self::load) such a model from its file.
    ///
    /// # Errors
    /// As [`load`](Self::load), but for the file.
    pub fn from_bytes(bytes: &[u8], options: Options) -> Result<Self, OrtError> {
        Self::commit(Source::Bytes(bytes), Origin::Bytes(bytes.into()), options, false)
    }

    /// As [`from_bytes`](Self::from_bytes), of a model that is never loaded again; `captures` where its runs may be captured.
    pub(crate) fn once(bytes: &[u8], options: Options, captures: bool) -> Result<Self, OrtError> {
        Self::commit(Source::Bytes(bytes), Origin::Forgotten, options, captures)
    }

    fn commit(
        source: Source<'_>,
        origin: Origin,
        options: Options,
        captures: bool,
    ) -> Result<Self, OrtError> {
        let runtime = Runtime::load_for(options.provider, None)?;
        let _turn = exclusive(options.provider);
        let mut passed_over = Vec::new();
        for &provider in candidates(&options) {
            // What is only a possibility must have a real device; what was asked for need not.
            let usable = match options.provider {
                Provider::Auto => provider::check_auto(provider, runtime),
                _ => provider::check(provider, runtime),
            };
            let made = usable
                .map_err(|cause| OrtError::from(cause.of(provider)))
                .and_then(|()| Loaded::on(provider, runtime, source, &options, captures));
            match made {
                Ok(loaded) => {
                    let Loaded { session, metadata, placements } = loaded;
                    return Ok(Self {
                        inputs: session.inputs().iter().map(Port::new).collect(),
                        outputs: session.outputs().iter().map(Port::new).collect(),
                        session,
                        metadata,
                        origin,
                        options,
                        provider,
                        passed_over,
                        placements,
                        is_resting: false,
                    });
                }
                Err(OrtError::Provider(error)) if options.provider == Provider::Auto => {
                    passed_over.push(error)
                }
                Err(error) => return Err(error),
            }
        }
        // The processor is the last candidate of `auto` and has no reason to refuse.
        Err(OrtError::NotAModel { model: source.name(), said: "no provider takes it".to_owned() })
    }

    /// Loads another model made of this one's bytes, with its provider.
    pub(crate) fn derived(&self, bytes: &[u8], captures: bool) -> Result<Loaded, OrtError> {
        let _turn = exclusive(self.provider);
        let source = self.source()?.of(bytes);
        Loaded::on(self.provider, Runtime::load_for(self.provider, None)?, source, &self.options, captures)
    }

    /// Where the model was loaded from, where that is the same still.
    pub(crate) fn source(&self) -> Result<Source<'_>, OrtError> {
        self.origin.source().map_err(|source| OrtError::Read { path: self.origin.path(), source })
    }

    /// Frees the session and its weights: another form of the model has taken its place. What is said of the model stays.
    pub(crate) fn rest(&mut self) -> Result<(), OrtError> {
        if !self.is_resting {
            let runtime = Runtime::load_for(Provider::Cpu, None)?;
            let idle = Loaded::on(Provider::Cpu, runtime, Source::Bytes(IDLE), &Options::default(), false)?;
            (self.session, self.is_resting) = (idle.session, true);
        }
        Ok(())
    }

    pub(crate) const fn is_resting(&self) -> bool {
        self.is_resting
    }

    /// Loads the session again, after [`rest`](Self::rest).
    pub(crate) fn wake(&mut self) -> Result<(), OrtError> {
        let _turn = exclusive(self.provider);
        let runtime = Runtime::load_for(self.provider, None)?;
        let loaded = Loaded::on(self.provider, runtime, self.source()?, &self.options, false)?;
        (self.session, self.is_resting) = (loaded.session, false);
        Ok(())
    }

    /// The graph's inputs, in its order.
    #[must_use]
    pub fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    /// The graph's outputs, in its order.
    #[must_use]
    pub fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    /// The model's own metadata: Picardy's keys begin with `picardy.`.
    #[must_use]
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// What evaluates the model: the provider of the options, or the one that
    /// [`Provider::Auto`] chose.
    #[must_use]
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// The providers that [`Provider::Auto`] would have had rather, and why they were not to be had.
    #[must_use]
    pub fn passed_over(&self) -> &[ProviderError] {
        &self.passed_over
    }

    /// What each node runs on, in the optimised graph.
    #[must_use]
    pub fn placements(&self) -> &[Placement] {
        &self.placements
    }

    /// How the model is run.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// ONNX Runtime's session, for ort's own calls; see [`exclusive`].
    pub fn session_mut(&mut self) -> &mut Session {
        &mut self.session
    }
}

/// An ONNX file of one node, y = -x, which takes no memory to speak of.
const IDLE: &[u8] = NEGATE;

/// A session, and what it says of its model.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) session: Exclusively<Session>,
    metadata: BTreeMap<String, String>,
    pub(crate) placements: Vec<Placement>,
}

impl Loaded {
    fn on(
        provider: Provider,
        runtime: &Runtime,
        source: Source<'_>,
        options: &Options,
        captures: bool,
    ) -> Result<Self, OrtError> {
        let not_a_model = |said: String| OrtError::NotAModel { model: source.name(), said };
        // ort panics on types it has no name for (a sequence of sequences): a file's doing, so an
        // error and no panic.
        let made = catch_unwind(AssertUnwindSafe(|| -> Result<_, OrtError> {
            let plain = || -> ort::Result<SessionBuilder> {
                Ok(Session::builder(runtime.environment())?
                    .with_optimization_level(GraphOptimizationLevel::All)?
                    .with_intra_threads(options.threads)?
                    .with_config_entry(placement::RECORD, "1")?)
            };
            let said = |error: ort::Error| explained(error.message());
            let builder = plain().map_err(|error| not_a_model(said(error)))?;
            let mut builder = provider::apply(builder, provider, runtime, source, captures)
                .map_err(|cause| cause.of(provider))?;
            let session = source.commit(&mut builder).map_err(|error| {
                // The provider's fault or the file's: the processor, which takes every good file, tells.
                let plain = provider == Provider::Cpu
                    || plain().and_then(|mut plain| source.commit(&mut plain)).is_err();
                match plain {
                    true => not_a_model(said(error)),
                    false => provider::refusal(provider, error.message()).of(provider).into(),
                }
            })?;
            let read = || Ok((custom_metadata(&session)?, placement::placements(&session)?));
            let (metadata, placements) = read().map_err(|error| not_a_model(said(error)))?;
            Ok((session, metadata, placements))
        }));
        let (session, metadata, placements) = made.unwrap_or_else(|_| {
            Err(not_a_model("an input or output has a type that cannot be read".to_owned()))
        })?;
        let own = |placement: &Placement| match provider {
            // TensorRT brings CUDA with it; a model on CUDA alone is not on what was asked for.
            Provider::Cpu => true,
            _ => Some(placement.provider.as_str()) == provider.ort_name(),
        };
        if !placements.is_empty() && !placements.iter().any(own) {
            return Err(Cause::TakesNothing { nodes: placements.len() }.of(provider).into());
        }
        Ok(Self { session: Exclusively::new(session, provider), metadata, placements })
    }
}

/// The providers to try, in this order.
fn candidates(options: &Options) -> &[Provider] {
    const AUTO: [Provider; 3] = [Provider::Cuda { device: 0 }, Provider::WebGpu, Provider::Cpu];
    match &options.provider {
        Provider::Auto => &AUTO,
        one => std::slice::from_ref(one),
    }
}

fn custom_metadata(session: &Session) -> ort::Result<BTreeMap<String, String>> {
    let metadata = session.metadata()?;
    Ok(metadata
        .custom_keys()?
        .into_iter()
        .filter_map(|key| metadata.custom(&key).map(|value| (key, value)))
        .collect())
}
