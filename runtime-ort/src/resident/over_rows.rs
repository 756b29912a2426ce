//! The model with its rows around it: gathering what it is shown and judging what it says are part of its graph.
//!
//! ```text
//! frames [R, d] --gather, scale--> x [n, item...] --> the model --> answer
//!        \                                                        \
//!         \--gather x, base, said-->  dx = x - base, m = state x + output answer, dm = m - said
//!                                     products [n, 3, 3] of dx, dm, m
//! ```
//!
//! So a call is one run. The nodes are of kinds that ONNX has had unchanged since its operator set 7, as the model's own set holds for
//! them too.

use std::ops::Range;

use ort::{
    memory::Allocator,
    session::{IoBinding, Session},
    value::Tensor as Value,
};
use picardy::Foreseen;

use super::{
    ResidentFrames,
    capture::{self, Named},
    foresight::Products,
    frames::Shown,
    graph::PutForm,
    model_runs::{ModelRuns, Wanted},
};
use crate::{
    binding::{Told, run_bound_with},
    conditions::{Asked, Input},
    element::Element,
    error::OrtError,
    onnx::{Attribute, Extent, GraphBuilder, graft},
    placement::Placement,
    provider::{Exclusively, Provider},
    session::{Loaded, Model},
    signature::{Channels, Layout},
};

/// A model's session over rows.
#[derive(Debug)]
pub(crate) struct OverRows {
    session: Exclusively<Session>,
    captures: Option<Captures>,
    /// The first node that the device leaves to another provider.
    pub(crate) elsewhere: Option<String>,
}

/// Of a session that captures runs.
#[derive(Debug)]
struct Captures {
    runs: ModelRuns,
    ordinary: Named,
    /// Why it does no more.
    stopped: Option<String>,
}

/// What a row of a call is told in a session that captures, one number each: the same as apart, in the same order.
pub(super) const OF_ROW: [&str; 7] = ["shown", "scale", "x", "base", "said", "state", "output"];

/// The rows of a run.
pub(super) struct Call<'a> {
    /// As many as are asked for, or more, which are of no use.
    pub(super) n: usize,
    pub(super) asked: &'a [Asked],
    pub(super) shown: &'a [Shown],
    pub(super) foreseen: Option<&'a [Foreseen]>,
    /// Where the answer goes.
    pub(super) to: Range<usize>,
}

/// Of our own names in the model's graph.
const PREFIX: &str = "picardy.";

impl OverRows {
    /// The model's bytes with our nodes; `None` where it stays as it is, and rows are gathered and judged by graphs of their own: its
    /// bytes are no ONNX file or not to be had any more, or TensorRT would compile it anew.
    ///
    /// With `captures`, what a row is told is one row of a tensor.
    pub(crate) fn graft(model: &Model, layout: &Layout, captures: bool) -> Option<Vec<u8>> {
        if matches!(model.provider(), Provider::TensorRt { .. }) {
            return None;
        }
        let bytes = model.source().ok()?.bytes().ok()?;
        graft(
            &bytes,
            &model.inputs().get(layout.x)?.name,
            before(model, layout, captures)?,
            behind(model, layout, captures)?,
        )
    }

    /// Loads them.
    ///
    /// # Errors
    /// Why not: the device does not run all of our nodes, the model has values of their names, there is no memory; or the model's runs
    /// cannot be captured.
    pub(crate) fn load(model: &Model, bytes: &[u8], captures: bool) -> Result<Self, OrtError> {
        let Loaded { session, placements, .. } = model.derived(bytes, captures)?;
        let own = model.provider().ort_name();
        let away = |node: &&Placement| node.node.starts_with(PREFIX) && Some(node.provider.as_str()) != own;
        if let Some(node) = placements.iter().find(away).filter(|_| model.provider() != Provider::Cpu) {
            return Err(OrtError::NotOnDevice { provider: model.provider(), node: node.to_string() });
        }
        let captures = match captures {
            true => Some(Captures { runs: ModelRuns::default(), ordinary: Named::none()?, stopped: None }),
            false => None,
        };
        let elsewhere =
            placements.iter().find(|node| Some(node.provider.as_str()) != own).map(ToString::to_string);
        Ok(Self { session, captures, elsewhere })
    }

