//! The residual MLP as an ONNX graph.
//!
//! ```text
//! h   = x W_in^T + b_in                                  x [n, d], h [n, w]
//! e   = [sin(t f_i), ..., cos(t f_i), ...]               t [n],    e [n, w],  i < w/2
//! h  <- h + gelu(LN(h + e) W1^T + b1) W2^T + b2          for each block
//! out = LN(h) W_out^T + b_out                            out [n, d]
//!
//! f_i = 10000^(-i / (w/2)),  gelu(u) = u/2 (1 + erf(u / sqrt 2)),
//! LN(u) = (u - mean u) / sqrt(var u + 1e-5) * weight + bias, over the last axis
//! ```

use std::f32::consts::SQRT_2;

use picardy::nn::{LAYER_NORM_EPSILON, frequencies};

use super::{Attribute, Element, Extent, GraphBuilder, OnnxError};

/// The graph as the bytes of an ONNX file: inputs `x` `[n, dim]` and `t` `[n]`, output `out` `[n, dim]`,
/// all of 32-bit floats and any n.
///
/// `params` gives a parameter's values, row-major, and shape by its name: `input.weight` `[w, d]` and
/// `input.bias` `[w]`; for each block i, `blocks.{i}.norm.weight` and `.bias` `[w]`,
/// `blocks.{i}.fc1.weight` `[hidden, w]` and `.bias` `[hidden]`, `blocks.{i}.fc2.weight` `[w, hidden]` and
/// `.bias` `[w]`; `norm.weight` and `.bias` `[w]`; `output.weight` `[d, w]` and `.bias` `[d]`. Each block's
/// hidden size is the one its `fc1.bias` has. `metadata` goes into the file's metadata_props.
///
/// # Errors
/// [`OnnxError`]: a parameter is missing, has another shape or holds NaN or an infinity; a size is
/// 0 or the width is odd; a metadata key is given twice; the file would pass 2 GiB.
pub fn export_mlp<'p>(
    dim: usize,
    width: usize,
    blocks: usize,
    params: impl Fn(&str) -> Option<(&'p [f32], &'p [usize])>,
    metadata: &[(String, String)],
) -> Result<Vec<u8>, OnnxError> {
    check_sizes(dim, width)?;
    let mut lowering = Lowering { graph: GraphBuilder::new("residual_mlp"), params };
    let rows = Extent::Free("n");
    lowering.graph.input("x", Element::F32, &[rows, Extent::Fixed(dim)]);
    lowering.graph.input("t", Element::F32, &[rows]);
    for (key, value) in metadata {
        lowering.graph.metadata(key, value)?;
    }

    let embedding = lowering.time_embedding(width)?;
    lowering.gelu_constants()?;
    let mut h = lowering.linear("input", "x", width, dim)?;
    for block in 0..blocks {
        h = lowering.block(&format!("blocks.{block}"), &h, &embedding, width)?;
    }
    let normed = lowering.layer_norm("norm", &h, width)?;
    lowering.linear_named("output", "out", &normed, dim, width)?;
    lowering.graph.output("out", &[rows, Extent::Fixed(dim)]);
    Ok(lowering.graph.finish()?)
}

fn check_sizes(dim: usize, width: usize) -> Result<(), OnnxError> {
    if dim == 0 {
        return Err(OnnxError::Size {
            what: "the data's dimension",
            got: dim,
            mend: "it must be at least 1",
        });
    }
    if width == 0 || !width.is_multiple_of(2) {
        return Err(OnnxError::Size {
            what: "the width",
            got: width,
            mend: "it must be even and at least 2, because half of the time embedding are sines and half cosines",
        });
    }
    Ok(())
}

struct Lowering<F> {
    graph: GraphBuilder,
    params: F,
}

