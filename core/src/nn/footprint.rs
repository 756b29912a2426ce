//! What a network takes of a machine, from its sizes alone.

use super::layer::Layer;
use super::linear::SCALAR;
use super::program::{Builder, LayerShape, Network, Source, Step, Weights};
use super::{Architecture, ModelError, WeightFormat, int8};
use crate::Name;

/// Layers of fewer inputs stay `f32` in an int8 artifact of the trainer's.
const LEAST_INPUTS: usize = 16;
/// Bytes of a program's step where addresses have 32 bits. (The firmware's images check it.)
const STEP_32: usize = 60;

/// Flash and memory that a network needs, before there is one.
///
/// ```
/// use picardy::nn::{Architecture, Footprint, Machine, Step, Unet1d, WeightFormat, Widths};
/// let unet = Unet1d { widths: Widths::new(&[64, 128, 256]).unwrap(), embedding: 64, kernel: 5, groups: 8, scale: true };
/// let architecture = Architecture::Unet1d(unet);
/// let mut steps = [Step::default(); 200]; // at least `architecture.steps(20)`
/// let need = Footprint::new(&architecture, &[16, 2], 20, WeightFormat::Int8, Machine::Bits32, &mut steps)?;
/// assert_eq!(need.parameters, 4_159_874);
/// assert!(need.weights > 4 << 20 && need.ram() < 128 << 10);
/// # Ok::<(), picardy::nn::ModelError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footprint {
    /// Numbers of all weights, biases and norms.
    pub parameters: usize,
    /// Bytes of the artifact's tensors, the scales of int8 included, which may stay in flash. Its header has some hundred bytes
    /// for each tensor besides.
    pub weights: usize,
    /// Steps of the program.
    pub steps: usize,
    /// Numbers of scratch for one row: [`Network::scratch_len`].
    pub scratch: usize,
    /// Numbers of an item.
    pub dim: usize,
    /// Numbers of a row's condition.
    pub condition: usize,
    machine: Machine,
}

/// The machine that a [`Footprint`] is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Machine {
    /// The one that this code is compiled for.
    #[default]
    This,
    /// A microcontroller: addresses of 32 bits, and one row at a time.
    Bits32,
}

impl Footprint {
    /// What that network takes, for items of `shape` and conditions of `condition` numbers, with weights of that format; `steps` is
    /// room as for [`Network::new`].
    ///
    /// # Errors
    /// [`ModelError::Program`] and [`ModelError::UnknownModel`] for sizes that the network cannot have, or too few steps.
    pub fn new(
        architecture: &Architecture,
        shape: &[usize],
        condition: usize,
        format: WeightFormat,
        machine: Machine,
        steps: &mut [Step<Weights<'static>>],
    ) -> Result<Self, ModelError> {
        let item = architecture.item(shape).ok_or(ModelError::UnknownModel)?;
        let sizes =
            Sizes { format, parameters: 0, weights: 0, room: [0; 2], bias: Name::new(format_args!("")) };
        let mut builder = Builder::new(item, condition, steps, sizes);
        architecture.build(&mut builder)?;
        let (steps, sizes) = builder.finish();
        let count = steps.len();
        let own = Network::of_steps(item, condition, steps).scratch_len(1);
        let [here, there] = sizes.room;
        let scratch = match machine {
            Machine::This => own,
            Machine::Bits32 => own.saturating_sub(here).saturating_add(there),
        };
        let Sizes { parameters, weights, .. } = sizes;
        Ok(Self { parameters, weights, steps: count, scratch, dim: item.len(), condition, machine })
    }

    /// Bytes of memory for a sequential run of one item: the program, the scratch, the condition and three states (the state, an
    /// output, the sample). Levels, plan and stack come to it.
    pub const fn ram(&self) -> usize {
        let step = match self.machine {
            Machine::This => size_of::<Step<Weights<'_>>>(),
            Machine::Bits32 => STEP_32,
        };
        let numbers = self.scratch.saturating_add(self.condition).saturating_add(self.dim.saturating_mul(3));
        self.steps.saturating_mul(step).saturating_add(numbers.saturating_mul(size_of::<f32>()))
    }
}

/// Counts what is asked of it.
struct Sizes {
    format: WeightFormat,
    parameters: usize,
    weights: usize,
    /// Numbers of a layer's own room, at most: here and on a microcontroller.
    room: [usize; 2],
    /// The last bias, which two layers may share.
    bias: Name,
}

impl Sizes {
    fn count(&mut self, numbers: usize, bytes: usize) {
        self.parameters = self.parameters.saturating_add(numbers);
        self.weights = self.weights.saturating_add(numbers.saturating_mul(bytes));
    }
}

impl Source for Sizes {
    type Parameters = Weights<'static>;
    type Error = ModelError;

