//! What the host tells a graph, packed into one tensor of f32: of a captured run, one copy to one address.
//!
//! ```text
//! pack [m] --slice, reshape-->          weights
//!          --slice, reshape, cast-->    places
//!          --slice-->                   for each row r of the frames, which of the written rows it becomes, or -1:
//!                                       frames[r] <- from[r] >= 0 ? values[from[r]] : frames[r]
//! ```
//!
//! Rows are written by choosing, as no copy comes before it: providers scatter into a copy of the frames, which is no kernel and may not be
//! captured. Numbers of rows go up to powers of two, that shapes come again more often.

use super::graph::Value;
use crate::onnx::{Attribute, Element, Extent, GraphBuilder, GraphError};

/// What a part holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Floats,
    Places,
    /// Where rows are written from.
    From,
}

/// One input of the graph as it would be alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Part {
    name: String,
    kind: Kind,
    shape: Vec<usize>,
}

/// Where in the pack each of a graph's inputs lies: with the graph's form, all of its shapes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Packing {
    parts: Vec<Part>,
}

/// Rows that any number may be added to, which change nothing: they go up to a power of two.
const GROW: [&str; 8] = ["load.", "affine.", "clamp.", "blend.", "a0", "a1", "b0", "b1"];

/// Of them, those that name a row of the table of known entries and no row of the frames.
const KNOWN: [&str; 2] = ["blend.kept", "blend.added"];

impl Packing {
    /// Packs a graph's inputs. `rows` are those of the frames, of which `zero` is one of zeros.
    pub(super) fn of(values: Vec<(String, Value)>, rows: usize, zero: usize) -> (Self, Vec<f32>) {
        let (mut parts, mut pack) = (Vec::with_capacity(values.len()), Vec::new());
        for (name, value) in values {
            let begin = pack.len();
            let (kind, mut shape, fill) = match value {
                Value::Places(_, written) if name.contains(".to") => {
                    let mut from = vec![-1.0; rows];
                    for (place, row) in written.iter().enumerate() {
                        // Of rows written twice the later holds, as when they are scattered.
                        if let Some(from) = from.get_mut(*row as usize) {
                            *from = place as f32;
                        }
                    }
                    pack.extend(from);
                    (Kind::From, vec![rows], 0.0)
                }
                Value::Places(shape, places) => {
                    pack.extend(places.iter().map(|place| *place as f32));
                    let known = KNOWN.iter().any(|known| name.starts_with(known));
                    (Kind::Places, shape, if known { 0.0 } else { zero as f32 })
                }
                Value::Floats(shape, values) => {
                    pack.extend(values);
                    (Kind::Floats, shape, 0.0)
                }
            };
            if kind != Kind::From
                && GROW.iter().any(|grow| name.starts_with(grow))
                && let Some(first) = shape.first_mut()
            {
                let each = (pack.len() - begin) / (*first).max(1);
                *first = first.next_power_of_two();
                pack.resize(begin + *first * each, fill);
            }
            parts.push(Part { name, kind, shape });
        }
        (Self { parts }, pack)
    }

    /// The rows that a question asks for, with those that were added.
    pub(super) fn asked(&self) -> usize {
        let asked = self.parts.iter().find(|part| part.name == "a0");
        asked.map_or(0, |part| part.shape.iter().product())
    }

    /// The pack as an input, and the parts as values of their names.
    pub(super) fn declare(&self, g: &mut GraphBuilder) -> Result<(), GraphError> {
        let length = |part: &Part| part.shape.iter().product::<usize>();
        g.input("pack", Element::F32, &[Extent::Fixed(self.parts.iter().map(length).sum())]);
        g.integers("axis0", &[0]);
        g.floats("none", &[1], &[-0.5])?;
        let mut begin = 0;
        for part in &self.parts {
            let name = |what: &str| format!("{}.{what}", part.name);
            let end = begin + length(part);
            let [first, last, shape] = ["first", "last", "shape"].map(name);
            g.integers(&first, &[begin as i64]);
            g.integers(&last, &[end as i64]);
            begin = end;
            let flat = g.node(&name("flat"), "Slice", &["pack", &first, &last, "axis0"], &[]);
            let extents: Vec<i64> = part.shape.iter().map(|extent| *extent as i64).collect();
            let places = [("to", Attribute::Int(i64::from(Element::I32.code())))];
            match part.kind {
                Kind::Floats => {
                    g.integers(&shape, &extents);
                    g.node(&part.name, "Reshape", &[&flat, &shape], &[]);
                }
                Kind::Places => {
                    g.integers(&shape, &extents);
                    let shaped = g.node(&name("shaped"), "Reshape", &[&flat, &shape], &[]);
                    g.node(&part.name, "Cast", &[&shaped], &places);
                }
                Kind::From => {
                    g.integers(&shape, &[-1, 1]);
                    let there = g.node(&name("there"), "Relu", &[&flat], &[]);
                    g.node(&part.name, "Cast", &[&there], &places);
                    let column = g.node(&name("column"), "Reshape", &[&flat, &shape], &[]);
                    g.node(&name("is"), "Greater", &[&column, "none"], &[]);
                }
            }
        }
        Ok(())
    }

    /// The rows of `frames`, where told with those of `values`.
    pub(super) fn write(g: &mut GraphBuilder, to: &str, values: &str, frames: &str, written: &str) -> String {
        let new = format!("{to}.new");
        g.node(&new, "Gather", &[values, to], &[("axis", Attribute::Int(0))]);
        g.node(written, "Where", &[&format!("{to}.is"), &new, frames], &[])
    }
}
