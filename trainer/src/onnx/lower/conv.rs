//! Convolutions and linear layers.

use picardy::nn::{Op, Shape, Step};

use super::{FIRST, Form, LAST, Lowered, Lowering};
use crate::model::Place;
use crate::onnx::{Attribute, OnnxError};

/// A convolution's sizes, of height and width.
struct Kernel {
    taps: [usize; 2],
    stride: usize,
    before: [usize; 2],
    behind: [usize; 2],
}

impl Kernel {
    fn of(op: Op, form: Form) -> Option<Self> {
        let Op::Conv { kernel, stride, padding } = op else { return None };
        (form == Form::Image).then(|| Self {
            taps: kernel.map(usize::from),
            stride: stride.into(),
            before: [padding.top, padding.left].map(usize::from),
            behind: [padding.bottom, padding.right].map(usize::from),
        })
    }

    fn strides(&self) -> [i64; 2] {
        [self.stride as i64; 2]
    }

    fn shape(&self) -> [i64; 2] {
        self.taps.map(|n| n as i64)
    }

    fn pads(&self) -> [i64; 4] {
        let ([top, left], [bottom, right]) = (self.before, self.behind);
        [top, left, bottom, right].map(|n| n as i64)
    }

    /// Height and width of what it reads, with the zeros around.
    fn padded(&self, from: Shape) -> [usize; 2] {
        [from.height + self.before[0] + self.behind[0], from.width + self.before[1] + self.behind[1]]
    }

    /// For each place that comes out, and each tap of its patch, the place of the padded input.
    fn patch_places(&self, from: Shape, out: Shape) -> Vec<i64> {
        let ([_, columns], [high, wide]) = (self.padded(from), self.taps);
        let mut places = Vec::with_capacity(out.places() * high * wide);
        for (row, column) in (0..out.height).flat_map(|row| (0..out.width).map(move |column| (row, column))) {
            for (down, right) in (0..high).flat_map(|down| (0..wide).map(move |right| (down, right))) {
                places.push(((row * self.stride + down) * columns + column * self.stride + right) as i64);
            }
        }
        places
    }
}

/// Whether it is a linear layer of each row.
fn is_linear(op: Op, form: Form) -> bool {
    form == Form::Vector && matches!(op, Op::Conv { kernel: [1, 1], stride: 1, .. })
}

