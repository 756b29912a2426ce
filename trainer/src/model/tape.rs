//! Forward and backward passes of some rows through a program, with everything that the backward pass needs kept.

use std::borrow::Cow;

use picardy::nn::{
    Op, Patches, Shape, ShapeError, Spacing, Step, Value, activate_with_slope, add, attention,
    frequencies_to, group_norm, layer_norm_with_stats, sinusoidal,
};

use super::layout::Place;
use crate::op::{
    Attention, AttentionBuffers, Conv, Element, accumulate, add_places, column_sums, downsample, film,
    film_backward, group_norm_backward, join, layer_norm_backward, split, through_slope, upsample,
};

/// Patches of a row that [`Tape::multiplied`] gives.
const PATCHES: usize = 2;

/// The rows of a network that one thread works on.
#[derive(Debug, Clone)]
pub(super) struct Tape<T> {
    inputs: [Shape; Value::INPUTS],
    /// The inputs' rows, and behind them each step's output.
    values: Vec<Vec<T>>,
    /// Which of them depend on x or on a parameter: the others need no gradient.
    active: Vec<bool>,
    /// What each step keeps beside its output: statistics, slopes, a softmax.
    kept: Vec<Vec<T>>,
    /// Gradients of values while they are under way.
    slopes: Vec<Option<Vec<T>>>,
    /// Buffers of gradients that are done with.
    free: Vec<Vec<T>>,
    /// Patches.
    room: Vec<T>,
    /// Rows of the last forward pass.
    rows: usize,
}

/// Numbers that a step keeps beside its output, for one row.
fn kept_len<P>(step: &Step<P>) -> usize {
    match step.op {
        Op::LayerNorm => 2 * step.shape.places(),
        Op::GroupNorm { groups } => 2 * usize::from(groups),
        Op::Activation(_) => step.shape.len(),
        Op::Attention { heads } => usize::from(heads) * step.shape.places().pow(2),
        _ => 0,
    }
}

/// Numbers that a row of a program takes on a tape: values, what is kept, and gradients.
pub(super) fn row_len<P>(inputs: [Shape; Value::INPUTS], steps: &[Step<P>]) -> u128 {
    let own: u128 = inputs.iter().map(|shape| shape.len() as u128).sum();
    own + steps.iter().map(|step| 2 * step.shape.len() as u128 + kept_len(step) as u128).sum::<u128>()
}

/// Numbers of room that the convolutions of a pass over `rows` rows take, one after another; saturates.
pub(super) fn room_len<P>(inputs: [Shape; Value::INPUTS], steps: &[Step<P>], rows: usize) -> usize {
    let shape = |value: Value| value.step().map_or_else(|| inputs[value.index()], |step| steps[step].shape);
    let convs = steps.iter().filter_map(|step| conv(step, shape(step.inputs[0])));
    convs.map(|conv| conv.room(rows)).max().unwrap_or(0)
}

/// The convolution of a step whose input has that shape.
fn conv<P>(step: &Step<P>, shape: Shape) -> Option<Conv> {
    let Op::Conv { kernel, stride, padding } = step.op else { return None };
    let (stride, columns) = (stride.into(), step.shape.width);
    let patches = Patches { shape, kernel: kernel.map(usize::from), stride, padding, columns };
    Some(Conv { patches, outputs: step.shape.channels, places: step.shape.places() })
}

impl<T: Element> Tape<T> {
    /// Room for up to `rows` rows.
    pub(super) fn new(inputs: [Shape; Value::INPUTS], steps: &[Step<Place>], rows: usize) -> Self {
        let room = |numbers: usize| vec![T::ZERO; numbers];
        let shapes = inputs.into_iter().chain(steps.iter().map(|step| step.shape));
        let values: Vec<_> = shapes.map(|shape| room(shape.len() * rows)).collect();
        let mut active = vec![true, false, false];
        for step in steps {
            let learns = matches!(step.op, Op::Conv { .. } | Op::LayerNorm | Op::GroupNorm { .. });
            let second = step.op.is_binary() && active[step.inputs[1].index()];
            active.push(learns || second || active[step.inputs[0].index()]);
        }
        Self {
            inputs,
            active,
            slopes: vec![None; values.len()],
            values,
            kept: steps.iter().map(|step| room(kept_len(step) * rows)).collect(),
            free: Vec::new(),
            room: room(room_len(inputs, steps, rows)),
            rows: 0,
        }
    }

