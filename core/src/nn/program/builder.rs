//! How an architecture writes its program down.

use super::op::{Activation, Op, Padding, Spacing};
use super::{ProgramError, Shape, Step, Value};
use crate::Name;
use crate::nn::ShapeError;

/// The shape of a layer's weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerShape {
    /// Channels that come out.
    pub outputs: usize,
    /// Height and width of a patch.
    pub kernel: [usize; 2],
    /// Channels that go in.
    pub inputs: usize,
}

impl LayerShape {
    /// Numbers of a patch.
    pub const fn patch(&self) -> usize {
        self.kernel[0].saturating_mul(self.kernel[1]).saturating_mul(self.inputs)
    }
}

/// Where a program's parameters come from.
pub trait Source {
    /// What a step keeps of its parameters.
    type Parameters: Copy + Default;
    /// Why there are none.
    type Error: From<ProgramError>;

    /// A layer's weight and bias `[outputs]`. Two layers may share a bias, by its name.
    ///
    /// # Errors
    /// The source's own.
    fn layer(&mut self, weight: Name, bias: Name, shape: LayerShape)
    -> Result<Self::Parameters, Self::Error>;

    /// A norm's `PREFIX.weight` and `PREFIX.bias`, each `[channels]`.
    ///
    /// # Errors
    /// The source's own.
    fn norm(&mut self, prefix: Name, channels: usize) -> Result<Self::Parameters, Self::Error>;
}

/// Writes a program's steps, checks their shapes and takes their parameters from a source.
#[derive(Debug)]
pub struct Builder<'m, S: Source> {
    inputs: [Shape; Value::INPUTS],
    steps: &'m mut [Step<S::Parameters>],
    len: usize,
    source: S,
}

impl<'m, S: Source> Builder<'m, S> {
    /// A program of items of shape `x` and conditions of `condition` numbers (0: none), in `steps`.
    pub fn new(x: Shape, condition: usize, steps: &'m mut [Step<S::Parameters>], source: S) -> Self {
        let inputs = [x, Shape::vector(1), Shape::vector(condition)];
        Self { inputs, steps, len: 0, source }
    }

    /// The shape of a value.
    pub fn shape(&self, value: Value) -> Shape {
        match value.step() {
            None => self.inputs.get(value.index()).copied().unwrap_or_default(),
            Some(step) => {
                self.steps.get(step).filter(|_| step < self.len).map_or(Shape::default(), |s| s.shape)
            }
        }
    }

    /// The steps so far, and the source.
    pub fn finish(self) -> (&'m mut [Step<S::Parameters>], S) {
        let steps = self.steps.get_mut(..self.len).unwrap_or_default();
        (steps, self.source)
    }

    /// An affine map of each place to `outputs` channels: [`Op::Conv`] with a kernel of 1.
    ///
    /// # Errors
    /// No room for the step, or the source's.
    pub fn linear(&mut self, a: Value, prefix: Name, outputs: usize) -> Result<Value, S::Error> {
        self.conv(a, prefix, outputs, [1, 1], 1, Padding::default())
    }

    /// [`Op::Conv`] with `PREFIX.weight` and `PREFIX.bias`.
    ///
    /// # Errors
    /// No room for the step, patches that do not fit, or the source's.
    pub fn conv(
        &mut self,
        a: Value,
        prefix: Name,
        outputs: usize,
        kernel: [u8; 2],
        stride: u8,
        padding: Padding,
    ) -> Result<Value, S::Error> {
        let bias = Name::new(format_args!("{prefix}.bias"));
        self.conv_with(a, Name::new(format_args!("{prefix}.weight")), bias, outputs, kernel, stride, padding)
    }

    #[expect(clippy::too_many_arguments, reason = "a convolution has so many")]
    fn conv_with(
        &mut self,
        a: Value,
        weight: Name,
        bias: Name,
        outputs: usize,
        kernel: [u8; 2],
        stride: u8,
        padding: Padding,
    ) -> Result<Value, S::Error> {
        let x = self.shape(a);
        let taps = kernel.map(usize::from);
        let along = |places: usize, before: u8, behind: u8, taps: usize| {
            let padded = places + usize::from(before) + usize::from(behind);
            let places = padded.checked_sub(taps).and_then(|rest| rest.checked_div(stride.into()));
            places.map(|steps| steps + 1).ok_or(ProgramError::size("places", padded, "as many as a kernel's"))
        };
        let shape = Shape {
            height: along(x.height, padding.top, padding.bottom, taps[0])?,
            width: along(x.width, padding.left, padding.right, taps[1])?,
            channels: outputs,
        };
        let parameters =
            self.source.layer(weight, bias, LayerShape { outputs, kernel: taps, inputs: x.channels })?;
        self.push(Op::Conv { kernel, stride, padding }, [a, Value::X], shape, parameters)
    }

    /// A transposed convolution along the width with a kernel of 4 and stride 2, which doubles the places: its even and its odd
    /// places are convolutions with a kernel of 2, `PREFIX.even.weight` and `PREFIX.odd.weight`, that share `PREFIX.bias`.
    ///
    /// With w of a transposed convolution with padding 1: even is (w3, w1), odd is (w2, w0).
    ///
    /// # Errors
    /// As [`Builder::conv`].
    pub fn double(&mut self, a: Value, prefix: Name, outputs: usize) -> Result<Value, S::Error> {
        let bias = Name::new(format_args!("{prefix}.bias"));
        let weight = |which| Name::new(format_args!("{prefix}.{which}.weight"));
        let even = self.conv_with(a, weight("even"), bias, outputs, [1, 2], 1, Padding::series(1, 0))?;
        let odd = self.conv_with(a, weight("odd"), bias, outputs, [1, 2], 1, Padding::series(0, 1))?;
        let shape = self.shape(even);
        self.plain(Op::Interleave, [even, odd], Shape { width: 2 * shape.width, ..shape })
    }

