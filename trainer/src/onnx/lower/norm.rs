//! Layer and group normalisation.

use picardy::nn::{LAYER_NORM_EPSILON, Step};

use super::{Form, Lowered, Lowering};
use crate::model::Place;
use crate::onnx::{Attribute, OnnxError};

impl Lowering<'_> {
    /// `LayerNormalization` of vectors; in its parts where a backward pass follows.
    pub(super) fn layer_norm(
        &mut self,
        step: &Step<Place>,
        a: &Lowered,
        kept: &mut Vec<String>,
    ) -> Result<String, OnnxError> {
        if a.form == Form::Vector && !self.is_training() {
            let channels = [a.shape.channels];
            let (weight, bias) = (self.weight(step, 0, &channels)?, self.weight(step, 1, &channels)?);
            let attributes =
                [("axis", Attribute::Int(-1)), ("epsilon", Attribute::Float(LAYER_NORM_EPSILON as f32))];
            return Ok(self.node("LayerNormalization", &[&a.name, &weight, &bias], &attributes));
        }
        let (normed, inverse) = self.standardised(&a.name, &[1]);
        kept.extend([normed.clone(), inverse]);
        self.scaled(step, a, &normed)
    }

    /// Groups are the channels of an `InstanceNormalization`; in its parts where a backward pass follows.
    pub(super) fn group_norm(
        &mut self,
        step: &Step<Place>,
        a: &Lowered,
        groups: u16,
        kept: &mut Vec<String>,
    ) -> Result<String, OnnxError> {
        let count = usize::from(groups);
        let grouped = self.reshape(&a.name, &[0, count as i64, -1]);
        let normed = if self.is_training() {
            let (normed, inverse) = self.standardised(&grouped, &[2]);
            kept.extend([normed.clone(), inverse]);
            normed
        } else {
            let (ones, zeros) = (format!("ones.{count}"), format!("zeros.{count}"));
            for (name, value) in [(&ones, 1.0), (&zeros, 0.0)] {
                if self.known.insert(name.clone()) {
                    self.graph.floats(name, &[count], &vec![value; count])?;
                }
            }
            let epsilon = [("epsilon", Attribute::Float(LAYER_NORM_EPSILON as f32))];
            self.node("InstanceNormalization", &[&grouped, &ones, &zeros], &epsilon)
        };
        let normed = self.reshape(&normed, &a.extents());
        kept.push(normed.clone());
        self.scaled(step, a, &normed)
    }

    /// `n = (x - mean) r` and `r = 1 / sqrt(var + 1e-5)`, mean and variance those over the axes.
    fn standardised(&mut self, x: &str, axes: &[i64]) -> (String, String) {
        let mean = self.mean(x, axes);
        let apart = self.two("Sub", x, &mean);
        let squares = self.two("Mul", &apart, &apart);
        let variance = self.mean(&squares, axes);
        let epsilon = self.number(LAYER_NORM_EPSILON as f32);
        let shifted = self.two("Add", &variance, &epsilon);
        let deviation = self.node("Sqrt", &[&shifted], &[]);
        let inverse = self.node("Reciprocal", &[&deviation], &[]);
        (self.two("Mul", &apart, &inverse), inverse)
    }

    /// `n weight[c] + bias[c]`.
    fn scaled(&mut self, step: &Step<Place>, a: &Lowered, normed: &str) -> Result<String, OnnxError> {
        let extents = Self::of_channels(a);
        let (weight, bias) = (self.weight(step, 0, &extents)?, self.weight(step, 1, &extents)?);
        let scaled = self.two("Mul", normed, &weight);
        Ok(self.two("Add", &scaled, &bias))
    }

    /// The extents of a number for each channel, beside values without their batch.
    fn of_channels(a: &Lowered) -> Vec<usize> {
        let mut extents = vec![1; 1 + a.form.places().len()];
        extents[0] = a.shape.channels;
        extents
    }

    /// With n and r of the forward pass and g = dy weight: `dx = r (g - mean(g) - n mean(g n))`, `dweight = sum dy n`,
    /// `dbias = sum dy`.
    pub(super) fn norm_backward(
        &mut self,
        step: &Step<Place>,
        a: &Lowered,
        kept: &[String],
        groups: Option<u16>,
        dy: &str,
    ) -> Result<String, OnnxError> {
        let [normed, inverse, rest @ ..] = kept else {
            return Err(OnnxError::NotLowered { op: format!("{:?}", step.op) });
        };
        // In the shape of x.
        let shaped = rest.first().unwrap_or(normed);
        let [weight_at, bias_at] = step.parameters.starts();
        let products = self.two("Mul", dy, shaped);
        let slope = self.sum(&products, a.form.but_channels());
        self.deposit_parameter(weight_at, slope);
        let slope = self.sum(dy, a.form.but_channels());
        self.deposit_parameter(bias_at, slope);
        let weight = self.weight(step, 0, &Self::of_channels(a))?;
        let mut g = self.two("Mul", dy, &weight);
        let axes: &[i64] = match groups {
            Some(groups) => {
                g = self.reshape(&g, &[0, i64::from(groups), -1]);
                &[2]
            }
            None => &[1],
        };
        let mean = self.mean(&g, axes);
        let products = self.two("Mul", &g, normed);
        let along = self.mean(&products, axes);
        let centred = self.two("Sub", &g, &mean);
        let part = self.two("Mul", normed, &along);
        let rest = self.two("Sub", &centred, &part);
        let dx = self.two("Mul", &rest, inverse);
        Ok(match groups {
            Some(_) => self.reshape(&dx, &a.extents()),
            None => dx,
        })
    }
}