    /// Numbers that it holds now.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        let all = self.values.iter().chain(&self.kept).chain(&self.free).chain([&self.room]);
        all.chain(self.slopes.iter().flatten()).map(Vec::len).sum()
    }

    fn shape(&self, value: Value, steps: &[Step<Place>]) -> Shape {
        match value.step() {
            Some(step) => steps[step].shape,
            None => self.inputs[value.index()],
        }
    }

    fn conv(&self, step: &Step<Place>, steps: &[Step<Place>]) -> Option<Conv> {
        conv(step, self.shape(step.inputs[0], steps))
    }

    /// The output's rows for x, t and c, which have been checked.
    pub(super) fn forward(
        &mut self,
        steps: &[Step<Place>],
        parameters: &[T],
        inputs: [&[T]; Value::INPUTS],
    ) -> Result<(), ShapeError> {
        let rows = inputs[Value::T.index()].len();
        self.rows = rows;
        for (value, input) in self.values.iter_mut().zip(inputs) {
            value[..input.len()].copy_from_slice(input);
        }
        for (i, step) in steps.iter().enumerate() {
            self.step(i, step, steps, parameters)?;
        }
        Ok(())
    }

    fn step(
        &mut self,
        i: usize,
        step: &Step<Place>,
        steps: &[Step<Place>],
        parameters: &[T],
    ) -> Result<(), ShapeError> {
        let rows = self.rows;
        let conv = self.conv(step, steps);
        let [from, with] = step.inputs.map(|value| self.shape(value, steps));
        let (before, rest) = self.values.split_at_mut(Value::INPUTS + i);
        let x = &before[step.inputs[0].index()][..rows * from.len()];
        let y = &before[step.inputs[1].index()][..rows * with.len()];
        let size = step.shape.len();
        let out = &mut rest[0][..rows * size];
        let kept = &mut self.kept[i][..rows * kept_len(step)];
        let (channels, places) = (step.shape.channels, step.shape.places());
        let (weight, bias) = (step.parameters.weight(parameters), step.parameters.bias(parameters));
        match step.op {
            Op::Conv { .. } => {
                if let Some(conv) = conv {
                    conv.forward(weight, bias, x, out, &mut self.room)?;
                }
            }
            Op::LayerNorm => layer_norm_with_stats(x, weight, bias, out, kept)?,
            Op::GroupNorm { groups } => {
                let stats = kept.chunks_exact_mut(2 * usize::from(groups));
                for ((x, out), stats) in x.chunks_exact(size).zip(out.chunks_exact_mut(size)).zip(stats) {
                    group_norm(x, weight, bias, out, stats)?;
                }
            }
            Op::Activation(function) => {
                out.copy_from_slice(x);
                activate_with_slope(function, out, kept)?;
            }
            Op::Sinusoidal(spacing) => {
                let mut f = vec![T::ZERO; channels / 2];
                frequencies_to(&mut f, spacing == Spacing::Closed);
                sinusoidal(x, &f, out)?;
            }
            Op::Add if x.len() == y.len() => add(x, y, out)?,
            Op::Add => add_places(x, y, channels, places, out),
            Op::Film => film(x, y, channels, places, out),
            Op::Concat | Op::Interleave => join(x, y, from.channels, with.channels, out),
            Op::Upsample => upsample(x, from, out),
            Op::Attention { heads } => {
                let heads = usize::from(heads);
                let scores = kept.chunks_exact_mut(heads * places * places);
                let items = x.chunks_exact(3 * size).zip(out.chunks_exact_mut(size));
                for ((x, out), scores) in items.zip(scores) {
                    attention(x, heads, scores, out, places)?;
                }
            }
            // The enum may grow; every network here is made of the above.
            _ => {}
        }
        Ok(())
    }

    /// The last forward pass's output.
    pub(super) fn out(&self) -> &[T] {
        let last = self.values.len() - 1;
        &self.values[last][..self.rows * self.inputs[0].len()]
    }

    /// What a convolution's weight was multiplied with in the last forward pass, in rows: all of a vector, of a larger value
    /// [`PATCHES`] patches of each row, from places that change with the row. None of a step without a weight.
    pub(super) fn multiplied(&self, step: &Step<Place>, steps: &[Step<Place>]) -> Option<Cow<'_, [T]>> {
        let Conv { patches, places, .. } = self.conv(step, steps)?;
        let item = patches.shape.len();
        let x = &self.values[step.inputs[0].index()][..self.rows * item];
        if places == 1 && patches.are_places() {
            return Some(Cow::Borrowed(x));
        }
        let (each, patch) = (PATCHES.min(places), patches.len());
        let mut rows = vec![T::ZERO; self.rows * each * patch];
        for (i, (x, rows)) in x.chunks_exact(item).zip(rows.chunks_exact_mut(each * patch)).enumerate() {
            for (k, row) in rows.chunks_exact_mut(patch).enumerate() {
                patches.gather(x, (i + k * places / each) % places, row);
            }
        }
        Some(Cow::Owned(rows))
    }

    /// Adds the gradient of `sum(out * dout)` to `gradients`, and writes that of x where it is wanted.
    pub(super) fn backward(
        &mut self,
        steps: &[Step<Place>],
        parameters: &[T],
        dout: &[T],
        gradients: &mut [T],
        dx: Option<&mut [T]>,
    ) {
        let mut slope = self.take(dout.len());
        slope.copy_from_slice(dout);
        self.deposit(Value::of_step(steps.len() - 1), slope);
        for (i, step) in steps.iter().enumerate().rev() {
            if let Some(dy) = self.slopes[Value::INPUTS + i].take() {
                self.pull_back(i, step, steps, parameters, dy, gradients, dx.is_some());
            }
        }
        if let (Some(dx), slope) = (dx, self.slopes[Value::X.index()].take()) {
            match slope {
                Some(slope) => {
                    dx.copy_from_slice(&slope);
                    self.free.push(slope);
                }
                None => dx.fill(T::ZERO),
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one pass's state")]
    fn pull_back(
        &mut self,
        i: usize,
        step: &Step<Place>,
        steps: &[Step<Place>],
        parameters: &[T],
        mut dy: Vec<T>,
        gradients: &mut [T],
        wants_x: bool,
    ) {
        let rows = self.rows;
        let [a, b] = step.inputs;
        let [from, with] = step.inputs.map(|value| self.shape(value, steps));
        let [wants_a, wants_b] =
            step.inputs.map(|value| self.active[value.index()] && (wants_x || value != Value::X));
        let (size, channels, places) = (step.shape.len(), step.shape.channels, step.shape.places());
        let weight = step.parameters.weight(parameters);
        let second = (step.op.is_binary() && wants_b).then(|| self.take(rows * with.len()));
        let x = &self.values[a.index()][..rows * from.len()];
        let kept = &self.kept[i][..rows * kept_len(step)];
        match step.op {
            Op::Conv { .. } => {
                let Some(conv) = self.conv(step, steps) else { return };
                let mut dx = wants_a.then(|| take(&mut self.free, rows * from.len()));
                let x = &self.values[a.index()][..rows * from.len()];
                let places = step.parameters.gradients(gradients);
                conv.backward(weight, x, &dy, places, dx.as_deref_mut(), &mut self.room);
                self.free.push(dy);
                if let Some(dx) = dx {
                    self.deposit(a, dx);
                }
                return;
            }
            Op::LayerNorm => {
                layer_norm_backward(weight, x, kept, &mut dy, step.parameters.gradients(gradients));
            }
            Op::GroupNorm { groups } => {
                let mut sums = take(&mut self.free, 3 * channels);
                let x = &self.values[a.index()][..rows * from.len()];
                let items = x.chunks_exact(size).zip(dy.chunks_exact_mut(size));
                for ((x, dy), stats) in items.zip(kept.chunks_exact(2 * usize::from(groups))) {
                    group_norm_backward(
                        weight,
                        x,
                        stats,
                        dy,
                        step.parameters.gradients(gradients),
                        &mut sums,
                    );
                }
                self.free.push(sums);
            }
            Op::Activation(_) => through_slope(kept, &mut dy),
            Op::Sinusoidal(_) => {
                self.free.push(dy);
                return;
            }
            Op::Add => {
                if let Some(mut db) = second {
                    if db.len() == dy.len() {
                        db.copy_from_slice(&dy);
                    } else {
                        db.fill(T::ZERO);
                        for (dy, db) in dy.chunks_exact(size).zip(db.chunks_exact_mut(channels)) {
                            column_sums(dy, db);
                        }
                    }
                    self.deposit(b, db);
                }
            }
            Op::Film => {
                let mut db = second.unwrap_or_else(|| take(&mut self.free, rows * with.len()));
                let [x, y] = [a, b].map(|value| &self.values[value.index()]);
                let (x, y) = (&x[..rows * from.len()], &y[..rows * with.len()]);
                film_backward(x, y, channels, places, &mut dy, &mut db);
                if wants_b {
                    self.deposit(b, db);
                } else {
                    self.free.push(db);
                }
            }
            Op::Concat | Op::Interleave => {
                let mut second = second;
                let mut first = wants_a.then(|| self.take(rows * from.len()));
                split(&dy, from.channels, with.channels, first.as_deref_mut(), second.as_deref_mut());
                self.free.push(dy);
                for (value, slope) in [(a, first), (b, second)] {
                    if let Some(slope) = slope {
                        self.deposit(value, slope);
                    }
                }
                return;
            }
            Op::Upsample => {
                let mut dx = self.take(rows * from.len());
                downsample(&dy, from, &mut dx);
                self.free.push(std::mem::replace(&mut dy, dx));
            }
            Op::Attention { heads } => {
                let heads = usize::from(heads);
                let mut dx = take(&mut self.free, rows * from.len());
                let x = &self.values[a.index()][..rows * from.len()];
                let op = Attention { heads, places, channels };
                let items = x.chunks_exact(3 * size).zip(kept.chunks_exact(heads * places * places));
                for ((qkv, scores), (dy, dx)) in
                    items.zip(dy.chunks_exact(size).zip(dx.chunks_exact_mut(3 * size)))
                {
                    op.backward(AttentionBuffers { qkv, scores }, dy, dx);
                }
                self.free.push(std::mem::replace(&mut dy, dx));
            }
            _ => {}
        }
        if wants_a {
            self.deposit(a, dy);
        } else {
            self.free.push(dy);
        }
    }

    fn take(&mut self, len: usize) -> Vec<T> {
        take(&mut self.free, len)
    }

    /// Adds to a value's gradient; the first is taken as it is.
    fn deposit(&mut self, value: Value, slope: Vec<T>) {
        match &mut self.slopes[value.index()] {
            Some(sum) => {
                accumulate(sum, &slope);
                self.free.push(slope);
            }
            empty => *empty = Some(slope),
        }
    }
}

/// A buffer of that length with any content: the smallest free one that is large enough.
fn take<T: Element>(free: &mut Vec<Vec<T>>, len: usize) -> Vec<T> {
    let fits = (0..free.len()).filter(|&i| free[i].capacity() >= len).min_by_key(|&i| free[i].capacity());
    let mut buffer = fits.map_or_else(Vec::new, |i| free.swap_remove(i));
    buffer.resize(len, T::ZERO);
    buffer
}
