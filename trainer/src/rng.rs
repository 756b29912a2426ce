//! A counter-based generator for everything the trainer draws: data, batches, levels and noise.
//!
//! The generator is Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as
//! 1, 2, 3", SC 2011). Its state is three numbers, (seed, stream, position), so a checkpoint keeps them and a
//! resumed run draws exactly what the uninterrupted one would have drawn.

use picardy::noise::philox;

/// Keeps the trainer's draws apart from the samplers' noise of the same seed, which comes from the same generator.
const TRAINER: u64 = 0x7472_6169_6e65_7200;

/// A seeded stream of random numbers with a position that can be read and set.
///
/// Two streams of one seed are independent; one (seed, stream, position) always gives the same bits.
///
/// # Examples
///
/// ```
/// use picardy_trainer::rng::Rng;
///
/// let mut rng = Rng::new(7, 0);
/// let first = rng.uniform();
/// let position = rng.position();
/// let second = rng.uniform();
/// assert_eq!(Rng::new(7, 0).uniform(), first);
/// assert_eq!(Rng::at(7, 0, position).uniform(), second);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rng {
    seed: u64,
    stream: u64,
    position: u64,
    /// The last block of the cipher and its number: two draws come from one block.
    block: [u64; 2],
    block_index: u64,
}

impl Rng {
    /// The start of stream `stream` of seed `seed`.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self::at(seed, stream, 0)
    }

    /// The stream after `position` 64-bit draws, as [`Rng::position`] reported them.
    pub fn at(seed: u64, stream: u64, position: u64) -> Self {
        let block_index = position / 2;
        Self { seed, stream, position, block: block(seed, stream, block_index), block_index }
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The stream's number.
    pub fn stream(&self) -> u64 {
        self.stream
    }

    /// How many 64-bit draws have been taken.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let wanted = self.position / 2;
        if wanted != self.block_index {
            self.block = block(self.seed, self.stream, wanted);
            self.block_index = wanted;
        }
        let bits = self.block[(self.position % 2) as usize];
        self.position = self.position.wrapping_add(1);
        bits
    }

    /// A uniform number in [0, 1), a multiple of 2^-53. Takes one draw.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// A uniform number in the open interval (0, 1), safe to pass to a logarithm or a logit. Takes one draw.
    pub fn uniform_open(&mut self) -> f64 {
        ((self.next_u64() >> 12) as f64 + 0.5) * (1.0 / (1u64 << 52) as f64)
    }

    /// A uniform index in 0..n, without bias (Lemire's method); 0 where n is 0.
    ///
    /// Takes one draw, and now and then one more.
    pub fn below(&mut self, n: usize) -> usize {
        let n = n as u64;
        if n == 0 {
            return 0;
        }
        // The draws whose low product falls under 2^64 mod n would make some indices likelier than others.
        let biased = n.wrapping_neg() % n;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(n);
            if product as u64 >= biased {
                return (product >> 64) as usize;
            }
        }
    }

    /// Two independent standard normal numbers (Box and Muller 1958). Takes two draws.
    pub fn normal_pair(&mut self) -> (f64, f64) {
        let radius = (-2.0 * self.uniform_open().ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * self.uniform()).sin_cos();
        (radius * cos, radius * sin)
    }

    /// One standard normal number. Takes two draws: the pair's other half is dropped, so that nothing but the
    /// position is state.
    pub fn normal(&mut self) -> f64 {
        self.normal_pair().0
    }

    /// Fills `out` with standard normal numbers. Takes one draw a number, one more where the length is odd.
    pub fn fill_normal(&mut self, out: &mut [f32]) {
        for pair in out.chunks_mut(2) {
            let (first, second) = self.normal_pair();
            pair[0] = first as f32;
            if let Some(slot) = pair.get_mut(1) {
                *slot = second as f32;
            }
        }
    }

    /// Shuffles `items` (Fisher and Yates): every order is equally likely.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// Block `index` of the stream: Philox of the counter (index, stream) under the key `seed`.
fn block(seed: u64, stream: u64, index: u64) -> [u64; 2] {
    let counter = [index as u32, (index >> 32) as u32, stream as u32, (stream >> 32) as u32];
    let key = seed ^ TRAINER;
    let words = philox(counter, [key as u32, (key >> 32) as u32]);
    let join = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    [join(words[0], words[1]), join(words[2], words[3])]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resumes_at_every_position() {
        let mut whole = Rng::new(3, 9);
        for position in 0..9 {
            assert_eq!(whole.position(), position);
            assert_eq!(Rng::at(3, 9, position).next_u64(), whole.next_u64());
        }
        assert_ne!(Rng::new(3, 8).next_u64(), Rng::new(3, 9).next_u64());
        assert_ne!(Rng::new(2, 9).next_u64(), Rng::new(3, 9).next_u64());
    }

    #[test]
    fn the_last_position_wraps() {
        let mut rng = Rng::at(1, 1, u64::MAX);
        rng.next_u64();
        assert_eq!(rng.next_u64(), Rng::new(1, 1).next_u64());
    }

    #[test]
    fn normal_moments() {
        let mut draws = vec![0.0; 200_001];
        Rng::new(1, 0).fill_normal(&mut draws);
        let moment = |k: i32| draws.iter().map(|&z| f64::from(z).powi(k)).sum::<f64>() / draws.len() as f64;
        // Five standard errors: sqrt(1, 2, 15, 96 over n).
        let bound = |variance: f64| 5.0 * (variance / draws.len() as f64).sqrt();
        assert!(moment(1).abs() < bound(1.0));
        assert!((moment(2) - 1.0).abs() < bound(2.0));
        assert!(moment(3).abs() < bound(15.0));
        assert!((moment(4) - 3.0).abs() < bound(96.0));
    }

    #[test]
    fn indices_are_even_and_in_range() {
        let mut rng = Rng::new(5, 0);
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.below(1), 0);
        let mut counts = [0usize; 7];
        for _ in 0..70_000 {
            counts[rng.below(7)] += 1;
        }
        assert!(counts.iter().all(|&c| c.abs_diff(10_000) < 500), "{counts:?}");
    }

    #[test]
    fn shuffle_keeps_the_items() {
        let mut items: Vec<u32> = (0..100).collect();
        Rng::new(5, 1).shuffle(&mut items);
        assert!(items.windows(2).any(|w| w[0] > w[1]));
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
        Rng::new(5, 1).shuffle::<u32>(&mut []);
    }
}
