//! A model of any form, y = 1.25 tanh(x / 2 + t / 100 - 1), and its value.

use picardy_trainer::onnx::{Attribute, Element, Extent, GraphBuilder};

/// The shape of t.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Level {
    /// `[]`
    Scalar,
    /// `[1]`
    One,
    /// `[n]`
    Rows,
    /// `[n, 1]`
    Column,
}

/// What the model is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Affine<'a> {
    pub(crate) x: Element,
    pub(crate) t: Element,
    pub(crate) rank: Level,
    pub(crate) out: Element,
    pub(crate) item: &'a [usize],
    pub(crate) batch: Option<usize>,
}

impl<'a> Affine<'a> {
    /// Of f32 and any batch, t `[n]`.
    pub(crate) fn plain(item: &'a [usize]) -> Self {
        Self { x: Element::F32, t: Element::F32, rank: Level::Rows, out: Element::F32, item, batch: None }
    }

    pub(crate) fn value(x: f64, t: f64) -> f64 {
        1.25 * (x / 2.0 + t / 100.0 - 1.0).tanh()
    }

    pub(crate) fn graph(&self) -> GraphBuilder {
        let rows = self.batch.map_or(Extent::Free("n"), Extent::Fixed);
        let shape: Vec<Extent<'_>> =
            std::iter::once(rows).chain(self.item.iter().map(|&extent| Extent::Fixed(extent))).collect();
        let times: &[Extent<'_>] = match self.rank {
            Level::Scalar => &[],
            Level::One => &[Extent::Fixed(1)],
            Level::Rows => &[rows],
            Level::Column => &[rows, Extent::Fixed(1)],
        };
        let mut graph = GraphBuilder::new("affine");
        graph.input("sample", self.x, &shape);
        graph.input("timestep", self.t, times);
        let cast = |element: Element| [("to", Attribute::Int(i64::from(element.code())))];
        let x = graph.node("x32", "Cast", &["sample"], &cast(Element::F32));
        let t = graph.node("t32", "Cast", &["timestep"], &cast(Element::F32));
        // [n, 1, ...]: a scalar and [1] are broadcast as they are.
        let missing = if times.is_empty() { times.len()..0 } else { times.len()..shape.len() };
        let axes: Vec<i64> = missing.map(|axis| axis as i64).collect();
        let t = if axes.is_empty() {
            t
        } else {
            graph.integers("axes", &axes);
            graph.node("column", "Unsqueeze", &[&t, "axes"], &[])
        };
        for (name, value) in [("half", 0.5), ("hundredth", 0.01), ("one", 1.0), ("slope", 1.25)] {
            graph.floats(name, &[1], &[value]).unwrap();
        }
        let x = graph.node("x_half", "Mul", &[&x, "half"], &[]);
        let t = graph.node("t_hundredth", "Mul", &[&t, "hundredth"], &[]);
        let t = graph.node("t_shifted", "Sub", &[&t, "one"], &[]);
        let y = graph.node("sum", "Add", &[&x, &t], &[]);
        let y = graph.node("tanh", "Tanh", &[&y], &[]);
        let y = graph.node("scaled", "Mul", &[&y, "slope"], &[]);
        graph.node("noise_pred", "Cast", &[&y], &cast(self.out));
        graph.output_of("noise_pred", self.out, &shape);
        graph
    }
}

/// `y = x/4 + bias`, of two numbers each: a model with a condition.
pub(crate) fn biased() -> GraphBuilder {
    let n = Extent::Free("n");
    let mut graph = GraphBuilder::new("biased");
    for name in ["x", "bias"] {
        graph.input(name, Element::F32, &[n, Extent::Fixed(2)]);
    }
    graph.input("t", Element::F32, &[n]);
    graph.floats("quarter", &[1], &[0.25]).unwrap();
    graph.node("part", "Mul", &["x", "quarter"], &[]);
    graph.node("y", "Add", &["part", "bias"], &[]);
    graph.output("y", &[n, Extent::Fixed(2)]);
    graph
}
