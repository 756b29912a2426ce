//! The small ONNX graph that runs recorded stages and answers a question, and the inputs that it takes.
//!
//! ```text
//! frames [R, d] --> stage 0 --> stage 1 --> ... --> out [R, d]
//!                                             \--> answer
//!
//! load, put   rows written from the host, or from a tensor on the device
//! affine      rows written by sum_t weight[n, t] frames[index[n, t]]
//! chains      x = L u, u = sum_t weight frames[index], L lower triangular, in two levels: blocks of `block` links, then
//!             the blocks' ends
//! clamp       rows between two limits each
//! blend       known[kept] row + known[added], rows of a table of known entries that stays on the device
//! answer      frames[index], or the inner products <a0 - a1, b0 - b1>
//! ```
//!
//! Coefficients and places are inputs, so that one graph serves all rounds whose stages have the same parts.

use super::{
    packed::Packing,
    program::{Affine, Stage},
    triangle::{ChainForm, Triangles},
};
use crate::onnx::{Attribute, Element, Extent, GraphBuilder, GraphError};

/// What a graph's stages have; the key under which it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Form {
    pub(super) stages: Vec<StageForm>,
    pub(super) question: QuestionForm,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct StageForm {
    pub(super) loads: bool,
    /// The model's answers, and how many of them.
    pub(super) puts: Option<(PutForm, usize)>,
    pub(super) affine: bool,
    pub(super) chains: Option<ChainForm>,
    pub(super) clamps: bool,
    pub(super) blends: bool,
}

/// A model's answer: its type, and whether a learned variance follows the channels of each row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct PutForm {
    pub(super) element: Element,
    pub(super) twice: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum QuestionForm {
    #[default]
    None,
    /// Rows of this type.
    Rows(Element),
    Products,
}

impl StageForm {
    pub(super) fn of(stage: &Stage) -> Self {
        Self {
            loads: !stage.loads.is_empty(),
            // Of few numbers, so that calls in nearly as many parts share a graph.
            puts: stage.puts.first().map(|put| (put.form, stage.puts.len().next_power_of_two())),
            affine: !stage.affine.is_empty(),
            clamps: !stage.clamps.is_empty(),
            blends: !stage.blends.is_empty(),
            chains: ChainForm::of(&stage.chains),
        }
    }
}

/// A value for an input.
#[derive(Debug)]
pub(super) enum Value {
    Floats(Vec<usize>, Vec<f32>),
    Places(Vec<usize>, Vec<i64>),
}

