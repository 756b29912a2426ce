//! Attention of all places of an item to all (arXiv 1706.03762).

use super::shape::{self, ShapeError};
use super::{Kernel, Scalar, dispatch, dot};

/// `y = softmax(q k^T / sqrt(d)) v` for each head of d channels.
///
/// qkv is [places, 3 channels]: all heads' queries, then their keys, then their values. y is [places, channels], and
/// `scores` [heads, places, places] becomes the softmax.
///
/// # Errors
///
/// [`ShapeError`] where the lengths do not fit.
pub fn attention<T: Scalar>(
    qkv: &[T],
    heads: usize,
    scores: &mut [T],
    y: &mut [T],
    places: usize,
) -> Result<(), ShapeError> {
    let channels = shape::rows("y", y.len(), places)?;
    shape::expect("qkv", 3 * y.len(), qkv.len())?;
    if heads == 0 || channels % heads != 0 {
        return Err(ShapeError { argument: "y", expected: heads, got: channels });
    }
    shape::expect("scores", heads * places * places, scores.len())?;
    dispatch(Attention { qkv, heads, scores, y, places });
    Ok(())
}

struct Attention<'a, T> {
    qkv: &'a [T],
    heads: usize,
    scores: &'a mut [T],
    y: &'a mut [T],
    places: usize,
}

impl<T: Scalar> Kernel for Attention<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { qkv, heads, scores, y, places } = self;
        let channels = y.len() / places;
        let d = channels / heads;
        let scale = T::ONE / T::from_f64(d as f64).sqrt();
        let part = |place: usize, which: usize, head: usize| {
            let at = place * 3 * channels + which * channels + head * d;
            &qkv[at..at + d]
        };
        for head in 0..heads {
            for i in 0..places {
                let row = &mut scores[(head * places + i) * places..][..places];
                let query = part(i, 0, head);
                for (j, score) in row.iter_mut().enumerate() {
                    *score = scale * dot(query, part(j, 1, head));
                }
                softmax(row);
                let out = &mut y[i * channels + head * d..][..d];
                out.fill(T::ZERO);
                for (j, &weight) in row.iter().enumerate() {
                    for (out, &value) in out.iter_mut().zip(part(j, 2, head)) {
                        *out += weight * value;
                    }
                }
            }
        }
    }
}

/// `x_i <- e^(x_i - max) / sum`.
#[inline(always)]
fn softmax<T: Scalar>(x: &mut [T]) {
    let mut most = x[0];
    for &x in x.iter() {
        most = if x > most { x } else { most };
    }
    let mut sum = T::ZERO;
    for x in x.iter_mut() {
        *x = (*x - most).exp();
        sum += *x;
    }
    let scale = T::ONE / sum;
    for x in x.iter_mut() {
        *x *= scale;
    }
}
