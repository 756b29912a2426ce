//! What puts two values together, and places several times.

use super::{Lowered, Lowering};
use crate::onnx::Attribute;

impl Lowering<'_> {
    /// `a + b`; b is a value like a, or a vector that is added at each place.
    pub(super) fn add(&mut self, a: &Lowered, b: &Lowered) -> String {
        let b = match b.form == a.form {
            true => b.name.clone(),
            false => self.at_places(&b.name, a.form),
        };
        self.two("Add", &a.name, &b)
    }

    /// The gradient of b.
    pub(super) fn add_backward(&mut self, a: &Lowered, b: &Lowered, dy: &str) -> String {
        match b.form == a.form {
            true => dy.to_owned(),
            false => self.over_places(dy, a.form),
        }
    }

    /// `b[c] a + b[channels + c]`.
    pub(super) fn film(&mut self, a: &Lowered, b: &Lowered, kept: &mut Vec<String>) -> String {
        let everywhere = self.at_places(&b.name, a.form);
        let parts = self.split(&everywhere, 1, &[a.shape.channels; 2]);
        kept.push(parts[0].clone());
        let scaled = self.two("Mul", &parts[0], &a.name);
        self.two("Add", &scaled, &parts[1])
    }

    /// The gradients of a and b.
    pub(super) fn film_backward(
        &mut self,
        a: &Lowered,
        kept: &[String],
        dy: &str,
        [wants_a, wants_b]: [bool; 2],
    ) -> [Option<String>; 2] {
        let da = kept.first().filter(|_| wants_a).map(|scale| self.two("Mul", dy, scale));
        let db = wants_b.then(|| {
            let products = self.two("Mul", dy, &a.name);
            let scale = self.over_places(&products, a.form);
            let shift = self.over_places(dy, a.form);
            self.node("Concat", &[&scale, &shift], &[("axis", Attribute::Int(1))])
        });
        [da, db]
    }

    /// Channels of two values side by side, apart again.
    pub(super) fn concat_backward(&mut self, a: &Lowered, b: &Lowered, dy: &str) -> [String; 2] {
        let mut parts = self.split(dy, 1, &[a.shape.channels, b.shape.channels]).into_iter();
        [parts.next().unwrap_or_default(), parts.next().unwrap_or_default()]
    }

    /// a's and b's places in turns; `a` has the output's shape.
    pub(super) fn interleave(&mut self, a: &Lowered, b: &Lowered) -> String {
        let axis = a.extents().len() as i64;
        let axes = self.integers(&[axis]);
        let columns = [&a.name, &b.name].map(|name| self.node("Unsqueeze", &[name, &axes], &[]));
        let pairs = self.node("Concat", &[&columns[0], &columns[1]], &[("axis", Attribute::Int(axis))]);
        self.reshape(&pairs, &a.extents())
    }

    /// The gradients of a, which has its own shape, and of b.
    pub(super) fn interleave_backward(&mut self, a: &Lowered, dy: &str) -> [String; 2] {
        let mut extents = a.extents();
        let axis = extents.len() as i64;
        extents.push(2);
        let pairs = self.reshape(dy, &extents);
        let mut parts = self.split(&pairs, axis, &[1, 1]).into_iter();
        [parts.next().unwrap_or_default(), parts.next().unwrap_or_default()]
            .map(|part| self.reshape(&part, &a.extents()))
    }

    /// Each place of an image four times.
    pub(super) fn upsample(&mut self, a: &Lowered) -> String {
        let scales = "scales.2";
        // Four finite numbers for four places: no error to tell of.
        if self.known.insert(scales.to_owned())
            && self.graph.floats(scales, &[4], &[1.0, 1.0, 2.0, 2.0]).is_err()
        {
            self.known.remove(scales);
        }
        self.node("Resize", &[&a.name, "", scales], &[])
    }

    /// The sum of the four.
    pub(super) fn upsample_backward(&mut self, dy: &str) -> String {
        let sides = [("kernel_shape", Attribute::Ints(&[2, 2])), ("strides", Attribute::Ints(&[2, 2]))];
        let mean = self.node("AveragePool", &[dy], &sides);
        let four = self.number(4.0);
        self.two("Mul", &mean, &four)
    }
}
