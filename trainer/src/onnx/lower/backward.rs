//! The way back through the program: gradients of parameters, from that of the output.

use picardy::nn::{Op, Value};

use super::{Lowered, Lowering};
use crate::onnx::OnnxError;

impl Lowering<'_> {
    /// The gradient of `sum(out dout)` with respect to all parameters, as one vector in the graph's order; behind
    /// [`forward`](Self::forward). dout is `[n, item...]`, channels last, and so is the gradient with respect to x, under the name
    /// `dx`, where it is wanted.
    pub(in crate::onnx) fn backward(&mut self, dout: &str, dx: Option<&str>) -> Result<String, OnnxError> {
        let steps = self.network.steps();
        self.scope = "dout".to_owned();
        self.slopes = vec![None; self.values.len()];
        if let Some(Lowered { form, shape, .. }) = self.values.last().cloned() {
            let plain = self.network.config().shape.len() == 1;
            let slope = if plain { dout.to_owned() } else { self.enter(dout, form, shape) };
            self.deposit(Value::of_step(steps.len().saturating_sub(1)), slope);
        }
        let needs = self.needs(dx.is_some());
        for (i, step) in steps.iter().enumerate().rev() {
            let Some(dy) = self.slopes.get_mut(Value::INPUTS + i).and_then(Option::take) else { continue };
            self.scope = format!("back{i}");
            let not_lowered = || OnnxError::NotLowered { op: format!("{:?}", step.op) };
            let [a, b] = step.inputs.map(|value| self.values.get(value.index()).cloned());
            let (a, b) = (a.ok_or_else(not_lowered)?, b.ok_or_else(not_lowered)?);
            let out = self.values.get(Value::INPUTS + i).cloned().ok_or_else(not_lowered)?;
            let kept = self.kept.get(i).cloned().unwrap_or_default();
            let wants = step.inputs.map(|value| needs.get(value.index()).copied().unwrap_or(false));
            let both = |[a, b]: [String; 2]| [Some(a), Some(b)];
            let [da, db] = match step.op {
                Op::Conv { .. } => [self.conv_backward(step, &a, &dy, wants[0])?, None],
                Op::LayerNorm => [Some(self.norm_backward(step, &a, &kept, None, &dy)?), None],
                Op::GroupNorm { groups } => {
                    [Some(self.norm_backward(step, &a, &kept, Some(groups), &dy)?), None]
                }
                Op::Activation(function) => {
                    [wants[0].then(|| self.activation_backward(function, &a.name, &kept, &dy)), None]
                }
                Op::Sinusoidal(_) => [None, None],
                Op::Add => [Some(dy.clone()), wants[1].then(|| self.add_backward(&a, &b, &dy))],
                Op::Film => self.film_backward(&a, &kept, &dy, wants),
                Op::Concat => both(self.concat_backward(&a, &b, &dy)),
                Op::Interleave => both(self.interleave_backward(&a, &dy)),
                Op::Upsample => [wants[0].then(|| self.upsample_backward(&dy)), None],
                Op::Attention { heads } => {
                    [wants[0].then(|| self.attention_backward(&a, &out, heads, &kept, &dy)), None]
                }
                _ => return Err(not_lowered()),
            };
            for ((value, slope), wants) in step.inputs.into_iter().zip([da, db]).zip(wants) {
                if let Some(slope) = slope.filter(|_| wants) {
                    self.deposit(value, slope);
                }
            }
        }
        if let (Some(name), Some(x)) = (dx, self.values.first().cloned()) {
            self.scope = "dx".to_owned();
            let slope = match self.slopes.first_mut().and_then(Option::take) {
                Some(slope) => slope,
                // Nothing depends on it.
                None => self.two("Sub", &x.name, &x.name),
            };
            let slope = self.leave(&slope, x.form);
            self.graph.node(name, "Identity", &[&slope], &[]);
        }
        self.scope = "gradients".to_owned();
        let mut parts = Vec::new();
        for parameter in self.network.layout() {
            let slope = match self.gradients.get(&parameter.range.start).cloned() {
                Some(slope) if parameter.shape.len() == 1 => slope,
                Some(slope) => self.reshape(&slope, &[-1]),
                None => {
                    let name = format!("{}.none", parameter.name);
                    self.graph.floats(&name, &[parameter.range.len()], &vec![0.0; parameter.range.len()])?;
                    name
                }
            };
            parts.push(slope);
        }
        Ok(self.whole(&parts))
    }

    /// Which values depend on a parameter, or on x: the others need no gradient.
    fn needs(&self, x: bool) -> Vec<bool> {
        let mut needs = vec![false; Value::INPUTS];
        needs[Value::X.index()] = x;
        for step in self.network.steps() {
            let learns = matches!(step.op, Op::Conv { .. } | Op::LayerNorm | Op::GroupNorm { .. });
            let second = step.op.is_binary() && needs[step.inputs[1].index()];
            needs.push(learns || second || needs[step.inputs[0].index()]);
        }
        needs
    }

    /// Adds to a value's gradient.
    fn deposit(&mut self, value: Value, slope: String) {
        let sum = match self.slopes.get_mut(value.index()).and_then(Option::take) {
            Some(sum) => self.two("Add", &sum, &slope),
            None => slope,
        };
        if let Some(slot) = self.slopes.get_mut(value.index()) {
            *slot = Some(sum);
        }
    }

    /// Adds to the gradient of the parameter that begins there.
    pub(super) fn deposit_parameter(&mut self, start: usize, slope: String) {
        let sum = match self.gradients.remove(&start) {
            Some(sum) => self.two("Add", &sum, &slope),
            None => slope,
        };
        self.gradients.insert(start, sum);
    }
}