    /// Whether a model's runs over these rows are to be captured.
    ///
    /// # Errors
    /// Why they cannot be, though it is asked for.
    pub(crate) fn may_capture(model: &Model, frames: &ResidentFrames) -> Result<bool, String> {
        if model.options().graphs.after().is_none() {
            return Ok(false);
        }
        match model.provider() {
            Provider::Cuda { .. } | Provider::WebGpu if frames.all_rows() < capture::PLACES => Ok(true),
            Provider::Cuda { .. } | Provider::WebGpu => Err(format!(
                "of {} rows none are captured, of fewer than {} they are",
                frames.all_rows(),
                capture::PLACES
            )),
            other => Err(format!("runs on {other} are not captured, those on cuda and webgpu are")),
        }
    }

    /// Whether the session is of the kind for captured runs.
    pub(crate) fn captures(&self) -> bool {
        self.captures.is_some()
    }

    /// Why its runs are not captured any more.
    pub(crate) fn stopped(&self) -> Option<&str> {
        self.captures.as_ref()?.stopped.as_deref()
    }

    /// Forgets what is on the device of conditions.
    pub(crate) fn forget(&mut self) {
        if let Some(captures) = &mut self.captures {
            captures.runs.forget();
        }
    }

    /// One run of the model. Gives the products of each row, which mean nothing where nothing was foreseen.
    pub(super) fn run(
        &mut self,
        model: &Model,
        layout: &Layout,
        inputs: &[Input],
        told: &mut Told,
        frames: &mut ResidentFrames,
        Call { n, asked, shown, foreseen, to }: Call<'_>,
    ) -> Result<Vec<Products>, OrtError> {
        let twice = layout.channels == Channels::Twice;
        let mut shape: Vec<usize> = std::iter::once(n).chain(layout.item.iter().copied()).collect();
        if twice {
            shape[1] *= 2;
        }
        let mut answer = frames.answer(layout.out_element, &shape)?;
        let zero = frames.zero();
        let of = |i: usize| foreseen.and_then(|foreseen| foreseen.get(i));
        let row = |row: Option<usize>| row.map_or(zero, |row| frames.source(row));
        let since = |i: usize| of(i).and_then(|of| of.since);
        let rows = (0..n).map(|i| OfRow {
            shown: shown.get(i).map_or(zero, |shown| shown.row),
            scale: shown.get(i).map_or(1.0, |shown| shown.scale),
            x: row(of(i).map(|of| of.x)),
            base: row(since(i).map(|since| since.0)),
            said: row(since(i).map(|since| since.1)),
            state: of(i).map_or(0.0, |of| of.state as f32),
            output: of(i).map_or(1.0, |of| of.output as f32),
        });
        let rows: Vec<OfRow> = rows.collect();
        let packed: Vec<f32> = match self.captures {
            Some(_) => rows.iter().flat_map(OfRow::numbers).collect(),
            None => Vec::new(),
        };
        let mut repeated = None;
        if let (Some(captures), Some(after)) = (&mut self.captures, model.options().graphs.after())
            && captures.stopped.is_none()
        {
            let mut wanted = Wanted { model, layout, inputs, asked, told: &packed, n, answer: &mut answer };
            match captures.runs.run(&mut self.session, frames, told, after, &mut wanted) {
                Ok(run) => repeated = run,
                Err(error @ (OrtError::Condition { .. } | OrtError::NoNull { .. })) => return Err(error),
                Err(error) => {
                    frames.uncaptured(&error.to_string());
                    captures.stopped = Some(error.to_string());
                }
            }
        }
        let (captured, products) = match repeated {
            Some(repeated) => repeated,
            None => {
                let mut binding = Exclusively::new(self.session.create_binding()?, model.provider());
                binding.bind_input(name("frames"), &frames.current)?;
                if self.captures.is_some() {
                    binding.bind_input(name("told"), &Value::from_array((vec![n, OF_ROW.len()], packed))?)?;
                } else {
                    bind_apart(&mut binding, &rows)?;
                }
                told.bind(&mut binding, model, layout, inputs, asked)?;
                binding.bind_output(model.outputs()[layout.out].name.as_str(), &mut *answer)?;
                let mut products = Value::<f32>::new(&Allocator::default(), vec![n, 3, 3])?;
                binding.bind_output(name("products"), &mut products)?;
                let options = self.captures.as_ref().map(|captures| captures.ordinary.options());
                run_bound_with(&mut self.session, &binding, options)?;
                (false, products.try_extract_tensor::<f32>()?.1.to_vec())
            }
        };
        let products = products.chunks_exact(9).take(asked.len());
        let products: Vec<Products> = products.map(|p| [p[0], p[1], p[4], p[8]]).collect();
        let bytes = if self.captures.is_some() { 4 * OF_ROW.len() } else { 4 * 8 + 3 * 4 };
        frames.count(|traffic| {
            traffic.products += 9 * n;
            traffic.coefficients += n * bytes;
            traffic.captured += usize::from(captured);
        });
        frames.put(answer, PutForm { element: layout.out_element, twice }, to, n);
        Ok(products)
    }
}

