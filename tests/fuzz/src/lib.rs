//! What the fuzz targets share: how hostile arguments are made of bytes, and a main that goes over kept inputs without libFuzzer.

mod replay;

use core::ptr;
use picardy_c::{picardy_detail, picardy_error, picardy_error_text};
pub use replay::replay;

#[cfg(fuzzing)]
#[doc(hidden)]
pub use libfuzzer_sys;

/// Makes a program of a function of bytes: libFuzzer's under cargo-fuzz, else one that replays files.
#[macro_export]
macro_rules! target {
    ($one:path) => {
        #[cfg(fuzzing)]
        $crate::libfuzzer_sys::fuzz_target!(|input: &[u8]| $one(input));
        #[cfg(not(fuzzing))]
        fn main() -> std::process::ExitCode {
            $crate::replay($one)
        }
    };
}

/// Bytes as numbers, zeros at the end.
pub struct Input<'a>(pub &'a [u8]);

impl Input<'_> {
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        let n = N.min(self.0.len());
        out[..n].copy_from_slice(&self.0[..n]);
        self.0 = &self.0[n..];
        out
    }

    pub fn byte(&mut self) -> u8 {
        self.bytes::<1>()[0]
    }

    /// Mostly a small number, at times any.
    pub fn int(&mut self, most: i32) -> i32 {
        match self.byte() {
            255 => i32::from_le_bytes(self.bytes()),
            byte => i32::from(byte) % (most + 1),
        }
    }

    pub fn size(&mut self, most: usize) -> usize {
        match self.byte() {
            255 => usize::from_le_bytes(self.bytes()),
            254 => usize::MAX,
            byte => usize::from(byte) % (most + 1),
        }
    }

    /// Mostly `usual`, at times any.
    pub fn number(&mut self, usual: f64) -> f64 {
        match self.byte() {
            255 => f64::from_le_bytes(self.bytes()),
            254 => f64::NAN,
            253 => 0.0,
            byte => usual * (0.5 + f64::from(byte) / 252.0),
        }
    }

    /// A pointer, at times null or off its alignment.
    pub fn pointer<T>(&mut self, pointer: *mut T) -> *mut T {
        match self.byte() {
            255 => ptr::null_mut(),
            254 => pointer.wrapping_byte_add(1),
            _ => pointer,
        }
    }
}

/// What a call said has a code with a text, and the detail goes with it.
///
/// # Panics
/// Where it has not.
pub fn explain(code: i32, detail: &picardy_detail) {
    assert_eq!(code, detail.code);
    // SAFETY: a static string for every code.
    let text = unsafe { core::ffi::CStr::from_ptr(picardy_error_text(code)) };
    assert!(!text.to_bytes().starts_with(b"no such"));
    assert_ne!(code, picardy_error::PICARDY_ERROR_OTHER as i32, "every error has a code of its own");
    assert_eq!(detail.name[47], 0);
}

/// Memory at an alignment of 16.
#[repr(C, align(16))]
pub struct Memory<const N: usize>(pub [u8; N]);
