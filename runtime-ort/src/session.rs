//! An ONNX model, loaded: its session, its inputs and outputs, its metadata.

use std::{
    collections::BTreeMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use ort::{
    session::{Session, builder::GraphOptimizationLevel},
    value::{Outlet, TensorElementType, ValueType},
};

use crate::{
    error::{OrtError, explained},
    runtime::Runtime,
};

/// What evaluates the model's nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Provider {
    /// ONNX Runtime's own kernels on the processor.
    #[default]
    Cpu,
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
        })
    }
}

/// How a model is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Threads that share one operator's work. 1 runs on the caller's thread alone, which is the
    /// fastest for small networks; 0 leaves the number to ONNX Runtime.
    pub threads: usize,
    /// What evaluates the nodes.
    pub provider: Provider,
}

impl Default for Options {
    fn default() -> Self {
        Self { threads: 1, provider: Provider::Cpu }
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
    session: Session,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    metadata: BTreeMap<String, String>,
    options: Options,
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
        let what = path.display().to_string();
        // ONNX Runtime's own message for a missing file is long and does not say so plainly.
        let about =
            std::fs::metadata(path).map_err(|source| OrtError::Read { path: path.to_path_buf(), source })?;
        if !about.is_file() {
            return Err(OrtError::NotAModel {
                model: what,
                said: "it is a directory, or no plain file".to_owned(),
            });
        }
        Self::commit(what, options, |builder| builder.commit_from_file(path))
    }

    /// Loads a model from the bytes of an ONNX file. Data files that it names are looked for in the working directory:
    /// [`load`](Self::load) such a model from its file.
    ///
    /// # Errors
    /// As [`load`](Self::load), but for the file.
    pub fn from_bytes(bytes: &[u8], options: Options) -> Result<Self, OrtError> {
        let what = format!("the model of {} bytes", bytes.len());
        Self::commit(what, options, |builder| builder.commit_from_memory(bytes))
    }

    fn commit(
        what: String,
        options: Options,
        commit: impl FnOnce(&mut ort::session::builder::SessionBuilder) -> ort::Result<Session>,
    ) -> Result<Self, OrtError> {
        let runtime = Runtime::load(None)?;
        let not_a_model = |said: String| OrtError::NotAModel { model: what, said };
        // ort panics on types it has no name for (a sequence of sequences): a file's doing, so an
        // error and no panic.
        let made = catch_unwind(AssertUnwindSafe(|| -> Result<_, ort::Error> {
            let mut builder = Session::builder(runtime.environment())?
                .with_optimization_level(GraphOptimizationLevel::All)?
                .with_intra_threads(options.threads)?;
            let session = commit(&mut builder)?;
            let metadata = custom_metadata(&session)?;
            Ok((session, metadata))
        }));
        let (session, metadata) = match made {
            Ok(Ok(made)) => made,
            Ok(Err(error)) => return Err(not_a_model(explained(error.message()))),
            Err(_) => {
                return Err(not_a_model("an input or output has a type that cannot be read".to_owned()));
            }
        };
        Ok(Self {
            inputs: session.inputs().iter().map(Port::new).collect(),
            outputs: session.outputs().iter().map(Port::new).collect(),
            session,
            metadata,
            options,
        })
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

    /// What evaluates the model.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn session_mut(&mut self) -> &mut Session {
        &mut self.session
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
