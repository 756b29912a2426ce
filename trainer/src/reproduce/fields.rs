//! How near sampled fields are to the data's, by measures of different kinds.

use crate::metrics::GaussianKernel;
use serde_json::{Value, json};
use std::f64::consts::PI;

/// Fields of an item.
const FIELDS: usize = 2;
/// Blocks a side.
const BLOCKS: usize = 4;
/// Block means of an item.
const MEANS: usize = FIELDS * BLOCKS * BLOCKS;

/// Fields of the data, `[n, cells, cells, 2]` in standardised coordinates, to compare samples with.
///
/// Permeabilities and pressures have long tails: of data against data, second moments and what is made of them (a Frechet distance,
/// mean spectra) are as far apart as samples are. So all measures here are bounded in each item.
pub(super) struct Fields {
    cells: usize,
    blocks: Vec<f32>,
    /// Each cell's values in order, and each ring's.
    values: Columns,
    rings: Columns,
}

impl Fields {
    pub(super) fn new(data: &[f32], cells: usize) -> Self {
        let values = Columns::of(data, FIELDS * cells * cells);
        let (rings, count) = rings(data, cells);
        Self { cells, blocks: blocks(data, cells), values, rings: Columns::of(&rings, count) }
    }

    /// A row of figures on samples of the same shape:
    ///
    /// - `mmd`, `mmd_error`: the MMD^2 of 4 by 4 block means of both fields (Gaussian kernel, bandwidth 16), which sees how
    ///   cells go together;
    /// - `cells_ks`: the Kolmogorov-Smirnov distance of a cell's values, mean over cells and fields;
    /// - `spectrum_ks`: that of the energy in rings of cosine waves `k - 1/2 <= |(i, j)| < k + 1/2`, mean over k from 1 and fields.
    pub(super) fn judge(&self, samples: &[f32]) -> anyhow::Result<Value> {
        let means = blocks(samples, self.cells);
        let mmd = GaussianKernel::new((BLOCKS * BLOCKS) as f64)?.mmd(&means, &self.blocks, MEANS)?;
        let (rings, count) = rings(samples, self.cells);
        Ok(json!({
            "mmd": mmd.value, "mmd_error": mmd.standard_error,
            "cells_ks": Columns::of(samples, FIELDS * self.cells * self.cells).distance(&self.values),
            "spectrum_ks": Columns::of(&rings, count).distance(&self.rings),
        }))
    }
}

/// The values of each coordinate, in order.
struct Columns(Vec<Vec<f32>>);

impl Columns {
    fn of(items: &[f32], dim: usize) -> Self {
        let column = |i: usize| {
            let mut values: Vec<f32> = items.iter().skip(i).step_by(dim).copied().collect();
            values.sort_by(f32::total_cmp);
            values
        };
        Self((0..dim).map(column).collect())
    }

    /// The mean over coordinates of the largest difference between the shares of values below a bound.
    fn distance(&self, other: &Self) -> f64 {
        let each = self.0.iter().zip(&other.0).map(|(a, b)| kolmogorov_smirnov(a, b));
        each.sum::<f64>() / self.0.len() as f64
    }
}

fn kolmogorov_smirnov(a: &[f32], b: &[f32]) -> f64 {
    let (mut i, mut j, mut most) = (0, 0, 0.0f64);
    while i < a.len() && j < b.len() {
        let bound = a[i].min(b[j]);
        i += a[i..].iter().take_while(|a| **a <= bound).count();
        j += b[j..].iter().take_while(|b| **b <= bound).count();
        most = most.max((i as f64 / a.len() as f64 - j as f64 / b.len() as f64).abs());
    }
    most
}

