//! Convolutions and affine maps, as products with patches.

use picardy::nn::{Padding, Patches, Shape, ShapeError, linear};

use super::{Element, View, column_sums, gemm, gemm_tall};

/// Numbers of patches that are multiplied together: long sums for the weight's gradient, and short of the last cache.
const TOGETHER: usize = 256 * 1024;

/// `out[p, o] = bias[o] + sum_q weight[o, q] patch[p, q]` of items: [`Op::Conv`](picardy::nn::Op).
#[derive(Debug, Clone, Copy)]
pub struct Conv {
    /// How the input is read.
    pub patches: Patches,
    /// Channels that come out.
    pub outputs: usize,
    /// Places of an item that come out.
    pub places: usize,
}

impl Conv {
    /// Items whose patches are made together.
    fn together(&self) -> usize {
        (TOGETHER / (self.places * self.patches.len()).max(1)).max(1)
    }

    /// Numbers of room that a pass over `items` items takes.
    pub fn room(&self, items: usize) -> usize {
        if self.patches.are_places() {
            return 0;
        }
        let items = self.together().min(items);
        let rows = items * self.places * self.patches.len();
        let back = self.reversed().map_or(0, |reversed| {
            items * self.patches.shape.places() * reversed.len() + self.outputs * self.patches.len()
        });
        rows + rows.max(back)
    }

    /// How the convolution that gives the input's gradient reads the output's: with the kernel turned around and the rest of the
    /// zeros. None with a stride, or with more zeros than a kernel reaches.
    fn reversed(&self) -> Option<Patches> {
        let Patches { shape, kernel, stride, padding, columns } = self.patches;
        let rest = |taps: usize, zeros: u8| u8::try_from(taps.checked_sub(1 + usize::from(zeros))?).ok();
        let padding = Padding {
            top: rest(kernel[0], padding.top)?,
            bottom: rest(kernel[0], padding.bottom)?,
            left: rest(kernel[1], padding.left)?,
            right: rest(kernel[1], padding.right)?,
        };
        let out = Shape { height: self.places.checked_div(columns)?, width: columns, channels: self.outputs };
        (stride == 1).then_some(Patches { shape: out, kernel, stride, padding, columns: shape.width })
    }

    /// x [n, item] into y [n, places, outputs].
    ///
    /// # Errors
    ///
    /// [`ShapeError`] where the lengths do not fit.
    pub fn forward<T: Element>(
        &self,
        weight: &[T],
        bias: &[T],
        x: &[T],
        y: &mut [T],
        room: &mut [T],
    ) -> Result<(), ShapeError> {
        let patch = self.patches.len();
        if self.patches.are_places() {
            if self.places == 1 {
                return linear(x, weight, bias, y);
            }
            product(weight, bias, x, patch, y);
            return Ok(());
        }
        let (item, out) = (self.patches.shape.len(), self.places * self.outputs);
        let together = self.together();
        for (x, y) in x.chunks(together * item).zip(y.chunks_mut(together * out)) {
            let rows = &mut room[..y.len() / self.outputs * patch];
            for (x, rows) in x.chunks_exact(item).zip(rows.chunks_exact_mut(self.places * patch)) {
                self.patches.gather(x, 0, rows);
            }
            product(weight, bias, rows, patch, y);
        }
        Ok(())
    }

