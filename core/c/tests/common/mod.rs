//! What tests of the border share.
#![allow(dead_code, reason = "each test file uses a part")]

pub(crate) mod bench;
pub(crate) mod calls;
pub(crate) mod densities;
pub(crate) mod networks;

use core::ffi::{CStr, c_void};
use core::ptr;
use picardy_c::{picardy_denoiser, picardy_detail};

/// Memory at an alignment of 8.
pub(crate) struct Memory(pub(crate) Vec<u64>);

impl Memory {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(vec![0x5555_5555_5555_5555; bytes.div_ceil(8)])
    }

    pub(crate) fn at(&mut self) -> *mut c_void {
        self.0.as_mut_ptr().cast()
    }
}

pub(crate) fn detail() -> picardy_detail {
    // SAFETY: plain data.
    unsafe { core::mem::zeroed() }
}

pub(crate) fn name(detail: &picardy_detail) -> &str {
    // SAFETY: the last byte is always 0.
    unsafe { CStr::from_ptr(detail.name.as_ptr()) }.to_str().unwrap()
}

/// A denoiser that is none yet.
pub(crate) const NOTHING: picardy_denoiser = picardy_denoiser {
    evaluate: None,
    context: ptr::null_mut(),
    network: ptr::null(),
    scratch: ptr::null_mut(),
    scratch_floats: 0,
    conditions: ptr::null(),
    condition_floats: 0,
};

/// What a network's matrices are stored as.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Stored {
    Single,
    Half,
    Int8,
}

/// A network's artifact without a card: `blocks` is 1, and the numbers are a fixed sequence. The first number of `corrupt` is
/// infinite, of a scale 0.
pub(crate) fn artifact(dim: usize, width: usize, stored: Stored, corrupt: &str) -> Vec<u8> {
    let mut tensors: Vec<(String, &str, Vec<usize>)> = Vec::new();
    for (name, out, into) in [
        ("input", width, dim),
        ("blocks.0.fc1", width, width),
        ("blocks.0.fc2", width, width),
        ("output", dim, width),
    ] {
        let kind = match stored {
            Stored::Half => "F16",
            // Short rows stay as they are.
            Stored::Int8 if into >= 16 => "I8",
            _ => "F32",
        };
        tensors.push((format!("{name}.weight"), kind, vec![out, into]));
        tensors.push((format!("{name}.bias"), "F32", vec![out]));
        if kind == "I8" {
            tensors.push((format!("{name}.scale"), "F32", vec![out]));
        }
    }
    for name in ["blocks.0.norm", "norm"] {
        tensors.push((format!("{name}.weight"), "F32", vec![width]));
        tensors.push((format!("{name}.bias"), "F32", vec![width]));
    }
    // Wide numbers first: each starts at a multiple of its size then.
    tensors.sort_by_key(|(_, kind, _)| *kind != "F32");
    let (mut header, mut data, mut state) = (Vec::new(), Vec::new(), 1u32);
    for (name, kind, shape) in &tensors {
        let start = data.len();
        for index in 0..shape.iter().product() {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let random = (state >> 8) as f32 / (1 << 24) as f32 - 0.5;
            let corrupted = index == 0 && name == corrupt;
            match *kind {
                "I8" => data.push((random * 254.0) as i8 as u8),
                // 0x7C00 is infinity; the others are +-[1/8, 1/4).
                "F16" if corrupted => data.extend(0x7C00u16.to_le_bytes()),
                "F16" => data.extend((0x3000u16 | (state >> 16) as u16 & 0x83FF).to_le_bytes()),
                _ => {
                    let value = match () {
                        () if corrupted && name.ends_with("scale") => 0.0,
                        () if corrupted => f32::INFINITY,
                        () if name.ends_with("scale") => 0.005 + 0.002 * random,
                        () if name.ends_with("norm.weight") => 1.0 + random,
                        () => 0.25 * random,
                    };
                    data.extend(value.to_le_bytes());
                }
            }
        }
        let end = data.len();
        header.push(format!(
            r#""{name}":{{"dtype":"{kind}","shape":{shape:?},"data_offsets":[{start},{end}]}}"#
        ));
    }
    let mut header = format!("{{{}}}", header.join(",")).into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
}