/// What a row of a call is told.
struct OfRow {
    shown: usize,
    scale: f32,
    x: usize,
    base: usize,
    said: usize,
    state: f32,
    output: f32,
}

impl OfRow {
    /// In the order of [`OF_ROW`].
    fn numbers(&self) -> [f32; OF_ROW.len()] {
        let &Self { shown, scale, x, base, said, state, output } = self;
        [shown as f32, scale, x as f32, base as f32, said as f32, state, output]
    }
}

/// Binds what the rows are told to an input each.
fn bind_apart(binding: &mut IoBinding, rows: &[OfRow]) -> Result<(), OrtError> {
    let n = rows.len();
    let mut places = |part: &str, place: fn(&OfRow) -> usize| -> Result<(), OrtError> {
        let places: Vec<i64> = rows.iter().map(|row| place(row) as i64).collect();
        Ok(binding.bind_input(name(part), &Value::from_array((vec![n], places))?)?)
    };
    places("shown", |row| row.shown)?;
    places("x", |row| row.x)?;
    places("base", |row| row.base)?;
    places("said", |row| row.said)?;
    let mut weights = |part: &str, weight: fn(&OfRow) -> f32| -> Result<(), OrtError> {
        let weights: Vec<f32> = rows.iter().map(weight).collect();
        Ok(binding.bind_input(name(part), &Value::from_array((vec![n, 1], weights))?)?)
    };
    weights("scale", |row| row.scale)?;
    weights("state", |row| row.state)?;
    weights("output", |row| row.output)
}

pub(super) fn name(part: &str) -> String {
    format!("{PREFIX}{part}")
}

/// Declares what rows are told: places `[n]`, weights `[n, 1]`, each an input or a column of one.
fn declare(g: &mut GraphBuilder, n: Extent<'static>, parts: &[&str], captures: bool) {
    for part in parts {
        let is_weight = ["scale", "state", "output"].contains(part);
        match (captures, is_weight) {
            (false, true) => g.input(&name(part), Element::F32, &[n, Extent::Fixed(1)]),
            (false, false) => g.input(&name(part), Element::I64, &[n]),
            (true, _) => {
                let column = OF_ROW.iter().position(|of| of == part).unwrap_or_default();
                let [at, of] = ["at", "column"].map(|what| name(&format!("{part}.{what}")));
                g.integers(&at, &[column as i64]);
                if is_weight {
                    g.node_of(&of, "Gather", &[&name("told"), &at], &name(part), &axis(1));
                    continue;
                }
                let column = g.node(&of, "Gather", &[&name("told"), &at], &axis(1));
                let line = g.node(&name(&format!("{part}.line")), "Reshape", &[&column, &name("line")], &[]);
                g.node(&name(part), "Cast", &[&line], &element(Element::I32));
            }
        }
    }
}

const N: Extent<'static> = Extent::Free("picardy.n");

/// The rows of a call, by the number that the graph fixes or any.
fn rows(layout: &Layout) -> Extent<'static> {
    layout.batch.map_or(N, Extent::Fixed)
}

