//! A network's program as ONNX nodes: one interpreter for all architectures, forward and backward.
//!
//! Values are channels first, `[n, channels]` or `[n, channels, height, width]`, as ONNX's convolutions take them; items are
//! channels last, and are turned around once before the program and once behind it. A series is an image of height 1: ONNX
//! Runtime has its fast convolutions for images alone. Each operation's file has its lowering and, where it has one, that of its
//! backward pass.

use std::collections::{HashMap, HashSet};

use picardy::nn::{Architecture, Op, Shape, Step};

use super::weights::to_graph;
use super::{Attribute, Element, Extent, GraphBuilder, OnnxError};
use crate::model::{Network, Parameter, Place};

mod activation;
mod attention;
mod backward;
mod conv;
mod embedding;
mod join;
mod nodes;
mod norm;

/// The axes of a value behind its batch and its channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// None.
    Vector,
    /// Height and width.
    Image,
}

/// The order of axes that puts an item's channels first.
const FIRST: [i64; 4] = [0, 3, 1, 2];
/// And last again.
const LAST: [i64; 4] = [0, 2, 3, 1];

impl Form {
    /// The axes of places.
    const fn places(self) -> &'static [i64] {
        match self {
            Self::Vector => &[],
            Self::Image => &[2, 3],
        }
    }

    /// All axes but that of the channels.
    const fn but_channels(self) -> &'static [i64] {
        match self {
            Self::Vector => &[0],
            Self::Image => &[0, 2, 3],
        }
    }
}

/// A value of the program in the graph.
#[derive(Debug, Clone)]
pub(super) struct Lowered {
    pub(super) name: String,
    pub(super) form: Form,
    pub(super) shape: Shape,
}

impl Lowered {
    /// The extents of a channels-first value, for a Reshape: the batch stays.
    fn extents(&self) -> Vec<i64> {
        let Shape { height, width, channels } = self.shape;
        let [height, width, channels] = [height, width, channels].map(|n| n as i64);
        match self.form {
            Form::Vector => vec![0, channels],
            Form::Image => vec![0, channels, height, width],
        }
    }
}

/// Where the weights are.
#[derive(Debug)]
enum Weights {
    /// In the graph.
    Constants,
    /// Parts of one vector, by where each begins, under these names.
    Parts(HashMap<usize, String>),
}

/// A graph in the making.
pub(super) struct Lowering<'n> {
    pub(super) graph: GraphBuilder,
    network: &'n Network<f32>,
    weights: Weights,
    /// Rows of a batch, where they are fixed.
    pub(super) rows: Option<usize>,
    values: Vec<Lowered>,
    /// What the backward pass of each step reads beside the values, where there will be one.
    kept: Vec<Vec<String>>,
    /// Constants that are there.
    known: HashSet<String>,
    /// How the nodes under way are called.
    scope: String,
    nodes: usize,
    /// The gradients so far, of values and of parameters.
    slopes: Vec<Option<String>>,
    gradients: HashMap<usize, String>,
}

impl<'n> Lowering<'n> {
    /// A graph with the network's weights in it, for any number of rows.
    pub(super) fn new(network: &'n Network<f32>) -> Self {
        Self {
            graph: GraphBuilder::new(network.config().architecture.name()),
            network,
            weights: Weights::Constants,
            rows: None,
            values: Vec::new(),
            kept: Vec::new(),
            known: HashSet::new(),
            scope: String::new(),
            nodes: 0,
            slopes: Vec::new(),
            gradients: HashMap::new(),
        }
    }

    /// A graph for training: the weights are parts of the input `vector`, all parameters in the graph's order, and batches have
    /// `rows` rows.
    pub(super) fn training(network: &'n Network<f32>, rows: usize, vector: &str) -> Self {
        let mut lowering = Self::new(network);
        lowering.rows = Some(rows);
        lowering.scope = "parts".to_owned();
        let sizes: Vec<usize> = network.layout().iter().map(|p| p.range.len()).collect();
        let names = lowering.parts(vector, &sizes);
        let starts = network.layout().iter().map(|p| p.range.start);
        lowering.weights = Weights::Parts(starts.zip(names).collect());
        lowering
    }

