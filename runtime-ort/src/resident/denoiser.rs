//! An ONNX model over rows that stay on its device.

use std::ops::Range;

use picardy::{Batch, Denoiser};

use super::{ResidentFrames, graph::PutForm};
use crate::{
    binding::{Told, run_bound},
    conditions::{Asked, Input},
    denoiser::OrtDenoiser,
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
        let _turn = exclusive(self.model().provider());
        self.settle_channels()?;
        let asked = self.ask(batch)?;
        let (model, layout, inputs, told, limit) = self.parts();
        let mut fixed = Limit { rows: layout.batch, ..Limit::default() };
        let (limit, can_halve) = if layout.batch.is_some() { (&mut fixed, false) } else { (limit, true) };
        let shared = matches!(layout.times, Times::Shared(_));
        let breaks = |row: usize| shared && asked[row].t.to_bits() != asked[row - 1].t.to_bits();
        split::in_parts(asked.len(), limit, can_halve, breaks, |part| {
            let from = x.start + part.start..x.start + part.end;
            let to = out.start + part.start..out.start + part.end;
            run(model, layout, inputs, told, &asked[part], frames, from, to)
        })
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

/// One run of the model over rows of the frames.
#[allow(clippy::too_many_arguments)] // The denoiser's parts, and the call's.
fn run(
    model: &mut Model,
    layout: &Layout,
    inputs: &[Input],
    kept: &mut Vec<Told>,
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
    let mut answer = frames.memory().dyn_tensor(layout.out_element.ort(), &shape)?;
    let told = match kept.iter().position(|told| told.rows == n) {
        Some(place) => &mut kept[place],
        None => {
            if kept.len() == KEPT {
                kept.remove(0);
            }
            kept.push(Told::new(layout, inputs, n)?);
            let last = kept.len() - 1;
            &mut kept[last]
        }
    };
    let mut binding = model.session_mut().create_binding()?;
    binding.bind_input(model.inputs()[layout.x].name.as_str(), &x)?;
    told.bind(&mut binding, model, layout, inputs, asked)?;
    binding.bind_output(model.outputs()[layout.out].name.as_str(), &mut *answer)?;
    run_bound(model, &binding)?;
    drop(binding);
    frames.put(answer, PutForm { element: layout.out_element, twice }, to, n);
    Ok(())
}