    /// `dweight += sum dy^T patches`, `dbias += sum dy`, and where it is wanted dx [n, item], which is written.
    pub fn backward<T: Element>(
        &self,
        weight: &[T],
        x: &[T],
        dy: &[T],
        gradients: (&mut [T], &mut [T]),
        mut dx: Option<&mut [T]>,
        room: &mut [T],
    ) {
        let (patch, outputs) = (self.patches.len(), self.outputs);
        column_sums(dy, gradients.1);
        let all = View::new(weight, outputs, patch);
        if self.patches.are_places() {
            let rows = dy.len() / outputs;
            let (slopes, x) = (View::new(dy, rows, outputs), View::new(x, rows, patch));
            if self.places == 1 {
                gemm(slopes.transposed(), x, T::ONE, gradients.0);
                if let Some(dx) = dx {
                    gemm(slopes, all, T::ZERO, dx);
                }
            } else {
                gemm_tall(slopes.transposed(), x, true, gradients.0);
                if let Some(dx) = dx {
                    gemm_tall(slopes, all, false, dx);
                }
            }
            return;
        }
        let (item, out) = (self.patches.shape.len(), self.places * outputs);
        let together = self.together();
        // Turning the weight pays where it is used for many places.
        let pays = dy.len() / outputs >= 4 * patch;
        let reversed = self.reversed().filter(|_| dx.is_some() && pays);
        let (turned, room) = room.split_at_mut(if reversed.is_some() { weight.len() } else { 0 });
        match (&mut dx, reversed) {
            (Some(_), Some(_)) => turn(weight, outputs, self.patches.shape.channels, turned),
            (Some(dx), None) => dx.fill(T::ZERO),
            (None, _) => {}
        }
        for (i, (x, dy)) in x.chunks(together * item).zip(dy.chunks(together * out)).enumerate() {
            let count = dy.len() / outputs;
            let (rows, back) = room.split_at_mut(count * patch);
            for (x, rows) in x.chunks_exact(item).zip(rows.chunks_exact_mut(self.places * patch)) {
                self.patches.gather(x, 0, rows);
            }
            let slopes = View::new(dy, count, outputs);
            gemm_tall(slopes.transposed(), View::new(rows, count, patch), true, gradients.0);
            if let (Some(dx), Some(reversed)) = (dx.as_deref_mut(), reversed) {
                // Long sums and few results, where the way below has short sums and many.
                let (inputs, taps) = (self.patches.shape.channels, reversed.len());
                let dx = &mut dx[i * together * item..][..x.len()];
                let places = x.len() / inputs;
                let back = &mut back[..places * taps];
                for (dy, back) in dy.chunks_exact(out).zip(back.chunks_exact_mut(item / inputs * taps)) {
                    reversed.gather(dy, 0, back);
                }
                let turned = View::new(turned, inputs, taps).transposed();
                gemm_tall(View::new(back, places, taps), turned, false, dx);
            } else if let Some(dx) = dx.as_deref_mut() {
                let back = &mut back[..count * patch];
                gemm_tall(slopes, all, false, back);
                let dx = &mut dx[i * together * item..][..x.len()];
                for (dx, back) in dx.chunks_exact_mut(item).zip(back.chunks_exact(self.places * patch)) {
                    self.patches.scatter(back, 0, dx);
                }
            }
        }
    }
}

/// The weight [outputs, taps, inputs] as [inputs, taps from the last, outputs].
fn turn<T: Element>(weight: &[T], outputs: usize, inputs: usize, turned: &mut [T]) {
    let taps = weight.len() / (outputs * inputs);
    for (o, weight) in weight.chunks_exact(taps * inputs).enumerate() {
        for (tap, weight) in weight.chunks_exact(inputs).enumerate() {
            for (i, &w) in weight.iter().enumerate() {
                turned[(i * taps + taps - 1 - tap) * outputs + o] = w;
            }
        }
    }
}

/// `y = rows weight^T + bias`.
fn product<T: Element>(weight: &[T], bias: &[T], rows: &[T], patch: usize, y: &mut [T]) {
    let outputs = bias.len();
    y.chunks_exact_mut(outputs).for_each(|y| y.copy_from_slice(bias));
    let weight = View::new(weight, outputs, patch).transposed();
    gemm_tall(View::new(rows, y.len() / outputs, patch), weight, true, y);
}

#[cfg(test)]
mod tests {
    use picardy::nn::{Padding, Patches, Shape};

    use super::Conv;
    use crate::op::testing::{check_gradient, values, weighted};

