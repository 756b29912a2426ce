//! Group normalisation (arXiv 1803.08494).

use super::layer_norm::EPSILON;
use super::shape::{self, ShapeError};
use super::simd::LANES;
use super::{Kernel, Scalar, dispatch};

/// `y = (x - mean) / sqrt(var + 1e-5) * weight + bias` for one item of places and channels, mean and (biased) variance those
/// of a group of channels over all places.
///
/// x and y are [places, channels], weight and bias `[channels]`; `stats` [groups, 2] becomes each group's mean and
/// reciprocal deviation. The channels are as many for each group.
///
/// # Errors
///
/// [`ShapeError`] where the lengths do not fit.
pub fn group_norm<T: Scalar>(
    x: &[T],
    weight: &[T],
    bias: &[T],
    y: &mut [T],
    stats: &mut [T],
) -> Result<(), ShapeError> {
    shape::rows("x", x.len(), weight.len())?;
    shape::expect("bias", weight.len(), bias.len())?;
    shape::expect("y", x.len(), y.len())?;
    let groups = shape::rows("stats", stats.len(), 2)?;
    if groups == 0 || weight.len() % groups != 0 {
        return Err(ShapeError { argument: "weight", expected: groups, got: weight.len() });
    }
    dispatch(GroupNorm { x, weight, bias, y, stats });
    Ok(())
}

struct GroupNorm<'a, T> {
    x: &'a [T],
    weight: &'a [T],
    bias: &'a [T],
    y: &'a mut [T],
    stats: &'a mut [T],
}

impl<T: Scalar> Kernel for GroupNorm<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { x, weight, bias, y, stats } = self;
        let channels = weight.len();
        let per = channels / (stats.len() / 2);
        let count = T::ONE / T::from_f64((x.len() / channels * per) as f64);
        let epsilon = T::from_f64(EPSILON);
        for slot in stats.iter_mut() {
            *slot = T::ZERO;
        }
        // Channels in lanes: their sums over the places, then each to its group's.
        each_lanes(channels, |first, n| {
            let sums = column_sums(x, channels, first, n, |_, x| x);
            for (lane, &sum) in sums.iter().enumerate().take(n) {
                stats[2 * ((first + lane) / per)] += sum;
            }
        });
        for group in stats.chunks_exact_mut(2) {
            group[0] *= count;
        }
        each_lanes(channels, |first, n| {
            let mut means = [T::ZERO; LANES];
            for (lane, mean) in means.iter_mut().enumerate().take(n) {
                *mean = stats[2 * ((first + lane) / per)];
            }
            let sums = column_sums(x, channels, first, n, |lane, x| {
                let d = x - means[lane];
                d * d
            });
            for (lane, &sum) in sums.iter().enumerate().take(n) {
                stats[2 * ((first + lane) / per) + 1] += sum;
            }
        });
        for group in stats.chunks_exact_mut(2) {
            group[1] = T::ONE / (group[1] * count + epsilon).sqrt();
        }
        each_lanes(channels, |first, n| {
            let (mut means, mut scales, mut shifts) = ([T::ZERO; LANES], [T::ZERO; LANES], [T::ZERO; LANES]);
            for lane in 0..n {
                let group = (first + lane) / per;
                means[lane] = stats[2 * group];
                scales[lane] = stats[2 * group + 1] * weight[first + lane];
                shifts[lane] = bias[first + lane];
            }
            for (x, y) in x.chunks_exact(channels).zip(y.chunks_exact_mut(channels)) {
                let (x, y) = (&x[first..first + n], &mut y[first..first + n]);
                if n == LANES {
                    for lane in 0..LANES {
                        y[lane] = (x[lane] - means[lane]) * scales[lane] + shifts[lane];
                    }
                } else {
                    for lane in 0..n {
                        y[lane] = (x[lane] - means[lane]) * scales[lane] + shifts[lane];
                    }
                }
            }
        });
    }
}

/// Calls `visit` with the first channel and the number of each set of at most [`LANES`].
#[inline(always)]
pub(crate) fn each_lanes(channels: usize, mut visit: impl FnMut(usize, usize)) {
    let mut first = 0;
    while first < channels {
        let n = LANES.min(channels - first);
        visit(first, n);
        first += n;
    }
}

/// The sums over places of `value` of `n` channels from `first` on.
#[inline(always)]
fn column_sums<T: Scalar>(
    x: &[T],
    channels: usize,
    first: usize,
    n: usize,
    value: impl Fn(usize, T) -> T,
) -> [T; LANES] {
    let mut sums = [T::ZERO; LANES];
    for place in x.chunks_exact(channels) {
        let place = &place[first..first + n];
        if n == LANES {
            for lane in 0..LANES {
                sums[lane] += value(lane, place[lane]);
            }
        } else {
            for lane in 0..n {
                sums[lane] += value(lane, place[lane]);
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::group_norm;

    #[test]
    fn equals_the_definition_for_any_groups() {
        for (places, channels, groups) in [(1, 4, 2), (5, 12, 3), (7, 16, 2), (3, 20, 20), (4, 9, 1)] {
            let value = |i: usize| ((i * 7919) % 1009) as f64 / 100.0 - 3.0;
            let (mut x, mut y, mut stats) = ([0.0; 128], [0.0; 128], [0.0; 40]);
            let (mut w, mut b) = ([0.0; 20], [0.0; 20]);
            x.iter_mut().enumerate().for_each(|(i, v)| *v = value(i));
            w.iter_mut().enumerate().for_each(|(i, v)| *v = value(i + 300));
            b.iter_mut().enumerate().for_each(|(i, v)| *v = value(i + 500));
            let len = places * channels;
            let (w, b) = (&w[..channels], &b[..channels]);
            group_norm(&x[..len], w, b, &mut y[..len], &mut stats[..2 * groups]).unwrap();
            let per = channels / groups;
            for at in 0..len {
                let group = at % channels / per;
                let mine = || (0..len).filter(|i| i % channels / per == group).map(|i| x[i]);
                let n = (places * per) as f64;
                let mean = mine().sum::<f64>() / n;
                let variance = mine().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
                let want = (x[at] - mean) / libm::sqrt(variance + 1e-5) * w[at % channels] + b[at % channels];
                assert!((y[at] - want).abs() < 1e-9, "{places} {channels} {groups}: {} {want}", y[at]);
            }
        }
        assert!(group_norm(&[1.0; 4], &[1.0; 4], &[0.0; 4], &mut [0.0; 4], &mut [0.0; 6]).is_err());
        assert!(group_norm::<f32>(&[], &[], &[], &mut [], &mut []).is_err());
    }
}