/// The graph of a form, for rows of the given item shape; with a packing, for one number of frames and inputs that lie in one tensor.
pub(super) fn build(
    form: &Form,
    dim: usize,
    item: &[usize],
    packing: Option<&Packing>,
) -> Result<Vec<u8>, GraphError> {
    let mut g = GraphBuilder::new("picardy-rows");
    let d = Extent::Fixed(dim);
    g.input("frames", Element::F32, &[Extent::Free("rows"), d]);
    if let Some(packing) = packing {
        packing.declare(&mut g)?;
    }
    let told = |g: &mut GraphBuilder, name: &str, element: Element, shape: &[Extent<'_>]| {
        if packing.is_none() {
            g.input(name, element, shape);
        }
    };
    if form.stages.iter().any(|stage| stage.blends) {
        g.input("known", Element::F32, &[Extent::Free("known.n"), d]);
    }
    g.integers("axis1", &[1]);
    g.integers("flat", &[-1, dim as i64]);
    let axis = |axis| [("axis", Attribute::Int(axis))];
    let no_axis = [("keepdims", Attribute::Int(0))];
    let mut frames = "frames".to_owned();
    for (i, stage) in form.stages.iter().enumerate() {
        let name = |part: &str| format!("{part}{i}");
        let before = frames.clone();
        // sum_t weight frames[index] of the rows as the stages before have left them.
        let sum = |g: &mut GraphBuilder, part: &str| {
            let [index, weight] = [name(&format!("{part}.index")), name(&format!("{part}.weight"))];
            let (n, t) = (name(&format!("{part}.n")), name(&format!("{part}.t")));
            told(g, &index, Element::I64, &[Extent::Free(&n), Extent::Free(&t)]);
            told(g, &weight, Element::F32, &[Extent::Free(&n), Extent::Free(&t), Extent::Fixed(1)]);
            let rows = g.node(&name(&format!("{part}.rows")), "Gather", &[&before, &index], &axis(0));
            let weighted = g.node(&name(&format!("{part}.weighted")), "Mul", &[&rows, &weight], &[]);
            g.node(&name(&format!("{part}.sum")), "ReduceSum", &[&weighted, "axis1"], &no_axis)
        };
        let mut made: Vec<(String, String)> = Vec::new();
        if stage.loads {
            let (n, values) = (name("load.n"), name("load.values"));
            told(&mut g, &values, Element::F32, &[Extent::Free(&n), d]);
            made.push(("load".to_owned(), values));
        }
        if let Some((PutForm { element, twice }, puts)) = stage.puts {
            let mut parts = Vec::with_capacity(puts);
            for part in 0..puts {
                let name = |what: &str| format!("{}.{part}", name(what));
                let (n, mut values) = (name("put.n"), put_values(i, part));
                let mut shape = vec![Extent::Free(&n)];
                shape.extend(item.iter().map(|extent| Extent::Fixed(*extent)));
                if twice {
                    shape[1] = Extent::Fixed(2 * item[0]);
                }
                g.input(&values, element, &shape);
                if twice {
                    let [first, end] = ["put.first", "put.end"].map(name);
                    g.integers(&first, &[0]);
                    g.integers(&end, &[item[0] as i64]);
                    values = g.node(&name("put.mean"), "Slice", &[&values, &first, &end, "axis1"], &[]);
                }
                if element != Element::F32 {
                    let to = [("to", Attribute::Int(i64::from(Element::F32.code())))];
                    values = g.node(&name("put.f32"), "Cast", &[&values], &to);
                }
                parts.push(g.node(&name("put.flat"), "Reshape", &[&values, "flat"], &[]));
            }
            let values = match &parts[..] {
                [one] => one.clone(),
                parts => {
                    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
                    g.node(&name("put.all"), "Concat", &parts, &axis(0))
                }
            };
            made.push(("put".to_owned(), values));
        }
        if stage.affine {
            let sum = sum(&mut g, "affine");
            made.push(("affine".to_owned(), sum));
        }
        if let Some(ChainForm { block, blocks, carries }) = stage.chains {
            let u = sum(&mut g, "chain");
            let (b, r, d) = (block as i64, carries as i64, dim as i64);
            let constant = |g: &mut GraphBuilder, what: &str, values: &[i64]| {
                let name = name(&format!("chain.{what}"));
                g.integers(&name, values);
                name
            };
            let in_blocks = constant(&mut g, "in_blocks", &[-1, b, d]);
            let in_chains = constant(&mut g, "in_chains", &[-1, blocks as i64 * r, d]);
            let to_blocks = constant(&mut g, "to_blocks", &[-1, r, d]);
            let last = constant(&mut g, "last", &(0..r).map(|back| b - 1 - back).collect::<Vec<_>>());
            let (within, across, from) = (name("chain.within"), name("chain.across"), name("chain.from"));
            let (c, cb) = (name("chain.c"), name("chain.cb"));
            let (block, ends) = (Extent::Fixed(block), Extent::Fixed(blocks * carries));
            told(&mut g, &within, Element::F32, &[Extent::Free(&cb), block, block]);
            told(&mut g, &across, Element::F32, &[Extent::Free(&c), ends, ends]);
            told(&mut g, &from, Element::F32, &[Extent::Free(&cb), block, Extent::Fixed(carries)]);
            let u = g.node(&name("chain.u"), "Reshape", &[&u, &in_blocks], &[]);
            let local = g.node(&name("chain.local"), "MatMul", &[&within, &u], &[]);
            let ends = g.node(&name("chain.ends"), "Gather", &[&local, &last], &axis(1));
            let ends = g.node(&name("chain.ends.c"), "Reshape", &[&ends, &in_chains], &[]);
            let before = g.node(&name("chain.before"), "MatMul", &[&across, &ends], &[]);
            let before = g.node(&name("chain.before.b"), "Reshape", &[&before, &to_blocks], &[]);
            let carried = g.node(&name("chain.carried"), "MatMul", &[&from, &before], &[]);
            let x = g.node(&name("chain.x"), "Add", &[&local, &carried], &[]);
            let x = g.node(&name("chain.flat"), "Reshape", &[&x, "flat"], &[]);
            made.push(("chain".to_owned(), x));
        }
        if stage.clamps {
            // By comparisons: of NaN, a maximum is what each device makes of it.
            let [index, low, high] = ["clamp.index", "clamp.low", "clamp.high"].map(name);
            let n = name("clamp.n");
            told(&mut g, &index, Element::I64, &[Extent::Free(&n)]);
            for limit in [&low, &high] {
                told(&mut g, limit, Element::F32, &[Extent::Free(&n), Extent::Fixed(1)]);
            }
            let x = g.node(&name("clamp.rows"), "Gather", &[&before, &index], &axis(0));
            let below = g.node(&name("clamp.below"), "Less", &[&x, &low], &[]);
            let x = g.node(&name("clamp.from"), "Where", &[&below, &low, &x], &[]);
            let above = g.node(&name("clamp.above"), "Greater", &[&x, &high], &[]);
            let x = g.node(&name("clamp.within"), "Where", &[&above, &high, &x], &[]);
            made.push(("clamp".to_owned(), x));
        }
        if stage.blends {
            let [index, kept, added] = ["blend.index", "blend.kept", "blend.added"].map(name);
            let n = name("blend.n");
            for places in [&index, &kept, &added] {
                told(&mut g, places, Element::I64, &[Extent::Free(&n)]);
            }
            let x = g.node(&name("blend.rows"), "Gather", &[&before, &index], &axis(0));
            let keep = g.node(&name("blend.keep"), "Gather", &["known", &kept], &axis(0));
            let add = g.node(&name("blend.add"), "Gather", &["known", &added], &axis(0));
            let x = g.node(&name("blend.free"), "Mul", &[&x, &keep], &[]);
            let x = g.node(&name("blend.x"), "Add", &[&x, &add], &[]);
            made.push(("blend".to_owned(), x));
        }
        let parts = made.len();
        for (place, (part, values)) in made.into_iter().enumerate() {
            let (to, n) = (name(&format!("{part}.to")), name(&format!("{part}.to.n")));
            let written = name(&format!("{part}.frames"));
            frames = if packing.is_some() {
                let is_last = (i, place) == (form.stages.len() - 1, parts - 1);
                Packing::write(&mut g, &to, &values, &frames, if is_last { "out" } else { &written })
            } else {
                g.input(&to, Element::I64, &[Extent::Free(&n), Extent::Fixed(1)]);
                g.node(&written, "ScatterND", &[&frames, &to, &values], &[])
            };
        }
    }
    if !form.stages.is_empty() {
        if frames != "out" {
            g.node("out", "Identity", &[&frames], &[]);
        }
        g.output("out", &[Extent::Free("rows"), d]);
    }
    let index = |g: &mut GraphBuilder, name: &str| told(g, name, Element::I64, &[Extent::Free("asked")]);
    match form.question {
        QuestionForm::None => {}
        QuestionForm::Rows(element) => {
            index(&mut g, "index");
            let shape: Vec<i64> =
                std::iter::once(-1).chain(item.iter().map(|extent| *extent as i64)).collect();
            g.integers("item", &shape);
            g.node("asked.rows", "Gather", &[&frames, "index"], &axis(0));
            let name = if element == Element::F32 { "answer" } else { "asked.items" };
            g.node(name, "Reshape", &["asked.rows", "item"], &[]);
            if element != Element::F32 {
                let to = [("to", Attribute::Int(i64::from(element.code())))];
                g.node("answer", "Cast", &["asked.items"], &to);
            }
            let extents: Vec<Extent<'_>> = std::iter::once(Extent::Free("asked"))
                .chain(item.iter().map(|e| Extent::Fixed(*e)))
                .collect();
            g.output_of("answer", element, &extents);
        }
        QuestionForm::Products => {
            for name in ["a0", "a1", "b0", "b1"] {
                index(&mut g, name);
                g.node(&format!("{name}.rows"), "Gather", &[&frames, name], &axis(0));
            }
            g.node("a", "Sub", &["a0.rows", "a1.rows"], &[]);
            g.node("b", "Sub", &["b0.rows", "b1.rows"], &[]);
            g.node("ab", "Mul", &["a", "b"], &[]);
            g.node("answer", "ReduceSum", &["ab", "axis1"], &no_axis);
            g.output("answer", &[Extent::Free("asked")]);
        }
    }
    g.finish()
}

