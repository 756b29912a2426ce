//! Convolutions and affine maps, as products with patches.

use picardy::nn::{Patches, ShapeError, linear};

use super::{Element, View, column_sums, gemm, gemm_strided, gemm_tall};

/// Numbers of patches that are multiplied together: long sums for the weight's gradient, and short of the last cache.
const TOGETHER: usize = 256 * 1024;

/// Items from which on the input's gradient is made place by place, with a product of as many rows for each.
const BY_PLACES: usize = 16;

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
        (TOGETHER / self.places.saturating_mul(self.patches.len()).max(1)).max(1)
    }

    /// Numbers of room that a pass over `items` items takes; saturates.
    pub fn room(&self, items: usize) -> usize {
        if self.patches.are_places() {
            return 0;
        }
        let item = self.places.saturating_mul(self.patches.len());
        let patches = |items: usize| self.together().min(items).saturating_mul(item);
        // Of few items the slopes go through patches too, and fewer may come than there is room for.
        patches(items).max(patches(items.min(BY_PLACES - 1)).saturating_mul(2))
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
        let (item, out) = (self.patches.shape.len(), self.places * self.outputs);
        let items = x.len().checked_div(item).unwrap_or(0);
        let lengths = [
            ("weight", self.outputs * patch, weight.len()),
            ("bias", self.outputs, bias.len()),
            ("x", items * item, x.len()),
            ("y", items * out, y.len()),
            ("room", self.room(items), room.len().min(self.room(items))),
        ];
        if let Some((argument, expected, got)) =
            lengths.into_iter().find(|(_, expected, got)| expected != got)
        {
            return Err(ShapeError { argument, expected, got });
        }
        if self.patches.are_places() {
            if self.places == 1 {
                return linear(x, weight, bias, y);
            }
            product(weight, bias, x, patch, y);
            return Ok(());
        }
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
    ///
    /// # Panics
    ///
    /// Where the lengths do not fit; those of [`Conv::forward`] were checked there.
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
        if let Some(dx) = &mut dx {
            dx.fill(T::ZERO);
        }
        if dy.len() / out >= BY_PLACES
            && let Some(dx) = dx.take()
        {
            self.pull_back_places(weight, dy, dx);
        }
        for (i, (x, dy)) in x.chunks(together * item).zip(dy.chunks(together * out)).enumerate() {
            let count = dy.len() / outputs;
            let (rows, back) = room.split_at_mut(count * patch);
            for (x, rows) in x.chunks_exact(item).zip(rows.chunks_exact_mut(self.places * patch)) {
                self.patches.gather(x, 0, rows);
            }
            let slopes = View::new(dy, count, outputs);
            gemm_tall(slopes.transposed(), View::new(rows, count, patch), true, gradients.0);
            let Some(dx) = dx.as_deref_mut() else { continue };
            let dx = &mut dx[i * together * item..][..x.len()];
            let back = &mut back[..count * patch];
            gemm_tall(slopes, all, false, back);
            for (dx, back) in dx.chunks_exact_mut(item).zip(back.chunks_exact(self.places * patch)) {
                self.patches.scatter(back, 0, dx);
            }
        }
    }

    /// dx += what each place's slopes say of the input's places that it was made of. Nothing is copied, and nothing computed for
    /// zeros around the value, which are a third of what small values with large kernels are multiplied with.
    fn pull_back_places<T: Element>(&self, weight: &[T], dy: &[T], dx: &mut [T]) {
        let (patch, outputs) = (self.patches.len(), self.outputs);
        let (item, out) = (self.patches.shape.len(), self.places * outputs);
        let items = dy.len() / out;
        for place in 0..self.places {
            let slopes = View::strided(&dy[place * outputs..], items, outputs, out);
            for (at, from, len) in self.patches.runs(place).filter(|&(_, _, len)| len > 0) {
                let weight = View::strided(&weight[at..], outputs, len, patch);
                gemm_strided(slopes, weight, &mut dx[from..], item);
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

    use super::{BY_PLACES, Conv};
    use crate::op::testing::{check_gradient, values, weighted};

    fn check(shape: Shape, kernel: [usize; 2], stride: usize, padding: Padding, out: [usize; 2]) {
        // The input's gradient by patches, and by places.
        for items in [2, BY_PLACES + 1] {
            check_items(items, Patches { shape, kernel, stride, padding, columns: out[1] }, out[0]);
        }
    }

    fn check_items(items: usize, patches: Patches, height: usize) {
        let Patches { shape, kernel, stride, padding, columns } = patches;
        let conv = Conv { patches, outputs: 3, places: height * columns };
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
            let (row, column) = (p / columns * stride, p % columns * stride);
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
    fn lengths_that_do_not_fit_are_errors() {
        let shape = Shape::series(4, 2);
        let patches =
            Patches { shape, kernel: [1, 3], stride: 1, padding: Padding::series(1, 1), columns: 4 };
        let conv = Conv { patches, outputs: 3, places: 4 };
        let room = conv.room(2);
        let wrong = |weight: usize, bias: usize, x: usize, y: usize, room: usize| {
            let mut y = vec![0.0; y];
            let ones = |len| vec![1.0f64; len];
            conv.forward(&ones(weight), &ones(bias), &ones(x), &mut y, &mut ones(room))
                .err()
                .map(|e| e.argument)
        };
        assert_eq!(wrong(18, 3, 16, 24, room), None);
        assert_eq!(wrong(17, 3, 16, 24, room), Some("weight"));
        assert_eq!(wrong(18, 2, 16, 24, room), Some("bias"));
        assert_eq!(wrong(18, 3, 15, 24, room), Some("x"));
        assert_eq!(wrong(18, 3, 16, 23, room), Some("y"));
        assert_eq!(wrong(18, 3, 16, 24, room - 1), Some("room"));
    }

    #[test]
    fn gradients_and_values() {
        let series = Shape::series(6, 2);
        check(series, [1, 5], 1, Padding::series(2, 2), [1, 6]);
        check(Shape { height: 5, width: 6, channels: 2 }, [3, 2], 1, Padding::series(1, 1), [3, 7]);
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