    fn check(shape: Shape, kernel: [usize; 2], stride: usize, padding: Padding, out: [usize; 2]) {
        let patches = Patches { shape, kernel, stride, padding, columns: out[1] };
        let conv = Conv { patches, outputs: 3, places: out[0] * out[1] };
        let items = 2;
        let (w, b) = (values(3 * patches.len(), 1), values(3, 2));
        let (x, up) = (values(items * shape.len(), 3), values(items * conv.places * 3, 4));
        let mut room = vec![7.0; conv.room(items)];
        let mut run = |w: &[f64], b: &[f64], x: &[f64]| {
            let mut y = vec![0.0; up.len()];
            conv.forward(w, b, x, &mut y, &mut room).unwrap();
            y
        };
        // Against the definition.
        let y = run(&w, &b, &x);
        let (left, top) = (usize::from(padding.left), usize::from(padding.top));
        for (at, got) in y.iter().enumerate() {
            let (item, p, o) = (at / 3 / conv.places, at / 3 % conv.places, at % 3);
            let (row, column) = (p / out[1] * stride, p % out[1] * stride);
            let mut want = b[o];
            for k in 0..kernel[0] * kernel[1] {
                let (r, c) = (row + k / kernel[1], column + k % kernel[1]);
                if r < top || c < left || r - top >= shape.height || c - left >= shape.width {
                    continue;
                }
                let place = (r - top) * shape.width + c - left;
                for i in 0..shape.channels {
                    let from = item * shape.len() + place * shape.channels + i;
                    want += w[o * patches.len() + k * shape.channels + i] * x[from];
                }
            }
            assert!((got - want).abs() < 1e-12, "{at}: {got} {want}");
        }
        let (mut dw, mut db, mut dx) = (vec![0.0; w.len()], vec![0.0; 3], vec![9.0; x.len()]);
        let mut room = vec![5.0; conv.room(items)];
        conv.backward(&w, &x, &up, (&mut dw, &mut db), Some(&mut dx), &mut room);
        check_gradient(&w, &dw, |w| weighted(&run(w, &b, &x), &up));
        check_gradient(&b, &db, |b| weighted(&run(&w, b, &x), &up));
        check_gradient(&x, &dx, |x| weighted(&run(&w, &b, x), &up));
    }

    #[test]
    fn gradients_and_values() {
        let series = Shape::series(6, 2);
        check(series, [1, 5], 1, Padding::series(2, 2), [1, 6]);
        // So many places that the input's gradient is a convolution too.
        check(Shape::series(40, 2), [1, 3], 1, Padding::series(1, 1), [1, 40]);
        check(Shape::series(40, 2), [1, 2], 1, Padding::series(1, 0), [1, 40]);
        check(Shape { height: 9, width: 10, channels: 2 }, [3, 3], 1, Padding::all(1), [9, 10]);
        check(Shape { height: 9, width: 12, channels: 2 }, [3, 2], 1, Padding::series(1, 1), [7, 13]);
        check(series, [1, 3], 2, Padding::series(1, 1), [1, 3]);
        check(series, [1, 2], 1, Padding::series(1, 0), [1, 6]);
        check(series, [1, 2], 1, Padding::series(0, 1), [1, 6]);
        check(series, [1, 1], 1, Padding::default(), [1, 6]);
        check(Shape::vector(5), [1, 1], 1, Padding::default(), [1, 1]);
        let image = Shape { height: 4, width: 6, channels: 2 };
        check(image, [3, 3], 1, Padding::all(1), [4, 6]);
        check(image, [3, 3], 2, Padding::all(1), [2, 3]);
        // Taps that lie in the padding alone.
        check(Shape::series(1, 2), [1, 5], 1, Padding::series(2, 2), [1, 1]);
        check(Shape::series(2, 2), [1, 7], 1, Padding::series(3, 3), [1, 2]);
    }
}