/// The input that takes up a part of the model's answer.
pub(super) fn put_values(stage: usize, part: usize) -> String {
    format!("put.values{stage}.{part}")
}

/// The inputs of a stage, but for the answers. `zero` is a row of zeros, `waste` one whose value is of no use; `few` where sums have
/// terms of few numbers, the rest being of zeros.
pub(super) fn inputs(
    i: usize,
    stage: &Stage,
    form: &StageForm,
    (zero, waste): (usize, usize),
    few: bool,
) -> Vec<(String, Value)> {
    let mut values = Vec::new();
    let mut push = |part: &str, value: Value| values.push((format!("{part}{i}"), value));
    let to = |rows: Vec<i64>| Value::Places(vec![rows.len(), 1], rows);
    if form.loads {
        let dim = stage.loads.first().map_or(0, |(_, values)| values.len());
        let numbers = stage.loads.iter().flat_map(|(_, values)| values.iter().copied()).collect();
        push("load.values", Value::Floats(vec![stage.loads.len(), dim], numbers));
        push("load.to", to(stage.loads.iter().map(|(row, _)| *row as i64).collect()));
    }
    if let Some((_, puts)) = form.puts {
        let mut rows: Vec<i64> = stage.puts.iter().flat_map(|put| &put.rows).map(|row| *row as i64).collect();
        // The last comes again where the graph takes more.
        let last = stage.puts.last().map_or(0, |put| put.rows.len());
        rows.extend(std::iter::repeat_n(waste as i64, (puts - stage.puts.len()) * last));
        push("put.to", to(rows));
    }
    if form.affine {
        let (index, weight) = sums(stage.affine.iter(), stage.affine.len(), zero, few);
        push("affine.index", index);
        push("affine.weight", weight);
        push("affine.to", to(stage.affine.iter().map(|affine| affine.dst as i64).collect()));
    }
    if form.clamps {
        let n = stage.clamps.len();
        let rows: Vec<i64> = stage.clamps.iter().map(|(row, ..)| *row as i64).collect();
        push("clamp.index", Value::Places(vec![n], rows.clone()));
        push("clamp.low", Value::Floats(vec![n, 1], stage.clamps.iter().map(|(_, low, _)| *low).collect()));
        push("clamp.high", Value::Floats(vec![n, 1], stage.clamps.iter().map(|(.., high)| *high).collect()));
        push("clamp.to", to(rows));
    }
    if form.blends {
        let n = stage.blends.len();
        let rows: Vec<i64> = stage.blends.iter().map(|(row, _)| *row as i64).collect();
        let known = |second: usize| stage.blends.iter().map(|(_, pair)| (2 * pair + second) as i64).collect();
        push("blend.index", Value::Places(vec![n], rows.clone()));
        push("blend.kept", Value::Places(vec![n], known(0)));
        push("blend.added", Value::Places(vec![n], known(1)));
        push("blend.to", to(rows));
    }
    if let Some(of) = form.chains {
        let links = of.block * of.blocks;
        let padding = Affine { dst: waste, terms: Vec::new() };
        let padded = stage.chains.iter().flat_map(|chain| {
            let links_there = chain.iter().map(|(_, link)| link);
            links_there.chain(std::iter::repeat_n(&padding, links - chain.len()))
        });
        let (index, weight) = sums(padded.clone(), stage.chains.len() * links, zero, few);
        push("chain.index", index);
        push("chain.weight", weight);
        push("chain.to", to(padded.map(|link| link.dst as i64).collect()));
        let Triangles { within, across, from } = Triangles::of(&stage.chains, of);
        let (chains, ends) = (stage.chains.len(), of.blocks * of.carries);
        push("chain.within", Value::Floats(vec![chains * of.blocks, of.block, of.block], within));
        push("chain.across", Value::Floats(vec![chains, ends, ends], across));
        push("chain.from", Value::Floats(vec![chains * of.blocks, of.block, of.carries], from));
    }
    values
}

/// Places and weights `[n, t]` of sums, padded to as many terms with a row of zeros.
fn sums<'a>(
    sums: impl Iterator<Item = &'a Affine> + Clone,
    n: usize,
    zero: usize,
    few: bool,
) -> (Value, Value) {
    let terms = sums.clone().map(|sum| sum.terms.len()).max().unwrap_or(0).max(1);
    let terms = if few { terms.next_power_of_two() } else { terms };
    let mut index = vec![zero as i64; n * terms];
    let mut weight = vec![0.0; n * terms];
    for (i, sum) in sums.enumerate() {
        for (t, (w, row)) in sum.terms.iter().enumerate() {
            index[i * terms + t] = *row as i64;
            weight[i * terms + t] = *w;
        }
    }
    (Value::Places(vec![n, terms], index), Value::Floats(vec![n, terms, 1], weight))
}
