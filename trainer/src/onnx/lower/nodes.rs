//! Nodes that several operations are lowered to.

use super::{Form, Lowering};
use crate::onnx::Attribute;

/// The most tensors that one node splits a vector into, or joins: WebGPU promises eight buffers for a kernel.
const FAN: usize = 7;

impl Lowering<'_> {
    /// A node of the scope under way, and its output.
    pub(in crate::onnx) fn node(
        &mut self,
        op: &str,
        inputs: &[&str],
        attributes: &[(&str, Attribute<'_>)],
    ) -> String {
        let name = self.fresh(op);
        self.graph.node(&name, op, inputs, attributes)
    }

    /// A name that no node has.
    fn fresh(&mut self, op: &str) -> String {
        self.nodes += 1;
        format!("{}.{}{}", self.scope, op.to_ascii_lowercase(), self.nodes)
    }

    /// A constant vector of integers.
    pub(in crate::onnx) fn integers(&mut self, values: &[i64]) -> String {
        let list = values.iter().map(i64::to_string).collect::<Vec<_>>().join("_");
        self.integers_of(format!("integers.{list}"), || values.to_vec())
    }

    /// The same for many, under a name that says which they are.
    pub(super) fn integers_of(&mut self, name: String, values: impl FnOnce() -> Vec<i64>) -> String {
        if self.known.insert(name.clone()) {
            self.graph.integers(&name, &values());
        }
        name
    }

    /// A constant number; one that is not finite is a bug here, and 0.
    pub(in crate::onnx) fn number(&mut self, value: f32) -> String {
        let name = format!("number.{value}");
        if self.known.insert(name.clone()) && self.graph.floats(&name, &[], &[value]).is_err() {
            self.known.remove(&name);
        }
        name
    }

    /// A node of two arguments without attributes, such as `Mul`.
    pub(in crate::onnx) fn two(&mut self, op: &str, a: &str, b: &str) -> String {
        self.node(op, &[a, b], &[])
    }

    pub(in crate::onnx) fn reshape(&mut self, x: &str, extents: &[i64]) -> String {
        let shape = self.integers(extents);
        self.node("Reshape", &[x, &shape], &[])
    }

    pub(in crate::onnx) fn transpose(&mut self, x: &str, order: &[i64]) -> String {
        self.node("Transpose", &[x], &[("perm", Attribute::Ints(order))])
    }

    /// Sums over axes, which go.
    pub(in crate::onnx) fn sum(&mut self, x: &str, axes: &[i64]) -> String {
        let axes = self.integers(axes);
        self.node("ReduceSum", &[x, &axes], &[("keepdims", Attribute::Int(0))])
    }

    /// Means over axes, which stay with an extent of 1.
    pub(super) fn mean(&mut self, x: &str, axes: &[i64]) -> String {
        self.node("ReduceMean", &[x], &[("axes", Attribute::Ints(axes))])
    }

    /// Parts along an axis.
    pub(in crate::onnx) fn split(&mut self, x: &str, axis: i64, sizes: &[usize]) -> Vec<String> {
        let sizes: Vec<i64> = sizes.iter().map(|&size| size as i64).collect();
        let list = self.integers(&sizes);
        let name = self.fresh("Split");
        let outputs: Vec<String> = (0..sizes.len()).map(|i| format!("{name}.{i}")).collect();
        let named: Vec<&str> = outputs.iter().map(String::as_str).collect();
        self.graph.node_with(&name, "Split", &[x, &list], &named, &[("axis", Attribute::Int(axis))]);
        outputs
    }

    /// Parts of a vector, in as few levels as the fan allows.
    pub(in crate::onnx) fn parts(&mut self, vector: &str, sizes: &[usize]) -> Vec<String> {
        if sizes.len() <= 1 {
            return vec![vector.to_owned(); sizes.len()];
        }
        let each = each(sizes.len());
        let chunks: Vec<&[usize]> = sizes.chunks(each).collect();
        let totals: Vec<usize> = chunks.iter().map(|chunk| chunk.iter().sum()).collect();
        let wholes = self.split(vector, 0, &totals);
        wholes.iter().zip(chunks).flat_map(|(whole, chunk)| self.parts(whole, chunk)).collect()
    }

    /// The way back: one vector of vectors.
    pub(in crate::onnx) fn whole(&mut self, parts: &[String]) -> String {
        if let [one] = parts {
            return one.clone();
        }
        let wholes: Vec<String> = parts.chunks(each(parts.len())).map(|chunk| self.whole(chunk)).collect();
        let wholes: Vec<&str> = wholes.iter().map(String::as_str).collect();
        self.node("Concat", &wholes, &[("axis", Attribute::Int(0))])
    }

    /// A vector of each row as what can be added at each place.
    pub(super) fn at_places(&mut self, vector: &str, form: Form) -> String {
        match form {
            Form::Vector => vector.to_owned(),
            _ => {
                let axes = self.integers(form.places());
                self.node("Unsqueeze", &[vector, &axes], &[])
            }
        }
    }

    /// The sum over places: how [`at_places`](Self::at_places) goes back.
    pub(super) fn over_places(&mut self, x: &str, form: Form) -> String {
        match form {
            Form::Vector => x.to_owned(),
            _ => self.sum(x, form.places()),
        }
    }
}

/// How many of `len` parts lie behind one branch.
fn each(len: usize) -> usize {
    let mut each = 1;
    while each * FAN < len {
        each *= FAN;
    }
    each
}
