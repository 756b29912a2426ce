//! Chains as lower-triangular products, in two levels.
//!
//! A link is `x_k = sum_b carry[k, b] x_{k-1-b} + u_k`, `b < r`. In a block of links, with `e` the last `r` rows before it
//! (the newest first),
//!
//! ```text
//! x = W u + F e             W [block, block] lower triangular, F [block, r]
//! ```
//!
//! and the last `r` rows of a block are the next one's `e`. So all `e` of a chain are one more lower-triangular product, of the
//! last rows of the blocks' `W u`.

use super::program::Chain;

/// Chains of one length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ChainForm {
    /// The links of a block.
    pub(super) block: usize,
    /// The blocks of a chain.
    pub(super) blocks: usize,
    /// How many links a link goes back.
    pub(super) carries: usize,
}

impl ChainForm {
    pub(super) fn of(chains: &[Chain]) -> Option<Self> {
        let links = chains.iter().map(Vec::len).max()?;
        let reach =
            |carries: &[f64]| carries.iter().rposition(|carry| *carry != 0.0).map_or(1, |last| last + 1);
        let carries = chains.iter().flatten().map(|(carries, _)| reach(carries)).max()?;
        // Blocks of about the square root: their triangles and the ends' are then as large. Of few sizes, so that
        // windows of nearly the same length share a graph. A link reaches no further back than the block before.
        let block = ((links as f64).sqrt().ceil() as usize).max(carries).next_power_of_two();
        Some(Self { block, blocks: links.div_ceil(block), carries })
    }
}

/// The factors of some chains, one after the other, row-major.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Triangles {
    /// `W`, `[chains * blocks, block, block]`.
    pub(super) within: Vec<f32>,
    /// From the last rows of all blocks to `e` of all blocks, `[chains, blocks * r, blocks * r]`.
    pub(super) across: Vec<f32>,
    /// `F`, `[chains * blocks, block, r]`.
    pub(super) from: Vec<f32>,
}

impl Triangles {
    pub(super) fn of(chains: &[Chain], form: ChainForm) -> Self {
        let mut all = Self::default();
        for chain in chains {
            all.add(chain, form);
        }
        all
    }

    fn add(&mut self, chain: &Chain, ChainForm { block, blocks, carries: r }: ChainForm) {
        let carry = |link: usize, b: usize| chain.get(link).map_or(0.0, |(carries, _)| carries[b]);
        // What becomes of e from one block to the next, `[r, r]` each.
        let mut passes = Vec::with_capacity(blocks);
        for first in (0..blocks).map(|b| b * block) {
            // Columns of W, and of F: what one u, or one row of e, does to the rows of the block.
            let respond = |start: usize, x: &mut [f64], e: &[f64]| {
                for k in start..block {
                    for b in 0..r {
                        let before = if b < k { x[k - 1 - b] } else { e.get(b - k).copied().unwrap_or(0.0) };
                        x[k] += carry(first + k, b) * before;
                    }
                }
            };
            let mut within = vec![0.0; block * block];
            let mut from = vec![0.0; block * r];
            for i in 0..block {
                let mut x = vec![0.0; block];
                x[i] = 1.0;
                respond(i + 1, &mut x, &[]);
                (0..block).for_each(|k| within[k * block + i] = x[k]);
            }
            for q in 0..r {
                let (mut x, mut e) = (vec![0.0; block], vec![0.0; r]);
                e[q] = 1.0;
                respond(0, &mut x, &e);
                (0..block).for_each(|k| from[k * r + q] = x[k]);
            }
            let last = |q: usize| &from[(block - 1 - q) * r..][..r];
            passes.push((0..r).flat_map(last).copied().collect::<Vec<f64>>());
            self.within.extend(within.iter().map(|w| *w as f32));
            self.from.extend(from.iter().map(|f| *f as f32));
        }
        // e of block `to` has the last rows of each block before it, passed on by those between.
        let ends = blocks * r;
        let mut across = vec![0.0; ends * ends];
        for from in 0..blocks {
            let mut passed: Vec<f64> = (0..r * r).map(|i| f64::from(u8::from(i / r == i % r))).collect();
            for to in from + 1..blocks {
                for (q, row) in passed.chunks(r).enumerate() {
                    across[(to * r + q) * ends + from * r..][..r].copy_from_slice(row);
                }
                passed = product(&passes[to], &passed, r);
            }
        }
        self.across.extend(across.iter().map(|a| *a as f32));
    }
}

/// Of square matrices.
fn product(a: &[f64], b: &[f64], n: usize) -> Vec<f64> {
    let entry = |i: usize| (0..n).map(|k| a[i / n * n + k] * b[k * n + i % n]).sum();
    (0..n * n).map(entry).collect()
}

#[cfg(test)]
mod tests {
    use picardy::MAX_CARRIES;

    use super::{super::program::Affine, *};

    /// The rows of a chain whose terms are `u`, by the triangles.
    fn by_triangles(triangles: &Triangles, form: ChainForm, u: &[f64]) -> Vec<f64> {
        let ChainForm { block, blocks, carries: r } = form;
        let number = |values: &[f32], i: usize| f64::from(values[i]);
        let mut padded = u.to_vec();
        padded.resize(block * blocks, 0.0);
        let local: Vec<f64> = (0..block * blocks)
            .map(|k| {
                (0..block)
                    .map(|i| number(&triangles.within, k * block + i) * padded[k / block * block + i])
                    .sum()
            })
            .collect();
        let ends = blocks * r;
        let end = |i: usize| local[i / r * block + block - 1 - i % r];
        let e: Vec<f64> = (0..ends)
            .map(|i| (0..ends).map(|j| number(&triangles.across, i * ends + j) * end(j)).sum())
            .collect();
        let carried = |k: usize| -> f64 {
            (0..r).map(|q| number(&triangles.from, k * r + q) * e[k / block * r + q]).sum()
        };
        (0..u.len()).map(|k| local[k] + carried(k)).collect()
    }

    #[test]
    fn the_triangles_are_the_recurrence() {
        for (links, reach) in [(1, 1), (2, 2), (3, 4), (7, 1), (16, 2), (50, 3), (101, 4), (100, 1)] {
            let weight = |k: usize, b: usize| ((k * 7 + b * 3) % 11) as f64 / 11.0 - 0.4;
            let chain: Chain = (0..links)
                .map(|k| {
                    let mut carries = [0.0; MAX_CARRIES];
                    // The first links have no rows before.
                    (0..reach.min(k)).for_each(|b| carries[b] = weight(k, b));
                    (carries, Affine { dst: k, terms: Vec::new() })
                })
                .collect();
            let u: Vec<f64> = (0..links).map(|k| (k as f64).sin()).collect();
            let mut want: Vec<f64> = Vec::new();
            for (k, u) in u.iter().enumerate() {
                let before: f64 = (0..reach.min(k)).map(|b| weight(k, b) * want[k - 1 - b]).sum();
                want.push(before + u);
            }
            let chains = [chain];
            let form = ChainForm::of(&chains).unwrap();
            assert_eq!(form.carries, reach.min(links - 1).max(1));
            let got = by_triangles(&Triangles::of(&chains, form), form, &u);
            let most = want.iter().fold(1.0, |most: f64, x| most.max(x.abs()));
            for (k, (got, want)) in got.iter().zip(&want).enumerate() {
                assert!((got - want).abs() < 1e-5 * most, "{links} links, {reach} back, {k}: {got} {want}");
            }
        }
    }
}
