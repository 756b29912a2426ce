//! A run's account of its blocks, kept in the workspace's spans: what is asked for is a row of the call.

use super::blocks::Block;
use crate::denoiser::Span;

/// How far a lane of a block has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing is there (yet, or any more).
    #[default]
    Empty,
    /// It waits for the network at its node.
    Due,
    /// It is through: a next start with its output, a fine run at its block's end, a guess of the plan's end.
    Ready,
}

/// One of a block's two lanes: the next start, or the fine run from the start before. An item has one more, its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lane {
    pub(super) stage: Stage,
    /// The node of its newest state.
    pub(super) node: usize,
    /// The start is final.
    pub(super) settled: bool,
    /// In its sweep, neither this start nor one before it has changed by more than the tolerance.
    pub(super) calm: bool,
}

/// Which lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// The next start of a block.
    Next(usize),
    /// The fine run of a block.
    Fine(usize),
    /// The end of the plan.
    End,
}

/// The spans: first one per block, which holds its nodes; then for each item the two lanes of every block, and its end.
#[derive(Debug)]
pub(super) struct Lanes<'r> {
    blocks: &'r mut [Span],
    lanes: &'r mut [Span],
}

const SETTLED: usize = 4;
const CALM: usize = 8;

/// The lanes of an item.
const fn of_item(blocks: usize) -> usize {
    blocks.saturating_mul(2).saturating_add(1)
}

impl<'r> Lanes<'r> {
    /// The spans that a run takes.
    pub(super) const fn need(blocks: usize, batch: usize) -> usize {
        of_item(blocks).saturating_mul(batch).saturating_add(blocks)
    }

    /// Empty lanes; `None` where there are too few spans.
    pub(super) fn new(spans: &'r mut [Span], blocks: usize, batch: usize) -> Option<Self> {
        let spans = spans.get_mut(..Self::need(blocks, batch))?;
        let (blocks, lanes) = spans.split_at_mut_checked(blocks)?;
        let width = of_item(blocks.len());
        for (i, span) in lanes.iter_mut().enumerate() {
            let item = i.checked_div(width).unwrap_or(0);
            let of_block = i % width < width - 1;
            *span = Span { first_item: item, items: usize::from(of_block), ..Span::default() };
        }
        Some(Self { blocks, lanes })
    }

    pub(super) fn set_block(&mut self, i: usize, block: &Block) {
        if let Some(span) = self.blocks.get_mut(i) {
            let (first_node, end_node) = (block.nodes.start, block.nodes.end);
            *span = Span { first_node, end_node, seen: block.asked, ..Span::default() };
        }
    }

    pub(super) fn block(&self, i: usize) -> Block {
        self.blocks.get(i).map_or(Block { nodes: 0..0, asked: 0 }, |span| Block {
            nodes: span.first_node..span.end_node,
            asked: span.seen,
        })
    }

    pub(super) const fn blocks(&self) -> usize {
        self.blocks.len()
    }

    pub(super) const fn items(&self) -> usize {
        self.lanes.len() / of_item(self.blocks.len())
    }

    /// The spans of a call.
    pub(super) const fn spans(&self) -> &[Span] {
        self.lanes
    }

    /// The item and the lane that span `i` of a call is of, where it has a row.
    pub(super) fn asked(&self, i: usize) -> Option<(usize, At)> {
        let span = self.lanes.get(i).filter(|span| span.first_node < span.end_node)?;
        let within = i % of_item(self.blocks.len());
        let at = if within % 2 == 0 { At::Next(within / 2) } else { At::Fine(within / 2) };
        Some((span.first_item, at))
    }

    fn place(&self, item: usize, at: At) -> usize {
        let within = match at {
            At::Next(block) => 2 * block,
            At::Fine(block) => 2 * block + 1,
            At::End => 2 * self.blocks.len(),
        };
        item * of_item(self.blocks.len()) + within
    }

    pub(super) fn get(&self, item: usize, at: At) -> Lane {
        let Some(span) = self.lanes.get(self.place(item, at)) else { return Lane::default() };
        let stage = match span.seen % SETTLED {
            0 => Stage::Empty,
            1 => Stage::Due,
            _ => Stage::Ready,
        };
        let (settled, calm) = (span.seen & SETTLED > 0, span.seen & CALM > 0);
        Lane { stage, node: span.first_node, settled, calm }
    }

    /// What is set is not asked for.
    pub(super) fn set(&mut self, item: usize, at: At, lane: Lane) {
        let place = self.place(item, at);
        let Some(span) = self.lanes.get_mut(place) else { return };
        let stage = match lane.stage {
            Stage::Empty => 0,
            Stage::Due => 1,
            Stage::Ready => 2,
        };
        let seen = stage + SETTLED * usize::from(lane.settled) + CALM * usize::from(lane.calm);
        *span = Span { first_node: lane.node, end_node: lane.node, seen, ..*span };
    }

    /// Asks for an item's rows: of what is due, the fine runs only where `fine`.
    pub(super) fn ask(&mut self, item: usize, fine: bool) {
        for block in 0..self.blocks.len() {
            for at in [At::Next(block), At::Fine(block)] {
                let due = self.get(item, at).stage == Stage::Due && (fine || at == At::Next(block));
                let place = self.place(item, at);
                if let Some(span) = self.lanes.get_mut(place) {
                    span.end_node = span.first_node + usize::from(due);
                }
            }
        }
    }

    /// Whether any of an item's blocks has such a lane.
    pub(super) fn any(&self, item: usize, lane: impl Fn(usize) -> At, is: impl Fn(Lane) -> bool) -> bool {
        (0..self.blocks.len()).any(|block| is(self.get(item, lane(block))))
    }

    /// Empties the lanes of an item's first blocks: their work is done.
    pub(super) fn retire(&mut self, item: usize, blocks: usize) {
        for block in 0..blocks.min(self.blocks.len()) {
            for at in [At::Next(block), At::Fine(block)] {
                self.set(item, at, Lane::default());
            }
        }
    }

    /// The item's sample is there.
    pub(super) fn is_done(&self, item: usize) -> bool {
        self.get(item, At::End).settled
    }

    /// The node whose state is the newest final one of an item.
    pub(super) fn done(&self, item: usize) -> usize {
        let settled = |block: &usize| {
            self.get(item, At::Next(*block)).settled || self.get(item, At::Fine(*block)).settled
        };
        match (0..self.blocks.len()).find(settled) {
            Some(block) if !self.is_done(item) => self.block(block).nodes.start,
            _ => self.block(self.blocks.len().saturating_sub(1)).nodes.end,
        }
    }
}
