//! Convolutions and linear layers.

use picardy::nn::{Op, Step};

use super::{Form, Lowered, Lowering};
use crate::model::Place;
use crate::onnx::{Attribute, OnnxError};

/// A convolution's sizes along the axes that its input has.
struct Kernel {
    taps: Vec<usize>,
    stride: usize,
    before: Vec<usize>,
    behind: Vec<usize>,
}

impl Kernel {
    fn of(op: Op, form: Form) -> Option<Self> {
        let Op::Conv { kernel, stride, padding } = op else { return None };
        let [height, width] = kernel.map(usize::from);
        let skip = match form {
            Form::Image => 0,
            Form::Series if height == 1 && padding.top == 0 && padding.bottom == 0 => 1,
            _ => return None,
        };
        let [before, behind] = [[padding.top, padding.left], [padding.bottom, padding.right]]
            .map(|sides| sides[skip..].iter().map(|&side| usize::from(side)).collect());
        Some(Self { taps: [height, width][skip..].to_vec(), stride: stride.into(), before, behind })
    }

    fn strides(&self) -> Vec<i64> {
        vec![self.stride as i64; self.taps.len()]
    }

    fn shape(&self) -> Vec<i64> {
        self.taps.iter().map(|&n| n as i64).collect()
    }

    fn pads(&self) -> Vec<i64> {
        self.before.iter().chain(&self.behind).map(|&n| n as i64).collect()
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
        let attributes = [
            ("kernel_shape", Attribute::Ints(&kernel.shape())),
            ("strides", Attribute::Ints(&kernel.strides())),
            ("pads", Attribute::Ints(&kernel.pads())),
        ];
        Ok(self.node("Conv", &[&a.name, &weight, &bias], &attributes))
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
        let (outputs, inputs) = (step.shape.channels, a.shape.channels);
        let taps: usize = kernel.taps.iter().product();
        let Some([first, last]) = a.form.turns() else { return dy.to_owned() };
        let turned = self.transpose(dy, last);
        let slopes = self.reshape(&turned, &[-1, outputs as i64]);
        let places = self.transpose(&a.name, last);
        let rows = if taps == 1 && kernel.stride == 1 {
            self.reshape(&places, &[-1, inputs as i64])
        } else {
            let axes = kernel.taps.len();
            let around = |sides: &[usize]| {
                let sides = sides.iter().map(|&side| side as i64);
                std::iter::once(0).chain(sides).chain(std::iter::once(0)).collect::<Vec<i64>>()
            };
            let padded = match kernel.before.iter().chain(&kernel.behind).any(|&side| side > 0) {
                false => places,
                true => {
                    let pads = self.integers(&[around(&kernel.before), around(&kernel.behind)].concat());
                    self.node("Pad", &[&places, &pads], &[])
                }
            };
            let own = [a.shape.height, a.shape.width];
            let out = [step.shape.height, step.shape.width];
            let skip = 2 - axes;
            let width: Vec<usize> =
                (0..axes).map(|k| own[skip + k] + kernel.before[k] + kernel.behind[k]).collect();
            let places: usize = width.iter().product();
            let flat = self.reshape(&padded, &[0, places as i64, inputs as i64]);
            let index = patch_places(&width, &out[skip..], &kernel.taps, kernel.stride);
            let index = self.integers(&index);
            let patches = self.node("Gather", &[&flat, &index], &[("axis", Attribute::Int(1))]);
            self.reshape(&patches, &[-1, (taps * inputs) as i64])
        };
        let slope = self.node("Gemm", &[&slopes, &rows], &[("transA", Attribute::Int(1))]);
        if taps == 1 {
            return slope;
        }
        let shape: Vec<i64> = [&[outputs as i64], &kernel.shape()[..], &[inputs as i64]].concat();
        let slope = self.reshape(&slope, &shape);
        self.transpose(&slope, first)
    }

    /// dx. Zeros on one side more than on the other are cut off behind, since not every device's `ConvTranspose` knows them.
    fn input_slope(
        &mut self,
        kernel: &Kernel,
        step: &Step<Place>,
        a: &Lowered,
        dy: &str,
        weight: &str,
    ) -> String {
        let axes = kernel.taps.len();
        let (own, out) = ([a.shape.height, a.shape.width], [step.shape.height, step.shape.width]);
        let even = kernel.before == kernel.behind;
        let pads = if even { kernel.pads() } else { vec![0; 2 * axes] };
        // Places at the end that no patch reached.
        let rest: Vec<i64> = (0..axes)
            .map(|k| {
                let padded = own[2 - axes + k] + kernel.before[k] + kernel.behind[k];
                (padded - ((out[2 - axes + k] - 1) * kernel.stride + kernel.taps[k])) as i64
            })
            .collect();
        let (shape, strides) = (kernel.shape(), kernel.strides());
        let mut attributes = vec![
            ("kernel_shape", Attribute::Ints(&shape)),
            ("strides", Attribute::Ints(&strides)),
            ("pads", Attribute::Ints(&pads)),
        ];
        if rest.iter().any(|&rest| rest > 0) {
            attributes.push(("output_padding", Attribute::Ints(&rest)));
        }
        let dx = self.node("ConvTranspose", &[dy, weight], &attributes);
        if even {
            return dx;
        }
        let starts: Vec<i64> = kernel.before.iter().map(|&side| side as i64).collect();
        let ends: Vec<i64> = (0..axes).map(|k| starts[k] + own[2 - axes + k] as i64).collect();
        let along = a.form.places();
        let [starts, ends, along] = [&starts[..], &ends[..], along].map(|list| self.integers(list));
        self.node("Slice", &[&dx, &starts, &ends, &along], &[])
    }
}

/// For each place that comes out, and each tap of its patch, the place of the padded input.
fn patch_places(padded: &[usize], out: &[usize], taps: &[usize], stride: usize) -> Vec<i64> {
    let pair = |sizes: &[usize]| match *sizes {
        [height, width] => [height, width],
        _ => [1, sizes.iter().product()],
    };
    let ([_, columns], [out_rows, out_columns], [high, wide]) = (pair(padded), pair(out), pair(taps));
    let mut places = Vec::with_capacity(out_rows * out_columns * high * wide);
    for (row, column) in (0..out_rows).flat_map(|row| (0..out_columns).map(move |column| (row, column))) {
        for (down, right) in (0..high).flat_map(|down| (0..wide).map(move |right| (down, right))) {
            places.push(((row * stride + down) * columns + column * stride + right) as i64);
        }
    }
    places
}
