//! The items of each step, drawn ahead of it on a thread of their own.

use crate::data::Dataset;
use crate::rng::Rng;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

/// Batches that wait for their step.
const AHEAD: usize = 2;
/// Streams of the generator for training: one per step, after those that data sets use.
const FIRST_STREAM: u64 = 1 << 32;
/// A lot's places in a step's stream: more than the numbers of any batch.
const PLACES: u32 = 40;

/// Whose draws they are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Draws {
    /// Which items, and how they are changed.
    Items,
    /// What the losses draw.
    Noise,
}

/// The generator of a batch: what it draws is a function of all of this alone.
pub(super) fn generator(seed: u64, place: Place, draws: Draws) -> Rng {
    // Up to 2^10 batches a step.
    let lot = place.batch as u64 * 2 + draws as u64;
    Rng::at(seed, FIRST_STREAM + place.step, lot << PLACES)
}

/// A batch among all of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The step, from 0.
    pub(super) step: u64,
    /// The batch among those that the step accumulates, from 0.
    pub(super) batch: usize,
}

impl Place {
    fn next(self, accumulate: usize) -> Self {
        match self.batch + 1 {
            batch if batch < accumulate => Self { batch, ..self },
            _ => Self { step: self.step + 1, batch: 0 },
        }
    }
}

/// The items of a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Drawn {
    /// The items [n, dim].
    pub(super) x0: Vec<f32>,
    /// What the network is told of each [n, condition].
    pub(super) c: Vec<f32>,
    /// Which items they are.
    pub(super) items: Vec<usize>,
}

/// How batches are drawn.
#[derive(Clone, Debug)]
pub(super) struct Drawer {
    pub(super) data: Arc<Dataset>,
    pub(super) seed: u64,
    /// Items of a batch.
    pub(super) items: usize,
    /// Numbers that the network is told.
    pub(super) condition: usize,
    /// Whether images are mirrored.
    pub(super) flip: bool,
    pub(super) accumulate: usize,
}

impl Drawer {
    /// A batch: items drawn with replacement.
    pub(super) fn draw(&self, place: Place) -> Drawn {
        let mut rng = generator(self.seed, place, Draws::Items);
        let items: Vec<usize> = (0..self.items).map(|_| rng.below(self.data.len())).collect();
        let mut batch = self.batch(&items);
        if let (true, [_, width, channels]) = (self.flip, self.data.shape()) {
            for item in batch.x0.chunks_exact_mut(self.data.dim()) {
                if rng.uniform() < 0.5 {
                    mirror(item, *width, *channels);
                }
            }
        }
        batch
    }

    /// These items, as they are.
    pub(super) fn batch(&self, items: &[usize]) -> Drawn {
        let (data, dim) = (&self.data, self.data.dim());
        let (mut x0, mut c) = (vec![0.0; items.len() * dim], vec![0.0; items.len() * self.condition]);
        for (slot, &item) in x0.chunks_exact_mut(dim).zip(items) {
            data.copy_item(item, slot);
        }
        if self.condition > 0 {
            for (slot, &item) in c.chunks_exact_mut(self.condition).zip(items) {
                data.conditions().write(item, slot);
            }
        }
        Drawn { x0, c, items: items.to_vec() }
    }
}

/// Turns an image [height, width, channels] left to right.
fn mirror(image: &mut [f32], width: usize, channels: usize) {
    for row in image.chunks_exact_mut((width * channels).max(1)) {
        for left in 0..width / 2 {
            let right = width - 1 - left;
            for channel in 0..channels {
                row.swap(left * channels + channel, right * channels + channel);
            }
        }
    }
}

/// Batches in their order, drawn while the step before is computed.
#[derive(Debug)]
pub(super) struct Prefetch {
    /// The thread's batches; a run that is copied gets its own.
    coming: Option<(Place, Receiver<Drawn>)>,
    ahead: bool,
}

impl Clone for Prefetch {
    fn clone(&self) -> Self {
        Self::new(self.ahead)
    }
}

impl Prefetch {
    pub(super) const fn new(ahead: bool) -> Self {
        Self { coming: None, ahead }
    }