impl Lowering<'_> {
    /// A `Gemm` of a vector, or a `Conv`.
    pub(super) fn conv(&mut self, step: &Step<Place>, a: &Lowered) -> Result<String, OnnxError> {
        let (outputs, inputs) = (step.shape.channels, a.shape.channels);
        if is_linear(step.op, a.form) {
            let weight = self.weight(step, 0, &[outputs, inputs])?;
            let bias = self.weight(step, 1, &[outputs])?;
            return Ok(self.node("Gemm", &[&a.name, &weight, &bias], &[("transB", Attribute::Int(1))]));
        }
        let kernel = Kernel::of(step.op, a.form)
            .ok_or_else(|| OnnxError::NotLowered { op: format!("{:?} of {:?}", step.op, a.form) })?;
        let weight = self.weight(step, 0, &[&[outputs, inputs], &kernel.taps[..]].concat())?;
        let bias = self.weight(step, 1, &[outputs])?;
        let mut pads = kernel.pads();
        // The WebGPU provider (0.4) takes a kernel of the input's size for one patch, whatever zeros are behind the input: it gets
        // as many before, and what they bring is cut off. (ONNX Runtime would fuse a node that pads.)
        let [_, _, bottom, right] = pads;
        let is_whole = kernel.taps == [a.shape.height, a.shape.width] && kernel.stride == 1;
        let cut = is_whole && kernel.before == [0; 2] && bottom + right > 0;
        if cut {
            pads = [bottom, right, bottom, right];
        }
        let attributes = [
            ("kernel_shape", Attribute::Ints(&kernel.shape())),
            ("strides", Attribute::Ints(&kernel.strides())),
            ("pads", Attribute::Ints(&pads)),
        ];
        let y = self.node("Conv", &[&a.name, &weight, &bias], &attributes);
        Ok(if cut { self.cut(&y, [bottom, right], step.shape) } else { y })
    }

    /// The places of an image from `starts` on, as many as `shape` has.
    fn cut(&mut self, x: &str, starts: [i64; 2], shape: Shape) -> String {
        let ends = [starts[0] + shape.height as i64, starts[1] + shape.width as i64];
        let lists = [&starts, &ends, &[2, 3]].map(|list| self.integers(list));
        self.node("Slice", &[x, &lists[0], &lists[1], &lists[2]], &[])
    }

    /// `dW = dy^T patches`, `db = sum dy`, and where it is wanted dx, a transposed convolution of dy with the same weight.
    pub(super) fn conv_backward(
        &mut self,
        step: &Step<Place>,
        a: &Lowered,
        dy: &str,
        wants: bool,
    ) -> Result<Option<String>, OnnxError> {
        let (outputs, inputs) = (step.shape.channels, a.shape.channels);
        let [weight_at, bias_at] = step.parameters.starts();
        let bias = self.sum(dy, a.form.but_channels());
        self.deposit_parameter(bias_at, bias);
        if is_linear(step.op, a.form) {
            let slope = self.node("Gemm", &[dy, &a.name], &[("transA", Attribute::Int(1))]);
            self.deposit_parameter(weight_at, slope);
            let weight = self.weight(step, 0, &[outputs, inputs])?;
            return Ok(wants.then(|| self.two("MatMul", dy, &weight)));
        }
        let kernel = Kernel::of(step.op, a.form)
            .ok_or_else(|| OnnxError::NotLowered { op: format!("{:?} of {:?}", step.op, a.form) })?;
        let slope = self.kernel_slope(&kernel, step, a, dy);
        self.deposit_parameter(weight_at, slope);
        if !wants {
            return Ok(None);
        }
        let weight = self.weight(step, 0, &[&[outputs, inputs], &kernel.taps[..]].concat())?;
        Ok(Some(self.input_slope(&kernel, step, a, dy, &weight)))
    }

    /// dW `[outputs, inputs, taps]`: the product of dy with the patches, which are gathered channels last.
    fn kernel_slope(&mut self, kernel: &Kernel, step: &Step<Place>, a: &Lowered, dy: &str) -> String {
        let (outputs, inputs) = (step.shape.channels as i64, a.shape.channels as i64);
        let [high, wide] = kernel.shape();
        let turned = self.transpose(dy, &LAST);
        let slopes = self.reshape(&turned, &[-1, outputs]);
        let mut places = self.transpose(&a.name, &LAST);
        if kernel.pads() != [0; 4] {
            let [top, left, bottom, right] = kernel.pads();
            let pads = self.integers(&[0, top, left, 0, 0, bottom, right, 0]);
            places = self.two("Pad", &places, &pads);
        }
        if kernel.taps != [1, 1] || kernel.stride != 1 {
            let [rows, columns] = kernel.padded(a.shape);
            let flat = self.reshape(&places, &[0, (rows * columns) as i64, inputs]);
            let Shape { height, width, .. } = step.shape;
            let name =
                format!("patches.{height}x{width}.{high}x{wide}.{}.of.{rows}x{columns}", kernel.stride);
            let index = self.integers_of(name, || kernel.patch_places(a.shape, step.shape));
            places = self.node("Gather", &[&flat, &index], &[("axis", Attribute::Int(1))]);
        }
        let patches = self.reshape(&places, &[-1, high * wide * inputs]);
        let slope = self.node("Gemm", &[&slopes, &patches], &[("transA", Attribute::Int(1))]);
        if kernel.taps == [1, 1] {
            return slope;
        }
        let slope = self.reshape(&slope, &[outputs, high, wide, inputs]);
        self.transpose(&slope, &FIRST)
    }

    /// dx. Where there are more zeros on one side than on the other, all places are made and those of the zeros cut off, since not
    /// every device's `ConvTranspose` does so.
    fn input_slope(
        &mut self,
        kernel: &Kernel,
        step: &Step<Place>,
        a: &Lowered,
        dy: &str,
        weight: &str,
    ) -> String {
        let even = kernel.before == kernel.behind;
        let pads = if even { kernel.pads() } else { [0; 4] };
        // Places at the end that no patch reached.
        let reached = [step.shape.height, step.shape.width].map(|n| (n.max(1) - 1) * kernel.stride);
        let padded = kernel.padded(a.shape);
        let rest = [0, 1].map(|k| padded[k].saturating_sub(reached[k] + kernel.taps[k]) as i64);
        let (shape, strides) = (kernel.shape(), kernel.strides());
        let attributes = [
            ("kernel_shape", Attribute::Ints(&shape)),
            ("strides", Attribute::Ints(&strides)),
            ("pads", Attribute::Ints(&pads)),
            ("output_padding", Attribute::Ints(&rest)),
        ];
        let dx = self.node("ConvTranspose", &[dy, weight], &attributes);
        if even {
            return dx;
        }
        self.cut(&dx, kernel.before.map(|side| side as i64), a.shape)
    }
}
