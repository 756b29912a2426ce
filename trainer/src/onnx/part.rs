//! What a training has for batches of one size: graphs, and room for the rows.

use picardy_ort::call::{Sink, Source, call};
use picardy_ort::device::{DeviceMemory, DeviceTensor, upload};
use picardy_ort::{Options, OrtError};

use super::ort_error::OrtTrainError;
use super::resident::{Graph, Resident};
use super::{Pass, train_graph};
use crate::model::Network;
use crate::optimiser::AdamConfig;

/// Graphs of one number of rows, and the rows that were shown to them last, on the device.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) rows: usize,
    /// The shape of a batch.
    pub(super) items: Vec<usize>,
    pub(super) squares: Graph,
    forward: Graph,
    backward: Graph,
    backward_input: Graph,
    x: DeviceTensor<f32>,
    t: DeviceTensor<f32>,
    condition: Option<DeviceTensor<f32>>,
    /// What the last forward pass gave, and its rows.
    out: Vec<f32>,
    filled: usize,
    /// Batches that are not full, filled up.
    room: Vec<f32>,
}

impl Part {
    pub(super) fn new(
        network: &Network<f32>,
        rows: usize,
        adam: AdamConfig,
        memory: &DeviceMemory,
    ) -> Result<Self, OrtTrainError> {
        let graph = |pass| -> Result<Graph, OrtTrainError> {
            Ok(Graph { bytes: train_graph(network, rows, pass, adam)?, model: None })
        };
        let items: Vec<usize> = std::iter::once(rows).chain(network.config().shape.iter().copied()).collect();
        let condition = match network.condition() {
            0 => None,
            width => Some(memory.tensor(&[rows, width])?),
        };
        Ok(Self {
            rows,
            squares: graph(Pass::Squares)?,
            forward: graph(Pass::Forward)?,
            backward: graph(Pass::Backward)?,
            backward_input: graph(Pass::BackwardInput)?,
            x: memory.tensor(&items)?,
            t: memory.tensor(&[rows])?,
            condition,
            out: vec![0.0; items.iter().product()],
            filled: 0,
            room: Vec::new(),
            items,
        })
    }

    /// Coordinates of an item.
    fn dim(&self) -> usize {
        self.items[1..].iter().product()
    }

    /// Brings rows to the device. The rows behind them are zeros.
    pub(super) fn show(&mut self, x: &[f32], t: &[f32], c: &[f32]) -> Result<(), OrtTrainError> {
        let (n, dim) = (t.len(), self.dim());
        let Self { room, rows, .. } = self;
        let mut bring = |what, values: &[f32], each: usize, to: &mut DeviceTensor<f32>| {
            length(what, values.len(), n * each)?;
            Ok::<_, OrtTrainError>(upload(filled(values, *rows * each, room), to)?)
        };
        bring("x", x, dim, &mut self.x)?;
        bring("t", t, 1, &mut self.t)?;
        match &mut self.condition {
            Some(condition) => {
                let each = condition.shape().last().map_or(0, |&width| width as usize);
                bring("condition", c, each, condition)?;
            }
            None => length("condition", c.len(), 0)?,
        }
        self.filled = n;
        Ok(())
    }

    /// The network's inputs.
    pub(super) fn inputs<'a>(
        (x, t): (&'a DeviceTensor<f32>, &'a DeviceTensor<f32>),
        condition: Option<&'a DeviceTensor<f32>>,
    ) -> Vec<(&'static str, Source<'a>)> {
        let mut inputs = vec![("x", Source::Device(x)), ("t", Source::Device(t))];
        inputs.extend(condition.map(|condition| ("condition", Source::Device(condition))));
        inputs
    }

    /// The graph of weighted squares, and the rows that it is shown.
    pub(super) fn whole(&mut self) -> (&mut Graph, Vec<(&'static str, Source<'_>)>) {
        (&mut self.squares, Self::inputs((&self.x, &self.t), self.condition.as_ref()))
    }

    /// The output for the rows that were shown, of these parameters.
    pub(super) fn forward(
        &mut self,
        options: &Options,
        parameters: &DeviceTensor<f32>,
    ) -> Result<&[f32], OrtError> {
        let mut inputs = Self::inputs((&self.x, &self.t), self.condition.as_ref());
        inputs.push(("parameters", Source::Device(parameters)));
        call(self.forward.model(options)?, &inputs, &mut [("out", Sink::Host(&self.items, &mut self.out))])?;
        Ok(&self.out[..self.filled * self.items[1..].iter().product::<usize>()])
    }

    /// Adds the gradient of `sum(out dout)` to `keep` times the one that is there; that with respect to x into `dx`, where it is
    /// wanted.
    pub(super) fn backward(
        &mut self,
        options: &Options,
        parameters: &DeviceTensor<f32>,
        (gradient, keep): (&mut Resident, f32),
        dout: &[f32],
        dx: Option<&mut [f32]>,
    ) -> Result<(), OrtTrainError> {
        let numbers = self.filled * self.dim();
        length("dout", dout.len(), numbers)?;
        if let Some(dx) = &dx {
            length("dx", dx.len(), numbers)?;
        }
        let dout = filled(dout, self.items.iter().product(), &mut self.room);
        let keep = [keep];
        let graph = if dx.is_some() { &mut self.backward_input } else { &mut self.backward };
        let mut inputs = Self::inputs((&self.x, &self.t), self.condition.as_ref());
        inputs.push(("dout", Source::Host(&self.items, dout)));
        inputs.push(("keep", Source::Host(&[1], &keep)));
        inputs.push(("parameters", Source::Device(parameters)));
        inputs.push(("gradient", Source::Device(&gradient.now)));
        let mut outputs = vec![("gradient.next", Sink::Device(&mut gradient.next))];
        if dx.is_some() {
            // The output is not asked for any more, and as long.
            outputs.push(("dx", Sink::Host(&self.items, &mut self.out)));
        }
        call(graph.model(options)?, &inputs, &mut outputs)?;
        gradient.swap();
        if let Some(dx) = dx {
            dx.copy_from_slice(&self.out[..numbers]);
        }
        Ok(())
    }
}

/// The values with zeros behind them, `len` in all.
pub(super) fn filled<'a>(values: &'a [f32], len: usize, room: &'a mut Vec<f32>) -> &'a [f32] {
    if values.len() == len {
        return values;
    }
    room.clear();
    room.extend_from_slice(values);
    room.resize(len, 0.0);
    room
}

pub(super) fn length(what: &'static str, got: usize, expected: usize) -> Result<(), OrtTrainError> {
    match got == expected {
        true => Ok(()),
        false => Err(OrtTrainError::Length { what, got, expected }),
    }
}