impl<'p, F: Fn(&str) -> Option<(&'p [f32], &'p [usize])>> Lowering<F> {
    /// Adds the parameter `name` as a constant of the shape it must have.
    fn parameter(&mut self, name: &str, expected: &[usize]) -> Result<(), OnnxError> {
        let (values, shape) = self.find(name)?;
        if shape != expected {
            return Err(OnnxError::Shape {
                name: name.to_owned(),
                got: shape.to_vec(),
                expected: expected.to_vec(),
            });
        }
        Ok(self.graph.floats(name, shape, values)?)
    }

    fn find(&self, name: &str) -> Result<(&'p [f32], &'p [usize]), OnnxError> {
        (self.params)(name).ok_or_else(|| OnnxError::MissingParameter { name: name.to_owned() })
    }

    /// `name` = u W^T + b, u `[n, inner]`, W = `name.weight` `[outer, inner]`, b = `name.bias` `[outer]`.
    fn linear(&mut self, name: &str, u: &str, outer: usize, inner: usize) -> Result<String, OnnxError> {
        self.linear_named(name, name, u, outer, inner)
    }

    /// As [`linear`](Self::linear), the result called `result`.
    fn linear_named(
        &mut self,
        name: &str,
        result: &str,
        u: &str,
        outer: usize,
        inner: usize,
    ) -> Result<String, OnnxError> {
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        self.parameter(&weight, &[outer, inner])?;
        self.parameter(&bias, &[outer])?;
        let transposed = [("transB", Attribute::Int(1))];
        Ok(self.graph.node(result, "Gemm", &[u, &weight, &bias], &transposed))
    }

    /// `name` = LN(u), u `[n, width]`.
    fn layer_norm(&mut self, name: &str, u: &str, width: usize) -> Result<String, OnnxError> {
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        self.parameter(&weight, &[width])?;
        self.parameter(&bias, &[width])?;
        let attributes =
            [("axis", Attribute::Int(-1)), ("epsilon", Attribute::Float(LAYER_NORM_EPSILON as f32))];
        Ok(self.graph.node(name, "LayerNormalization", &[u, &weight, &bias], &attributes))
    }

    /// `name` = h + gelu(LN(h + e) W1^T + b1) W2^T + b2.
    fn block(&mut self, name: &str, h: &str, embedding: &str, width: usize) -> Result<String, OnnxError> {
        let part = |what: &str| format!("{name}.{what}");
        let (_, hidden) = self.find(&part("fc1.bias"))?;
        let &[hidden] = hidden else {
            return Err(OnnxError::Shape {
                name: part("fc1.bias"),
                got: hidden.to_vec(),
                expected: vec![width],
            });
        };
        let told = self.graph.node(&part("embedded"), "Add", &[h, embedding], &[]);
        let normed = self.layer_norm(&part("norm"), &told, width)?;
        let first = self.linear(&part("fc1"), &normed, hidden, width)?;
        let active = self.gelu(&part("gelu"), &first);
        let second = self.linear(&part("fc2"), &active, width, hidden)?;
        Ok(self.graph.node(name, "Add", &[h, &second], &[]))
    }

    fn gelu_constants(&mut self) -> Result<(), OnnxError> {
        self.graph.floats("gelu.sqrt2", &[], &[SQRT_2])?;
        self.graph.floats("gelu.one", &[], &[1.0])?;
        Ok(self.graph.floats("gelu.half", &[], &[0.5])?)
    }

    /// gelu(u) = u (1 + erf(u / sqrt 2)) / 2, in the order of operations that ONNX Runtime knows and
    /// fuses into one kernel. (Opset 17 has no Gelu.)
    fn gelu(&mut self, name: &str, u: &str) -> String {
        let part = |what: &str| format!("{name}.{what}");
        let graph = &mut self.graph;
        let scaled = graph.node(&part("scaled"), "Div", &[u, "gelu.sqrt2"], &[]);
        let erf = graph.node(&part("erf"), "Erf", &[&scaled], &[]);
        let shifted = graph.node(&part("shifted"), "Add", &[&erf, "gelu.one"], &[]);
        let product = graph.node(&part("product"), "Mul", &[u, &shifted], &[]);
        graph.node(name, "Mul", &[&product, "gelu.half"], &[])
    }

    /// e `[n, width]` = [sin(t f), cos(t f)].
    fn time_embedding(&mut self, width: usize) -> Result<String, OnnxError> {
        let half = width / 2;
        // t f reaches 1000 radians, so one unit in the last place of f moves the sine by 6e-5: the graph
        // has to hold the very numbers that the other implementations of the network compute.
        let mut f = vec![0.0f32; half];
        frequencies(&mut f);
        self.graph.floats("time.frequencies", &[1, half], &f)?;
        self.graph.integers("time.axis", &[1]);
        let graph = &mut self.graph;
        let column = graph.node("time.column", "Unsqueeze", &["t", "time.axis"], &[]);
        let angle = graph.node("time.angle", "Mul", &[&column, "time.frequencies"], &[]);
        let sin = graph.node("time.sin", "Sin", &[&angle], &[]);
        let cos = graph.node("time.cos", "Cos", &[&angle], &[]);
        let last = [("axis", Attribute::Int(1))];
        Ok(graph.node("time.embedding", "Concat", &[&sin, &cos], &last))
    }
}
