//! Attention of all places to all.

use picardy::nn::{Kernel, dispatch, dot};

use super::Element;

/// The sizes of [`picardy::nn::attention`].
#[derive(Debug, Clone, Copy)]
pub struct Attention {
    /// Heads.
    pub heads: usize,
    /// Places of an item.
    pub places: usize,
    /// Channels of the output.
    pub channels: usize,
}

/// What the backward pass reads of the forward one, for one item.
#[derive(Debug, Clone, Copy)]
pub struct AttentionBuffers<'a, T> {
    /// The input [places, 3 channels].
    pub qkv: &'a [T],
    /// The softmax [heads, places, places].
    pub scores: &'a [T],
}

impl Attention {
    /// The gradient of one item's qkv, from that of the output dy [places, channels]. With P the softmax, d a head's channels:
    ///
    /// ```text
    /// dv = P^T dy,   dP = dy v^T,   dS = P (dP - sum_j P dP) / sqrt(d),   dq = dS k,   dk = dS^T q
    /// ```
    pub fn backward<T: Element>(&self, kept: AttentionBuffers<'_, T>, dy: &[T], dqkv: &mut [T]) {
        dispatch(Backward { sizes: *self, kept, dy, dqkv });
    }
}

struct Backward<'a, T> {
    sizes: Attention,
    kept: AttentionBuffers<'a, T>,
    dy: &'a [T],
    dqkv: &'a mut [T],
}

impl<T: Element> Kernel for Backward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { sizes: Attention { heads, places, channels }, kept, dy, dqkv } = self;
        let AttentionBuffers { qkv, scores } = kept;
        let d = channels / heads;
        let scale = T::ONE / T::from_f64(d as f64).sqrt();
        let at = |place: usize, which: usize, head: usize| place * 3 * channels + which * channels + head * d;
        dqkv.fill(T::ZERO);
        for head in 0..heads {
            for i in 0..places {
                let row = &scores[(head * places + i) * places..][..places];
                let dy = &dy[i * channels + head * d..][..d];
                let mut mean = T::ZERO;
                for (j, &p) in row.iter().enumerate() {
                    mean += p * dot(dy, &qkv[at(j, 2, head)..][..d]);
                    add_scaled(p, dy, &mut dqkv[at(j, 2, head)..][..d]);
                }
                for (j, &p) in row.iter().enumerate() {
                    let ds = scale * p * (dot(dy, &qkv[at(j, 2, head)..][..d]) - mean);
                    add_scaled(ds, &qkv[at(j, 1, head)..][..d], &mut dqkv[at(i, 0, head)..][..d]);
                    add_scaled(ds, &qkv[at(i, 0, head)..][..d], &mut dqkv[at(j, 1, head)..][..d]);
                }
            }
        }
    }
}

#[inline(always)]
fn add_scaled<T: Element>(factor: T, x: &[T], y: &mut [T]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y += factor * x;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::testing::{check_gradient, values, weighted};

    #[test]
    fn gradient_and_values() {
        let (places, channels, heads) = (5, 6, 2);
        let (qkv, up) = (values(places * 18, 1), values(places * channels, 2));
        let run = |qkv: &[f64]| {
            let (mut scores, mut y) = (vec![0.0; heads * places * places], vec![0.0; places * channels]);
            picardy::nn::attention(qkv, heads, &mut scores, &mut y, places).unwrap();
            (y, scores)
        };
        let (y, scores) = run(&qkv);
        // One number of the output by the definition: place 1, head 1, its second channel.
        let part = |place: usize, which: usize| &qkv[place * 18 + which * 6 + 3..][..3];
        let logits: Vec<f64> =
            (0..places).map(|j| weighted(part(1, 0), part(j, 1)) / 3f64.sqrt()).map(f64::exp).collect();
        let sum: f64 = logits.iter().sum();
        let want: f64 = logits.iter().enumerate().map(|(j, p)| p / sum * part(j, 2)[1]).sum();
        assert!((y[channels + 4] - want).abs() < 1e-12);
        let mut gradient = vec![4.0; qkv.len()];
        let attention = Attention { heads, places, channels };
        attention.backward(AttentionBuffers { qkv: &qkv, scores: &scores }, &up, &mut gradient);
        check_gradient(&qkv, &gradient, |qkv| weighted(&run(qkv).0, &up));
    }
}
