//! An ONNX model over rows that stay on its device.

use std::ops::Range;

use picardy::{Batch, Denoiser};

use super::{ResidentFrames, foresight::Foresight, graph::PutForm, over_rows::Call};
use crate::{
    binding::{Told, run_bound},
    conditions::{Asked, Input},
    denoiser::{OrtDenoiser, Parts},
    error::OrtError,
    provider::exclusive,
    session::Model,
    signature::{Channels, Layout, Times},
    split::{self, Limit},
};

/// What is told beside the rows is kept for this many numbers of rows.
const KEPT: usize = 8;

impl Denoiser<ResidentFrames> for OrtDenoiser {
    type Error = OrtError;

    fn evaluate(
        &mut self,
        batch: &Batch<'_>,
        frames: &mut ResidentFrames,
        x: Range<usize>,
        out: Range<usize>,
    ) -> Result<(), OrtError> {
        if frames.item_shape() != self.item_shape() {
            let (rows, model) = (frames.item_shape().to_vec(), self.item_shape().to_vec());
            return Err(OrtError::Shape { rows, model });
        }
        if frames.memory().provider() != self.model().provider() {
            let (rows, model) = (frames.memory().provider(), self.model().provider());
            return Err(OrtError::Apart { rows, model });
        }
        for (what, got) in [("x", x.len()), ("out", out.len())] {
            if got != batch.len() {
                let dim = frames.dim;
                return Err(OrtError::Length { what, got: got.saturating_mul(dim), rows: batch.len(), dim });
            }
        }
        let _turn = exclusive(self.model().provider());
        frames.foresight = None;
        // Who changes the answer before it is read has it written elsewhere, or is seen by what is recorded then.
        let foreseen = Some(std::mem::take(&mut frames.foreseen))
            .filter(|foreseen| foreseen.iter().map(|of| of.out).eq(out.clone()));
        let asked = self.ask(batch)?;
        frames.repeats.graphs = self.model().options().graphs;
        self.over_rows(frames)?;
        let Parts { model, mut over_rows, layout, conditions, told, limit } = self.parts();
        let mut fixed = Limit { rows: layout.batch, ..Limit::default() };
        let (limit, can_halve) = if layout.batch.is_some() { (&mut fixed, false) } else { (limit, true) };
        let (most, shared) = (limit.rows.unwrap_or(usize::MAX), matches!(layout.times, Times::Shared(_)));
        let breaks = |row: usize| shared && asked[row].t.to_bits() != asked[row - 1].t.to_bits();
        let mut products = Vec::new();
        split::in_parts(asked.len(), limit, can_halve, breaks, |part| {
            let from = x.start + part.start..x.start + part.end;
            let to = out.start + part.start..out.start + part.end;
            let n = match &over_rows {
                Some(over_rows) if over_rows.captures() => few(part.len(), most),
                _ => part.len(),
            };
            let n = layout.batch.unwrap_or(n);
            let told = told_of(told, layout, conditions, n)?;
            let Some(over_rows) = over_rows.as_deref_mut() else {
                return run(model, layout, conditions, told, &asked[part], frames, from, to);
            };
            let of_part = foreseen.as_deref().map(|foreseen| &foreseen[part.clone()]);
            let shown = frames.shown(from, of_part)?;
            let call = Call { n, asked: &asked[part], shown: &shown, foreseen: of_part, to };
            products.extend(over_rows.run(model, layout, conditions, told, frames, call)?);
            Ok(())
        })?;
        if let Some(foreseen) = foreseen {
            frames.foresight = Some(Foresight::new(foreseen, products));
        }
        Ok(())
    }
}

impl Denoiser<&mut ResidentFrames> for OrtDenoiser {
    type Error = OrtError;

    fn evaluate(
        &mut self,
        batch: &Batch<'_>,
        frames: &mut &mut ResidentFrames,
        x: Range<usize>,
        out: Range<usize>,
    ) -> Result<(), OrtError> {
        Denoiser::<ResidentFrames>::evaluate(self, batch, frames, x, out)
    }
}

/// A number of rows that comes more often, at most an eighth larger and at most `most`: that captured runs come again.
fn few(rows: usize, most: usize) -> usize {
    let step = (rows.next_power_of_two() / 16).max(1);
    rows.next_multiple_of(step).min(most.max(rows))
}

/// What is told beside the rows, for a run of so many.
fn told_of<'a>(
    kept: &'a mut Vec<Told>,
    layout: &Layout,
    inputs: &[Input],
    n: usize,
) -> Result<&'a mut Told, OrtError> {
    let place = match kept.iter().position(|told| told.rows == n) {
        Some(place) => place,
        None => {
            if kept.len() == KEPT {
                kept.remove(0);
            }
            kept.push(Told::new(layout, inputs, n)?);
            kept.len() - 1
        }
    };
    Ok(&mut kept[place])
}

/// One run of a model that has no rows around it.
#[allow(clippy::too_many_arguments)] // The denoiser's parts, and the call's.
fn run(
    model: &mut Model,
    layout: &Layout,
    inputs: &[Input],
    told: &mut Told,
    asked: &[Asked],
    frames: &mut ResidentFrames,
    from: Range<usize>,
    to: Range<usize>,
) -> Result<(), OrtError> {
    let n = layout.batch.unwrap_or(asked.len());
    let x = frames.gather(from, n, layout.x_element)?;
    let twice = layout.channels == Channels::Twice;
    let mut shape: Vec<usize> = std::iter::once(n).chain(layout.item.iter().copied()).collect();
    if twice {
        shape[1] *= 2;
    }
    let mut answer = frames.answer(layout.out_element, &shape)?;
    let mut binding = model.session_mut().create_binding()?;
    binding.bind_input(model.inputs()[layout.x].name.as_str(), &x)?;
    told.bind(&mut binding, model, layout, inputs, asked)?;
    binding.bind_output(model.outputs()[layout.out].name.as_str(), &mut *answer)?;
    run_bound(model.session_mut(), &binding)?;
    drop(binding);
    frames.put(answer, PutForm { element: layout.out_element, twice }, to, n);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::few;

    #[test]
    fn few_numbers_of_rows_are_not_much_larger() {
        for (rows, want) in
            [(1, 1), (15, 15), (16, 16), (17, 18), (31, 32), (33, 36), (100, 104), (1000, 1024)]
        {
            assert_eq!(few(rows, usize::MAX), want);
        }
        assert!((1..10_000).all(|rows| (rows..=rows + rows / 8).contains(&few(rows, usize::MAX))));
        assert_eq!((few(33, 34), few(33, 8)), (34, 33));
    }
}
