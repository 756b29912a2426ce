//! The sinusoidal embedding.

use picardy::nn::{Spacing, frequencies_to};

use super::Lowering;
use crate::onnx::{Attribute, OnnxError};

impl Lowering<'_> {
    /// `[sin(t f), cos(t f)]` of t `[n]`.
    pub(super) fn sinusoidal(
        &mut self,
        spacing: Spacing,
        t: &str,
        channels: usize,
    ) -> Result<String, OnnxError> {
        let half = channels / 2;
        // t f reaches 1000 radians, so one unit in the last place of f moves the sine by 6e-5: the graph
        // has to hold the very numbers that the other implementations of the network compute.
        let mut f = vec![0.0f32; half];
        frequencies_to(&mut f, spacing == Spacing::Closed);
        let name = format!("{}.frequencies", self.scope);
        self.graph.floats(&name, &[1, half], &f)?;
        let axis = self.integers(&[1]);
        let column = self.node("Unsqueeze", &[t, &axis], &[]);
        let angle = self.two("Mul", &column, &name);
        let sin = self.node("Sin", &[&angle], &[]);
        let cos = self.node("Cos", &[&angle], &[]);
        Ok(self.node("Concat", &[&sin, &cos], &[("axis", Attribute::Int(1))]))
    }
}