    fn layer(&mut self, _: Name, bias: Name, shape: LayerShape) -> Result<Weights<'static>, ModelError> {
        let inputs = shape.patch();
        let format = match self.format {
            WeightFormat::Int8 if inputs < LEAST_INPUTS => WeightFormat::F32,
            format => format,
        };
        let (bytes, there) = match format {
            WeightFormat::F32 => (4, 0),
            WeightFormat::F16 => (2, 0),
            WeightFormat::Int8 => {
                // The scales are no parameters.
                self.weights = self.weights.saturating_add(shape.outputs.saturating_mul(4));
                (1, int8::scratch_of(1, inputs))
            }
        };
        self.count(inputs.saturating_mul(shape.outputs), bytes);
        if bias != self.bias {
            self.count(shape.outputs, 4);
            self.bias = bias;
        }
        let layer = Layer::sized(format, inputs);
        let [here, most] = self.room;
        self.room =
            [here.max(layer.scratch_len()), most.max(if SCALAR { layer.scratch_len() } else { there })];
        Ok(Weights::of_layer(layer))
    }

    fn norm(&mut self, _: Name, channels: usize) -> Result<Weights<'static>, ModelError> {
        self.count(channels.saturating_mul(2), 4);
        Ok(Weights::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Unet1d, Widths};

    fn need(widths: &[usize], format: WeightFormat, machine: Machine) -> Footprint {
        let widths = Widths::new(widths).unwrap();
        let unet = Architecture::Unet1d(Unet1d { widths, embedding: 8, kernel: 3, groups: 4, scale: true });
        let mut steps = [Step::default(); 200];
        Footprint::new(&unet, &[8, 2], 5, format, machine, &mut steps).unwrap()
    }

    #[test]
    fn weights_are_counted_by_hand() {
        // One level of 4 channels. Embedding: 8 -> 32 -> 8. Down and mid: four residual blocks, each two convolutions of 3, two norms,
        // a film of 13 -> 8; the first has 2 channels in and a past. The output's block, and 4 -> 2.
        let affine = |inputs: usize, outputs: usize| inputs * outputs + outputs;
        let block = |inputs: usize| affine(3 * inputs, 4) + 8 + affine(13, 8) + affine(12, 4) + 8;
        let parameters = affine(8, 32)
            + affine(32, 8)
            + block(2)
            + affine(2, 4)
            + 3 * block(4)
            + affine(12, 4)
            + 8
            + affine(4, 2);
        let f32 = need(&[4], WeightFormat::F32, Machine::This);
        assert_eq!((f32.parameters, f32.weights), (parameters, 4 * parameters));
        // Of all layers 32 -> 8 alone has 16 inputs or more.
        let int8 = need(&[4], WeightFormat::Int8, Machine::This);
        assert_eq!(int8.weights, 4 * parameters - 3 * 32 * 8 + 4 * 8);
        assert_eq!((f32.dim, f32.condition), (16, 5));
    }

    #[test]
    fn a_microcontroller_takes_no_more() {
        for format in [WeightFormat::F32, WeightFormat::F16, WeightFormat::Int8] {
            let (here, there) =
                (need(&[8, 16], format, Machine::This), need(&[8, 16], format, Machine::Bits32));
            assert!(there.ram() < here.ram() && there.scratch <= here.scratch, "{format}");
            assert_eq!(there.weights, here.weights);
            assert_eq!(there.ram(), there.steps * 60 + 4 * (there.scratch + 5 + 3 * 16));
        }
        assert!(
            need(&[8, 16], WeightFormat::Int8, Machine::Bits32).scratch
                < need(&[8, 16], WeightFormat::Int8, Machine::This).scratch
        );
    }

    #[test]
    fn sizes_that_cannot_be_are_errors() {
        let unet = Unet1d {
            widths: Widths::new(&[8, 16]).unwrap(),
            embedding: 8,
            kernel: 3,
            groups: 4,
            scale: true,
        };
        let (mut steps, format) = ([Step::default(); 200], WeightFormat::F32);
        let of = |unet, shape: &[usize], steps: &mut [Step<Weights<'static>>]| {
            Footprint::new(&Architecture::Unet1d(unet), shape, 0, format, Machine::This, steps)
        };
        assert_eq!(of(unet, &[8], &mut steps), Err(ModelError::UnknownModel));
        assert!(matches!(of(unet, &[7, 2], &mut steps), Err(ModelError::Program(_))));
        assert!(matches!(of(unet, &[8, 2], &mut steps[..5]), Err(ModelError::Program(_))));
        assert!(of(unet, &[8, 2], &mut steps).is_ok());
    }
}