    /// [`Op::LayerNorm`].
    ///
    /// # Errors
    /// No room for the step, or the source's.
    pub fn layer_norm(&mut self, a: Value, prefix: Name) -> Result<Value, S::Error> {
        let shape = self.shape(a);
        let parameters = self.source.norm(prefix, shape.channels)?;
        self.push(Op::LayerNorm, [a, Value::X], shape, parameters)
    }

    /// [`Op::GroupNorm`].
    ///
    /// # Errors
    /// Groups that do not divide the channels, no room for the step, or the source's.
    pub fn group_norm(&mut self, a: Value, prefix: Name, groups: usize) -> Result<Value, S::Error> {
        let shape = self.shape(a);
        if groups == 0 || shape.channels % groups != 0 || groups > usize::from(u16::MAX) {
            return Err(ProgramError::size("groups", groups, "a divisor of every width").into());
        }
        let parameters = self.source.norm(prefix, shape.channels)?;
        self.push(Op::GroupNorm { groups: groups as u16 }, [a, Value::X], shape, parameters)
    }

    /// [`Op::Activation`].
    ///
    /// # Errors
    /// No room for the step.
    pub fn activation(&mut self, a: Value, function: Activation) -> Result<Value, S::Error> {
        let shape = self.shape(a);
        self.plain(Op::Activation(function), [a, Value::X], shape)
    }

    /// [`Op::Sinusoidal`] of `channels` numbers.
    ///
    /// # Errors
    /// No even number of at least 2 (4 with closed spacing), or no room for the step.
    pub fn sinusoidal(&mut self, channels: usize, spacing: Spacing) -> Result<Value, S::Error> {
        let least = if spacing == Spacing::Closed { 4 } else { 2 };
        if channels < least || channels % 2 == 1 {
            return Err(ProgramError::size("embedding", channels, "even, and at least 4").into());
        }
        self.plain(Op::Sinusoidal(spacing), [Value::T, Value::X], Shape::vector(channels))
    }

    /// [`Op::Add`].
    ///
    /// # Errors
    /// Shapes that do not fit, or no room for the step.
    pub fn add(&mut self, a: Value, b: Value) -> Result<Value, S::Error> {
        let (x, y) = (self.shape(a), self.shape(b));
        if x != y {
            self.expect("b", Shape::vector(x.channels).len(), y.len())?;
        }
        self.plain(Op::Add, [a, b], x)
    }

    /// [`Op::Film`].
    ///
    /// # Errors
    /// Unless b is a vector of twice the channels; or no room for the step.
    pub fn film(&mut self, a: Value, b: Value) -> Result<Value, S::Error> {
        let x = self.shape(a);
        self.expect("b", 2 * x.channels, self.shape(b).len())?;
        self.plain(Op::Film, [a, b], x)
    }

    /// [`Op::Concat`].
    ///
    /// # Errors
    /// Other places, or no room for the step.
    pub fn concat(&mut self, a: Value, b: Value) -> Result<Value, S::Error> {
        let (x, y) = (self.shape(a), self.shape(b));
        self.expect("b", x.places(), y.places())?;
        self.plain(Op::Concat, [a, b], Shape { channels: x.channels + y.channels, ..x })
    }

    /// [`Op::Upsample`].
    ///
    /// # Errors
    /// No room for the step.
    pub fn upsample(&mut self, a: Value) -> Result<Value, S::Error> {
        let Shape { height, width, channels } = self.shape(a);
        self.plain(Op::Upsample, [a, Value::X], Shape { height: 2 * height, width: 2 * width, channels })
    }

    /// [`Op::Attention`].
    ///
    /// # Errors
    /// Heads that do not divide the channels, or no room for the step.
    pub fn attention(&mut self, a: Value, heads: usize) -> Result<Value, S::Error> {
        let x = self.shape(a);
        let channels = x.channels / 3;
        if heads == 0 || channels % heads != 0 || heads > usize::from(u16::MAX) {
            return Err(ProgramError::size("heads", heads, "a divisor of the last width").into());
        }
        self.expect("a", 3 * channels, x.channels)?;
        self.plain(Op::Attention { heads: heads as u16 }, [a, Value::X], Shape { channels, ..x })
    }

    fn plain(&mut self, op: Op, inputs: [Value; 2], shape: Shape) -> Result<Value, S::Error> {
        self.push(op, inputs, shape, S::Parameters::default())
    }

    fn expect(&self, argument: &'static str, expected: usize, got: usize) -> Result<(), S::Error> {
        match expected == got {
            true => Ok(()),
            false => Err(ProgramError::Values(ShapeError { argument, expected, got }).into()),
        }
    }

    fn push(
        &mut self,
        op: Op,
        inputs: [Value; 2],
        shape: Shape,
        parameters: S::Parameters,
    ) -> Result<Value, S::Error> {
        let room = self.steps.len().min(usize::from(u16::MAX) - Value::INPUTS);
        let value = Value::of_step(self.len);
        let slot = self.steps.get_mut(self.len).filter(|_| self.len < room);
        *slot.ok_or(ProgramError::Steps { room })? = Step { op, inputs, shape, parameters, place: 0 };
        self.len += 1;
        Ok(value)
    }
}
