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

use ort::{memory::Allocator, session::Session, value::Tensor as Value};
use picardy::Foreseen;

use super::{ResidentFrames, foresight::Products, frames::Shown, graph::PutForm};
use crate::{
    binding::{Told, run_bound},
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
pub(crate) struct OverRows(Exclusively<Session>);

/// The rows of a run.
pub(super) struct Call<'a> {
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
    pub(crate) fn graft(model: &Model, layout: &Layout) -> Option<Vec<u8>> {
        if matches!(model.provider(), Provider::TensorRt { .. }) {
            return None;
        }
        let bytes = model.source().ok()?.bytes().ok()?;
        graft(&bytes, &model.inputs().get(layout.x)?.name, before(model, layout)?, behind(model, layout)?)
    }

    /// Loads them; `None` where the device does not run all of our nodes, the model has values of their names, or there is no memory.
    pub(crate) fn load(model: &Model, bytes: &[u8]) -> Option<Self> {
        let outside = "rows are gathered and judged outside of the model's graph";
        let Loaded { session, placements, .. } =
            model.derived(bytes).inspect_err(|error| tracing::warn!(%error, outside)).ok()?;
        let own = model.provider().ort_name();
        let away = |node: &&Placement| node.node.starts_with(PREFIX) && Some(node.provider.as_str()) != own;
        match placements.iter().find(away).filter(|_| model.provider() != Provider::Cpu) {
            Some(node) => {
                tracing::warn!(%node, outside);
                None
            }
            None => Some(Self(session)),
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
        Call { asked, shown, foreseen, to }: Call<'_>,
    ) -> Result<Vec<Products>, OrtError> {
        let n = layout.batch.unwrap_or(asked.len());
        let twice = layout.channels == Channels::Twice;
        let mut shape: Vec<usize> = std::iter::once(n).chain(layout.item.iter().copied()).collect();
        if twice {
            shape[1] *= 2;
        }
        let mut answer = frames.memory().dyn_tensor(layout.out_element.ort(), &shape)?;
        let zero = frames.zero();
        let mut binding = self.0.create_binding()?;
        binding.bind_input(name("frames"), &frames.current)?;
        let places = |place: &dyn Fn(usize) -> usize| {
            let places: Vec<i64> = (0..n).map(|i| place(i) as i64).collect();
            Value::from_array((vec![n], places))
        };
        let weights = |weight: &dyn Fn(usize) -> f32| {
            let weights: Vec<f32> = (0..n).map(weight).collect();
            Value::from_array((vec![n, 1], weights))
        };
        let of = |i: usize| foreseen.and_then(|foreseen| foreseen.get(i));
        let row = |row: Option<usize>| row.map_or(zero, |row| frames.source(row));
        binding.bind_input(name("shown"), &places(&|i| shown.get(i).map_or(zero, |shown| shown.row))?)?;
        binding.bind_input(name("scale"), &weights(&|i| shown.get(i).map_or(1.0, |shown| shown.scale))?)?;
        binding.bind_input(name("x"), &places(&|i| row(of(i).map(|of| of.x)))?)?;
        binding.bind_input(name("base"), &places(&|i| row(of(i).and_then(|of| of.since).map(|s| s.0)))?)?;
        binding.bind_input(name("said"), &places(&|i| row(of(i).and_then(|of| of.since).map(|s| s.1)))?)?;
        binding.bind_input(name("state"), &weights(&|i| of(i).map_or(0.0, |of| of.state as f32))?)?;
        binding.bind_input(name("output"), &weights(&|i| of(i).map_or(1.0, |of| of.output as f32))?)?;
        told.bind(&mut binding, model, layout, inputs, asked)?;
        binding.bind_output(model.outputs()[layout.out].name.as_str(), &mut *answer)?;
        let mut products = Value::<f32>::new(&Allocator::default(), vec![n, 3, 3])?;
        binding.bind_output(name("products"), &mut products)?;
        run_bound(&mut self.0, &binding)?;
        drop(binding);
        let products = products.try_extract_tensor::<f32>()?.1.chunks_exact(9).take(asked.len());
        let products: Vec<Products> = products.map(|p| [p[0], p[1], p[4], p[8]]).collect();
        frames.count(|traffic| {
            traffic.products += 9 * n;
            traffic.coefficients += n * (4 * 8 + 3 * 4);
        });
        frames.put(answer, PutForm { element: layout.out_element, twice }, to, n);
        Ok(products)
    }
}

fn name(part: &str) -> String {
    format!("{PREFIX}{part}")
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
fn before(model: &Model, layout: &Layout) -> Option<GraphBuilder> {
    let mut g = GraphBuilder::default();
    let (n, x) = (rows(layout), model.inputs().get(layout.x)?.name.as_str());
    g.input(&name("frames"), Element::F32, &[Extent::Free("picardy.rows"), Extent::Fixed(layout.dim)]);
    g.input(&name("shown"), Element::I64, &[n]);
    g.input(&name("scale"), Element::F32, &[n, Extent::Fixed(1)]);
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
fn behind(model: &Model, layout: &Layout) -> Option<GraphBuilder> {
    let mut g = GraphBuilder::default();
    let (n, d) = (rows(layout), layout.dim as i64);
    for place in ["x", "base", "said"] {
        g.input(&name(place), Element::I64, &[n]);
    }
    for weight in ["state", "output"] {
        g.input(&name(weight), Element::F32, &[n, Extent::Fixed(1)]);
    }
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
