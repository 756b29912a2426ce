//! A plan, a network and room for a run, each in memory of its own.

use super::{Memory, NOTHING, Stored, artifact, detail, name};
use core::ffi::c_void;
use core::ptr;
use picardy_c::*;

pub(crate) const NUMBERS: usize = 4;

pub(crate) unsafe extern "C" fn half(
    _: *mut c_void,
    _: *const picardy_row,
    count: usize,
    dim: usize,
    x: *const f32,
    out: *mut f32,
) -> i32 {
    for i in 0..count * dim {
        // SAFETY: what the header says.
        unsafe { *out.add(i) = 0.5 * *x.add(i) };
    }
    0
}

pub(crate) const HALF: picardy_denoiser = picardy_denoiser { evaluate: Some(half), ..NOTHING };

/// A plan of 10 steps of DDIM, a run's memory, and room for a network of two coordinates over its artifact.
pub(crate) struct Bench {
    pub(crate) plan_memory: Memory,
    pub(crate) run_memory: Memory,
    pub(crate) network_memory: Memory,
    pub(crate) file: Memory,
    pub(crate) length: usize,
    pub(crate) scratch: Vec<f32>,
    pub(crate) plan: *const picardy_plan,
    pub(crate) network: *const picardy_network,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let bytes = artifact(2, 16, Stored::Single, "");
        let mut bench = Self {
            plan_memory: Memory::new(8192),
            run_memory: Memory::new(16384),
            network_memory: Memory::new(PICARDY_NETWORK_BYTES),
            file: Memory::new(bytes.len()),
            length: bytes.len(),
            scratch: vec![0.0; 4096],
            plan: ptr::null(),
            network: ptr::null(),
        };
        // SAFETY: room for as many bytes.
        unsafe { bench.file.at().cast::<u8>().copy_from(bytes.as_ptr(), bytes.len()) };
        assert_eq!(bench.make(&picardy_plan_spec_ddim()), 0);
        assert_eq!(bench.open(), 0);
        bench
    }

    pub(crate) fn make(&mut self, spec: &picardy_plan_spec) -> i32 {
        // SAFETY: all pointers are to what they say.
        unsafe { picardy_plan_make(spec, self.plan_memory.at(), 8192, &mut self.plan, ptr::null_mut()) }
    }

    pub(crate) fn open(&mut self) -> i32 {
        let (file, memory) = (self.file.at(), self.network_memory.at());
        let size = PICARDY_NETWORK_BYTES;
        // SAFETY: all pointers are to what they say.
        unsafe { picardy_network_open(file, self.length, memory, size, &mut self.network, ptr::null_mut()) }
    }

    pub(crate) fn setup(&self, sampler: picardy_sampler) -> picardy_setup {
        picardy_setup { plan: self.plan, sampler, seed: 7, first_item: 0, batch: 2, dim: 2 }
    }

    pub(crate) fn trained(&mut self, scratch: *mut f32, scratch_floats: usize) -> picardy_denoiser {
        picardy_denoiser { network: self.network, scratch, scratch_floats, ..NOTHING }
    }

    pub(crate) fn begin(
        &mut self,
        setup: &picardy_setup,
        x: &[f32; NUMBERS],
        run: &mut *mut picardy_run,
    ) -> i32 {
        // SAFETY: all pointers are to what they say.
        unsafe { picardy_run_begin(setup, x.as_ptr(), self.run_memory.at(), 16384, run, ptr::null_mut()) }
    }

    /// What a sampling with these says, and the name in its detail.
    pub(crate) fn sample(&mut self, denoiser: &picardy_denoiser, x: *mut f32) -> (i32, String) {
        let (setup, mut fault) = (self.setup(picardy_sampler_sequential()), detail());
        // SAFETY: all pointers are to what they say.
        let code = unsafe {
            let (memory, none) = (self.run_memory.at(), ptr::null_mut());
            picardy_sample(&setup, denoiser, None, none, memory, 16384, x, ptr::null_mut(), &mut fault)
        };
        (code, name(&fault).to_owned())
    }
}
