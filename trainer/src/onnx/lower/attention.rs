//! Attention of all places to all.

use super::{Lowered, Lowering};
use crate::onnx::Attribute;

const OVER_LAST: [(&str, Attribute<'static>); 1] = [("axis", Attribute::Int(-1))];

/// Rows and columns of each head.
const FLIP: [i64; 4] = [0, 1, 3, 2];

impl Lowering<'_> {
    /// `softmax(q^T k / sqrt(d)) v^T`, d a head's channels; q, k and v are `[n, heads, d, places]`.
    pub(super) fn attention(
        &mut self,
        qkv: &Lowered,
        out: &Lowered,
        heads: u16,
        kept: &mut Vec<String>,
    ) -> String {
        let (heads, places) = (usize::from(heads), out.shape.places());
        let d = out.shape.channels / heads.max(1);
        let parts = self.reshape(&qkv.name, &[0, 3 * heads as i64, d as i64, places as i64]);
        let parts = self.split(&parts, 1, &[heads; 3]);
        let [q, k, v] = [&parts[0], &parts[1], &parts[2]];
        let scale = self.number(1.0 / (d as f32).sqrt());
        let q = self.two("Mul", q, &scale);
        let queries = self.transpose(&q, &FLIP);
        let logits = self.two("MatMul", &queries, k);
        let softmax = self.node("Softmax", &[&logits], &OVER_LAST);
        let values = self.transpose(v, &FLIP);
        let seen = self.two("MatMul", &softmax, &values);
        let seen = self.transpose(&seen, &FLIP);
        kept.extend([q, k.clone(), v.clone(), softmax]);
        self.reshape(&seen, &out.extents())
    }

    /// With P the softmax: `dv = dy P`, `dP = dy^T v`, `dS = P (dP - sum_j P dP)`, `dq = k dS^T / sqrt(d)`, `dk = q dS`.
    pub(super) fn attention_backward(
        &mut self,
        qkv: &Lowered,
        out: &Lowered,
        heads: u16,
        kept: &[String],
        dy: &str,
    ) -> String {
        let [q, k, v, softmax] = kept else { return dy.to_owned() };
        let (heads, places) = (usize::from(heads), out.shape.places());
        let d = out.shape.channels / heads.max(1);
        let dy = self.reshape(dy, &[0, heads as i64, d as i64, places as i64]);
        let dv = self.two("MatMul", &dy, softmax);
        let rows = self.transpose(&dy, &FLIP);
        let dp = self.two("MatMul", &rows, v);
        let products = self.two("Mul", softmax, &dp);
        let axis = self.integers(&[-1]);
        let sums = self.node("ReduceSum", &[&products, &axis], &[]);
        let shift = self.two("Mul", softmax, &sums);
        let ds = self.two("Sub", &products, &shift);
        let dk = self.two("MatMul", q, &ds);
        let keys = self.transpose(k, &FLIP);
        let dq = self.two("MatMul", &ds, &keys);
        let dq = self.transpose(&dq, &FLIP);
        let scale = self.number(1.0 / (d as f32).sqrt());
        let dq = self.two("Mul", &dq, &scale);
        let all = self.node("Concat", &[&dq, &dk, &dv], &[("axis", Attribute::Int(1))]);
        self.reshape(&all, &qkv.extents())
    }
}