/// Each item's energies in rings of cosine waves, [n, fields, rings], and how many those are of both fields: sums of squares of
/// the orthonormal cosine transform over cells.
fn rings(items: &[f32], cells: usize) -> (Vec<f32>, usize) {
    let wave = |k: usize, i: usize| {
        let norm = if k == 0 { 1.0 } else { 2.0 } / cells as f64;
        (norm.sqrt() * (PI * k as f64 * (i as f64 + 0.5) / cells as f64).cos()) as f32
    };
    let waves: Vec<f32> = (0..cells * cells).map(|at| wave(at / cells, at % cells)).collect();
    let ring = |i: usize, j: usize| ((i * i + j * j) as f64).sqrt().round() as usize;
    let count = ring(cells - 1, cells - 1);
    let dim = FIELDS * cells * cells;
    let mut out = vec![0.0; items.len() / dim * FIELDS * count];
    let mut half = vec![0.0f32; cells * cells];
    for (item, out) in items.chunks_exact(dim).zip(out.chunks_exact_mut(FIELDS * count)) {
        for (field, out) in out.chunks_exact_mut(count).enumerate() {
            // half[i, b] = sum_a wave_i(a) x[a, b]; the transform is half times the waves' transpose.
            for (half, wave) in half.chunks_exact_mut(cells).zip(waves.chunks_exact(cells)) {
                half.fill(0.0);
                for (line, wave) in item.chunks_exact(FIELDS * cells).zip(wave) {
                    for (half, x) in half.iter_mut().zip(line.iter().skip(field).step_by(FIELDS)) {
                        *half += wave * x;
                    }
                }
            }
            for (i, half) in half.chunks_exact(cells).enumerate() {
                for (j, wave) in waves.chunks_exact(cells).enumerate().filter(|(j, _)| i + j > 0) {
                    let value: f32 = half.iter().zip(wave).map(|(a, b)| a * b).sum();
                    out[ring(i, j) - 1] += value * value;
                }
            }
        }
    }
    (out, FIELDS * count)
}

/// Means over [`BLOCKS`] by [`BLOCKS`] blocks of both fields of each item.
fn blocks(items: &[f32], cells: usize) -> Vec<f32> {
    let side = cells / BLOCKS;
    let share = 1.0 / (side * side) as f32;
    let mut out = vec![0.0; items.len() / (FIELDS * cells * cells) * MEANS];
    for (item, out) in items.chunks_exact(FIELDS * cells * cells).zip(out.chunks_exact_mut(MEANS)) {
        for (cell, pair) in item.chunks_exact(FIELDS).enumerate() {
            let block = cell / cells / side * BLOCKS + cell % cells / side;
            for (sum, value) in out[FIELDS * block..].iter_mut().zip(pair) {
                *sum += value * share;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn block_means() {
        // The pressure is the column's block, the permeability the row's.
        let item: Vec<f32> =
            (0..64).flat_map(|cell| [(cell % 8 / 2) as f32, (cell / 8 / 2) as f32]).collect();
        let means = blocks(&item, 8);
        assert_eq!(means.len(), 32);
        for (block, pair) in means.chunks(2).enumerate() {
            assert_eq!(pair, [(block % 4) as f32, (block / 4) as f32]);
        }
    }

    #[test]
    fn rings_hold_the_energy_of_their_waves() {
        // A constant, and a wave of (3, 4), whose ring is 5.
        let wave = |k: f64, i: usize| (PI * k * (i as f64 + 0.5) / 8.0).cos();
        let item: Vec<f32> =
            (0..64).flat_map(|c| [1.0, (2.0 * wave(3.0, c / 8) * wave(4.0, c % 8)) as f32]).collect();
        let (rings, count) = rings(&item, 8);
        let at = count / 2 + 4;
        assert_eq!(rings.len(), count);
        // 64 cells of mean square 1.
        assert!((rings[at] - 64.0).abs() < 1e-3, "{rings:?}");
        assert!(rings.iter().enumerate().all(|(i, e)| i == at || *e < 1e-6), "{rings:?}");
    }

    #[test]
    fn the_largest_difference_of_shares() {
        assert_eq!(kolmogorov_smirnov(&[1.0, 2.0], &[3.0, 4.0, 5.0]), 1.0);
        assert_eq!(kolmogorov_smirnov(&[1.0, 2.0], &[1.0, 2.0]), 0.0);
        assert_eq!(kolmogorov_smirnov(&[1.0, 2.0, 3.0, 4.0], &[1.5, 3.5]), 0.25);
        assert_eq!(kolmogorov_smirnov(&[2.0, 2.0], &[1.0, 2.0]), 0.5);
    }

    #[test]
    fn each_measure_sees_what_it_is_for() {
        let draw = |seed| {
            let mut x = vec![0.0f32; 300 * 128];
            Rng::new(seed, 0).fill_normal(&mut x);
            x
        };
        let fields = Fields::new(&draw(1), 8);
        let figure = |x: &[f32], key: &str| fields.judge(x).unwrap()[key].as_f64().unwrap();
        let same = draw(2);
        let shifted: Vec<f32> = same.iter().map(|x| x + 0.5).collect();
        let wide: Vec<f32> = same.iter().map(|x| x * 1.5).collect();
        for (x, keys) in [(&shifted, &["mmd", "cells_ks"][..]), (&wide, &["cells_ks", "spectrum_ks"][..])] {
            for key in keys {
                assert!(figure(x, key) > 1.5 * figure(&same, key).abs(), "{key}");
            }
        }
    }
}