fn axis(axis: i64) -> [(&'static str, Attribute<'static>); 1] {
    [("axis", Attribute::Int(axis))]
}

fn element(of: Element) -> [(&'static str, Attribute<'static>); 1] {
    [("to", Attribute::Int(i64::from(of.code())))]
}

/// From the rows to x.
fn before(model: &Model, layout: &Layout, captures: bool) -> Option<GraphBuilder> {
    let mut g = GraphBuilder::default();
    let (n, x) = (rows(layout), model.inputs().get(layout.x)?.name.as_str());
    g.input(&name("frames"), Element::F32, &[Extent::Free("picardy.rows"), Extent::Fixed(layout.dim)]);
    if captures {
        g.input(&name("told"), Element::F32, &[n, Extent::Fixed(OF_ROW.len())]);
        g.integers(&name("line"), &[-1]);
    }
    declare(&mut g, n, &["shown", "scale"], captures);
    let item = layout.item.iter().map(|extent| *extent as i64);
    let first = layout.batch.map_or(-1, |batch| batch as i64);
    g.integers(&name("item"), &std::iter::once(first).chain(item).collect::<Vec<_>>());
    let rows = g.node(&name("shown.rows"), "Gather", &[&name("frames"), &name("shown")], &axis(0));
    let rows = g.node(&name("shown.scaled"), "Mul", &[&rows, &name("scale")], &[]);
    if layout.x_element == Element::F32 {
        g.node_of(&name("shown.items"), "Reshape", &[&rows, &name("item")], x, &[]);
    } else {
        let items = g.node(&name("shown.items"), "Reshape", &[&rows, &name("item")], &[]);
        g.node_of(&name("shown.cast"), "Cast", &[&items], x, &element(layout.x_element));
    }
    Some(g)
}

/// From the answer to the products.
fn behind(model: &Model, layout: &Layout, captures: bool) -> Option<GraphBuilder> {
    let mut g = GraphBuilder::default();
    let (n, d) = (rows(layout), layout.dim as i64);
    declare(&mut g, n, &["x", "base", "said", "state", "output"], captures);
    g.integers(&name("flat"), &[-1, d]);
    g.integers(&name("lying"), &[-1, 1, d]);
    g.integers(&name("standing"), &[-1, d, 1]);
    let mut out = model.outputs().get(layout.out)?.name.clone();
    if layout.channels == Channels::Twice {
        g.integers(&name("mean"), &(0..*layout.item.first()? as i64).collect::<Vec<_>>());
        out = g.node(&name("out.mean"), "Gather", &[&out, &name("mean")], &axis(1));
    }
    if layout.out_element != Element::F32 {
        out = g.node(&name("out.f32"), "Cast", &[&out], &element(Element::F32));
    }
    let out = g.node(&name("out.flat"), "Reshape", &[&out, &name("flat")], &[]);
    let gather = |g: &mut GraphBuilder, what: &str| {
        g.node(&name(&format!("{what}.rows")), "Gather", &[&name("frames"), &name(what)], &axis(0))
    };
    let [x, base, said] = ["x", "base", "said"].map(|what| gather(&mut g, what));
    let of_x = g.node(&name("m.x"), "Mul", &[&x, &name("state")], &[]);
    let of_out = g.node(&name("m.out"), "Mul", &[&out, &name("output")], &[]);
    let m = g.node(&name("m"), "Add", &[&of_x, &of_out], &[]);
    let dx = g.node(&name("dx"), "Sub", &[&x, &base], &[]);
    let dm = g.node(&name("dm"), "Sub", &[&m, &said], &[]);
    let sides = [("lying", 1), ("standing", 2)].map(|(side, along)| {
        let parts = [&dx, &dm, &m]
            .map(|part| g.node(&format!("{part}.{side}"), "Reshape", &[part, &name(side)], &[]));
        g.node(&name(&format!("all.{side}")), "Concat", &parts.each_ref().map(String::as_str), &axis(along))
    });
    g.node(&name("products"), "MatMul", &[&sides[0], &sides[1]], &[]);
    g.output(&name("products"), &[n, Extent::Fixed(3), Extent::Fixed(3)]);
    Some(g)
}
