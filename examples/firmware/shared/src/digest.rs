//! A hash of numbers' bits.

/// FNV-1a of 64 bits over the bits of numbers: equal digests of two targets mean equal bits.
///
/// ```
/// use picardy_firmware_shared::Digest;
/// let of = |x: f64| { let mut digest = Digest::new(); digest.number(x); digest.value() };
/// assert_ne!(of(0.0), of(-0.0));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Digest(u64);

impl Digest {
    /// Of nothing yet.
    pub const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// Takes in a number.
    pub fn number(&mut self, x: f64) {
        for byte in x.to_bits().to_le_bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// Takes in numbers.
    pub fn numbers(&mut self, numbers: impl IntoIterator<Item = f64>) {
        for x in numbers {
            self.number(x);
        }
    }

    /// The hash.
    pub const fn value(&self) -> u64 {
        self.0
    }
}

impl Default for Digest {
    fn default() -> Self {
        Self::new()
    }
}