    /// The batch at a place; with a thread, the next ones are drawn meanwhile.
    pub(super) fn take(&mut self, drawer: &Drawer, place: Place) -> Drawn {
        if !self.ahead {
            return drawer.draw(place);
        }
        if self.coming.as_ref().is_none_or(|(next, _)| *next != place) {
            self.coming = spawn(drawer.clone(), place).map(|batches| (place, batches));
        }
        let received = self.coming.as_mut().and_then(|(next, batches)| {
            *next = next.next(drawer.accumulate);
            batches.recv().ok()
        });
        // Where the system gives no thread, the batch is drawn here.
        received.unwrap_or_else(|| {
            self.coming = None;
            drawer.draw(place)
        })
    }
}

/// A thread that draws from `place` on until nobody takes its batches.
fn spawn(drawer: Drawer, mut place: Place) -> Option<Receiver<Drawn>> {
    let (give, take) = sync_channel(AHEAD);
    let draw = move || {
        while give.send(drawer.draw(place)).is_ok() {
            place = place.next(drawer.accumulate);
        }
    };
    std::thread::Builder::new().name("batches".into()).spawn(draw).ok().map(|_| take)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::DataConfig;

    fn drawer() -> Drawer {
        let config = DataConfig { source: "digits".into(), labels: "own".into(), ..DataConfig::default() };
        let data = Arc::new(config.load(0).unwrap());
        Drawer { data, seed: 3, items: 5, condition: 10, flip: true, accumulate: 2 }
    }

    #[test]
    fn batches_drawn_ahead_are_those_drawn_in_place() {
        let drawer = drawer();
        let (mut ahead, mut here) = (Prefetch::new(true), Prefetch::new(false));
        let mut place = Place { step: 7, batch: 0 };
        for _ in 0..6 {
            assert_eq!(ahead.take(&drawer, place), here.take(&drawer, place));
            place = place.next(2);
        }
        assert_eq!(place, Place { step: 10, batch: 0 });
        // Back again, and a copy.
        let place = Place { step: 8, batch: 1 };
        assert_eq!(ahead.take(&drawer, place), here.take(&drawer, place));
        assert_eq!(ahead.clone().take(&drawer, place), here.take(&drawer, place));
    }

    #[test]
    fn every_batch_draws_its_own_items_with_their_labels() {
        let drawer = drawer();
        let mut seen = Vec::new();
        for place in [Place { step: 0, batch: 0 }, Place { step: 0, batch: 1 }, Place { step: 1, batch: 0 }] {
            let Drawn { x0, c, items } = drawer.draw(place);
            assert_eq!((x0.len(), c.len(), items.len()), (5 * 64, 50, 5));
            for (c, &item) in c.chunks(10).zip(&items) {
                let label = crate::data::digit_labels().unwrap()[item] as usize;
                assert!(c[label] == 1.0 && c.iter().sum::<f32>() == 1.0);
            }
            assert!(!seen.contains(&items), "drawn twice");
            seen.push(items);
        }
    }

    #[test]
    fn about_half_of_the_images_are_mirrored_in_place() {
        let mut image = [1.0, 10.0, 2.0, 20.0, 3.0, 30.0, 4.0, 40.0, 5.0, 50.0, 6.0, 60.0];
        mirror(&mut image, 3, 2);
        assert_eq!(image, [3.0, 30.0, 2.0, 20.0, 1.0, 10.0, 6.0, 60.0, 5.0, 50.0, 4.0, 40.0]);
        let drawer = Drawer { items: 400, ..drawer() };
        let part = drawer.draw(Place { step: 0, batch: 0 });
        let plain = drawer.batch(&part.items);
        let same = part.x0.chunks(64).zip(plain.x0.chunks(64)).filter(|(a, b)| a == b).count();
        assert!(same.abs_diff(200) < 50, "{same} of 400 are as they were");
        let mirrored = part.x0.chunks(64).zip(plain.x0.chunks(64)).filter(|(a, b)| {
            let mut b = b.to_vec();
            mirror(&mut b, 8, 1);
            *a == b
        });
        assert_eq!(mirrored.count() + same, 400);
    }
}