    /// Whether there will be a backward pass.
    const fn is_training(&self) -> bool {
        matches!(self.weights, Weights::Parts(_))
    }

    pub(super) const fn network(&self) -> &'n Network<f32> {
        self.network
    }

    /// The extent of the batch.
    pub(super) fn batch(&self) -> Extent<'static> {
        self.rows.map_or(Extent::Free("n"), Extent::Fixed)
    }

    /// The extents of an item's batch as it comes and goes, channels last.
    pub(super) fn items(&self) -> Vec<Extent<'static>> {
        let item = self.network.config().shape.iter().map(|&extent| Extent::Fixed(extent));
        std::iter::once(self.batch()).chain(item).collect()
    }

    /// Declares the network's inputs: `x` `[n, item...]`, `t` `[n]`, and `condition` `[n, c]` where it takes one.
    pub(super) fn inputs(&mut self) {
        let batch = self.batch();
        let items = self.items();
        self.graph.input("x", Element::F32, &items);
        self.graph.input("t", Element::F32, &[batch]);
        if self.network.condition() > 0 {
            self.graph.input("condition", Element::F32, &[batch, Extent::Fixed(self.network.condition())]);
        }
    }

    /// The nodes of the whole network from its inputs to `out` `[n, item...]`.
    pub(super) fn forward(&mut self, out: &str) -> Result<(), OnnxError> {
        let config = self.network.config();
        let item = config.item().map_err(|error| OnnxError::Network(error.to_string()))?;
        let form = match config.architecture {
            Architecture::Unet1d(_) | Architecture::Unet2d(_) => Form::Image,
            _ => Form::Vector,
        };
        let steps = self.network.steps();
        let plain = form == Form::Vector && config.shape.len() == 1;
        self.scope = "x".to_owned();
        let x = if plain { "x".to_owned() } else { self.enter("x", form, item) };
        let vector = |name: &str, channels| Lowered {
            name: name.to_owned(),
            form: Form::Vector,
            shape: Shape::vector(channels),
        };
        self.values = vec![
            Lowered { name: x, form, shape: item },
            vector("t", 1),
            vector("condition", config.condition),
        ];
        self.kept = Vec::new();
        for (i, step) in steps.iter().enumerate() {
            let last = i + 1 == steps.len();
            let result = (plain && last).then_some(out);
            let lowered = self.step(i, step, result)?;
            self.values.push(lowered);
        }
        let Some(last) = self.values.last().filter(|_| !plain).cloned() else { return Ok(()) };
        self.scope = "out".to_owned();
        self.leave(&last.name, form);
        self.graph.rename_last(out);
        Ok(())
    }

    /// The program's items as they are outside: the way back of [`enter`](Self::enter).
    fn leave(&mut self, value: &str, form: Form) -> String {
        let shape = &self.network.config().shape;
        let value = match form {
            Form::Vector if shape.len() == 1 => return value.to_owned(),
            Form::Vector => value.to_owned(),
            Form::Image => self.transpose(value, &LAST),
        };
        if form == Form::Image && shape.len() == 3 {
            return value;
        }
        let extents: Vec<i64> = std::iter::once(0).chain(shape.iter().map(|&extent| extent as i64)).collect();
        self.reshape(&value, &extents)
    }

    /// Items as the program takes them: channels first, or as vectors.
    fn enter(&mut self, items: &str, form: Form, item: Shape) -> String {
        let [height, width, channels] = [item.height, item.width, item.channels].map(|n| n as i64);
        match form {
            Form::Vector => self.reshape(items, &[0, channels]),
            Form::Image if self.network.config().shape.len() == 3 => self.transpose(items, &FIRST),
            Form::Image => {
                let items = self.reshape(items, &[0, height, width, channels]);
                self.transpose(&items, &FIRST)
            }
        }
    }

    fn step(&mut self, i: usize, step: &Step<Place>, result: Option<&str>) -> Result<Lowered, OnnxError> {
        let learns = matches!(step.op, Op::Conv { .. } | Op::LayerNorm | Op::GroupNorm { .. });
        self.scope = match learns {
            true => self.label(step)?,
            false => format!("step{i}"),
        };
        let [a, b] = step.inputs.map(|value| self.values.get(value.index()).cloned());
        let not_lowered = || OnnxError::NotLowered { op: format!("{:?}", step.op) };
        let a = a.ok_or_else(not_lowered)?;
        let b = b.ok_or_else(not_lowered)?;
        let shaped = |name: String| Lowered { name, form: a.form, shape: step.shape };
        let mut kept = Vec::new();
        let name = match step.op {
            Op::Conv { .. } => self.conv(step, &a)?,
            Op::LayerNorm => self.layer_norm(step, &a, &mut kept)?,
            Op::GroupNorm { groups } => self.group_norm(step, &a, groups, &mut kept)?,
            Op::Activation(function) => self.activation(function, &a.name, &mut kept),
            Op::Sinusoidal(spacing) => self.sinusoidal(spacing, &a.name, step.shape.channels)?,
            Op::Add => self.add(&a, &b),
            Op::Film => self.film(&a, &b, &mut kept),
            Op::Concat => self.node("Concat", &[&a.name, &b.name], &[("axis", Attribute::Int(1))]),
            Op::Interleave => self.interleave(&shaped(a.name.clone()), &b),
            Op::Upsample if a.form == Form::Image => self.upsample(&a),
            Op::Attention { heads } => self.attention(&a, &shaped(String::new()), heads, &mut kept),
            _ => return Err(not_lowered()),
        };
        if let Some(result) = result {
            self.graph.rename_last(result);
        }
        self.kept.push(kept);
        Ok(shaped(result.map_or(name, str::to_owned)))
    }

    /// The parameter that begins there.
    fn parameter(&self, start: usize) -> Result<&'n Parameter, OnnxError> {
        let parameter = self.network.layout().iter().find(|p| p.range.start == start);
        parameter.ok_or_else(|| OnnxError::MissingParameter { name: format!("parameter at {start}") })
    }

    /// What a step with parameters is called: its weight's name without the last part.
    fn label(&self, step: &Step<Place>) -> Result<String, OnnxError> {
        let name = &self.parameter(step.parameters.starts()[0])?.name;
        Ok(name.strip_suffix(".weight").unwrap_or(name).to_owned())
    }

    /// The weight (0) or bias (1) of a step as a value of these extents.
    fn weight(&mut self, step: &Step<Place>, which: usize, extents: &[usize]) -> Result<String, OnnxError> {
        let parameter = self.parameter(step.parameters.starts()[which])?;
        let name = match &self.weights {
            Weights::Constants => {
                if self.known.insert(parameter.name.clone()) {
                    let values = &self.network.parameters()[parameter.range.clone()];
                    self.graph.floats(&parameter.name, extents, &to_graph(parameter, values))?;
                }
                return Ok(parameter.name.clone());
            }
            Weights::Parts(parts) => parts.get(&parameter.range.start).cloned(),
        };
        let part = name.ok_or_else(|| OnnxError::MissingParameter { name: parameter.name.clone() })?;
        if extents.len() == 1 {
            return Ok(part);
        }
        let name = format!("{}.{}", parameter.name, extents.len());
        if self.known.insert(name.clone()) {
            let extents: Vec<i64> = extents.iter().map(|&extent| extent as i64).collect();
            let shape = self.integers(&extents);
            self.graph.node(&name, "Reshape", &[&part, &shape], &[]);
        }
        Ok(name)
    }
}
