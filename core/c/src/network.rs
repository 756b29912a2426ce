//! A network over an artifact's bytes, read where they lie.

use crate::error::{picardy_detail, picardy_error as code};
use crate::fault::{Fault, guarded};
use crate::kinds;
use crate::memory::{self, Arena, PICARDY_ALIGNMENT, Region};
use crate::model::{Found, Model};
use crate::source::picardy_schedule;
use core::ffi::c_void;
use core::{mem, ptr};
use picardy::nn::{ModelCard, Step, key};

/// A network: it lies in memory that the caller gave, its weights stay where the artifact is.
#[derive(Debug)]
pub struct picardy_network {
    _private: [u8; 0],
}

/// What a network was trained for.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct picardy_card {
    /// The numbers of a state.
    pub dim: usize,
    /// A residual MLP's width; 0 of a U-Net.
    pub width: usize,
    /// Its blocks; 0 of a U-Net.
    pub blocks: usize,
    /// The numbers of an item's condition (an observation, a label), 0 where the network takes none: for
    /// `picardy_denoiser.conditions`.
    pub condition: usize,
    /// An item's rows, places in a row and channels, which are what changes fastest; their product is `dim`. 1, 1 and `dim` of an
    /// MLP, 1 in front of a temporal U-Net (`picardy_chunk.places`, `.channels`).
    pub shape: [usize; 3],
    /// Its schedule, to be walked from the last timestep.
    pub schedule: picardy_schedule,
    /// A `picardy_prediction`.
    pub prediction: i32,
    /// The variance of what it saw, per coordinate: for `picardy_sampler.data_variance`.
    pub data_variance: f64,
}

/// Bytes that suffice for a residual MLP without a condition; `picardy_network_size` says how many any network takes.
pub const PICARDY_NETWORK_BYTES: usize = 2048;

const _: () = assert!(mem::size_of::<Sealed>() <= PICARDY_NETWORK_BYTES);
const _: () = assert!(mem::align_of::<Sealed>() <= PICARDY_ALIGNMENT);

/// What a [`picardy_network`] points to; the seal is read before anything else is.
#[repr(C)]
struct Sealed {
    seal: usize,
    /// The artifact's bytes.
    bytes: Region,
    /// All of the network's memory: this and the steps of its program.
    lent: Region,
    model: Model,
    card: Option<ModelCard<'static>>,
}

const KIND: usize = 2;

/// # Safety
/// Where it is not null, the pointer points to readable memory of a network's size, which lasts as long as `'a`.
unsafe fn open<'a>(network: *const picardy_network) -> Result<&'a Sealed, Fault> {
    let sealed = network.cast::<Sealed>();
    // SAFETY: the seal is an integer; the caller's promise.
    let found = unsafe { memory::read(sealed.cast::<usize>(), "network") }?;
    if !sealed.is_aligned() || found != memory::seal(sealed, KIND) {
        return Err(Fault::new(code::PICARDY_ERROR_NOT_A_NETWORK));
    }
    // SAFETY: the seal says that a `Sealed` was written here.
    Ok(unsafe { &*sealed })
}

impl Sealed {
    /// All memory of the network, which no other buffer may share.
    fn regions(&self) -> [Region; 2] {
        [self.lent, self.bytes]
    }
}

/// A network's model, and its memory.
///
/// # Safety
/// As for [`open`].
pub(crate) unsafe fn model<'a>(network: *const picardy_network) -> Result<(&'a Model, [Region; 2]), Fault> {
    // SAFETY: the caller's promise.
    let sealed = unsafe { open(network) }?;
    Ok((&sealed.model, sealed.regions()))
}

/// The memory of a network, which is none where the pointer is no network's.
///
/// # Safety
/// As for [`open`].
pub(crate) unsafe fn lent(network: *const picardy_network) -> [Region; 2] {
    // SAFETY: the caller's promise.
    unsafe { model(network) }.map_or([Region::NOTHING; 2], |(_, regions)| regions)
}

/// The bytes that the network of an artifact's `length` bytes takes, at an alignment of `PICARDY_ALIGNMENT`: a header, and of all
/// but residual MLPs without a condition a program. Where addresses are of 64 bits they are more than where they are of 32, so what a host says
/// suffices for a microcontroller's static memory.
///
/// # Safety
/// Pointers are null or point to what their types say, `bytes` to `length` of them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn picardy_network_size(
    bytes: *const c_void,
    length: usize,
    size: *mut usize,
    detail: *mut picardy_detail,
) -> i32 {
    let file = [Region::new(bytes.cast::<u8>(), length, "bytes").unwrap_or(Region::NOTHING)];
    let work = || {
        // SAFETY: the caller's promise.
        let found = unsafe { Found::new(bytes.cast(), length) }?.size::<Sealed>()?;
        // SAFETY: the caller's promise.
        unsafe { memory::write_apart(size, found.bytes(), "size", &file) }
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(detail, &[&file], work) }
}

/// Makes a network of an artifact's `length` bytes, which are checked and read in place, in the caller's `memory` of
/// `picardy_network_size` bytes; `network` points into that then, and is null after an error. The bytes lie at a multiple of 4,
/// and stay there as long as the network is used. What was made in the memory before is gone, after an error too.
///
/// It is a residual MLP, a temporal U-Net or a U-Net for images, with or without a condition. An artifact of another maker, without a card, is
/// taken for a residual MLP without a condition.
///
/// # Safety
/// Pointers are null or point to what their types say, `bytes` to `length` of them; `memory` is the network's as long as that is
/// used.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn picardy_network_open(
    bytes: *const c_void,
    length: usize,
    memory: *mut c_void,
    memory_bytes: usize,
    network: *mut *const picardy_network,
    detail: *mut picardy_detail,
) -> i32 {
    let memory = memory.cast::<u8>();
    let bytes = bytes.cast::<u8>();
    // SAFETY: the caller's promise.
    let lent = unsafe { memory::lend((network, ptr::null(), "network"), memory, memory_bytes) };
    let file = Region::new(bytes, length, "bytes");
    let taken = [lent.unwrap_or(Region::NOTHING), file.unwrap_or(Region::NOTHING)];
    let work = || {
        let (lent, file) = (lent?, file?);
        lent.apart_from(file)?;
        // What was there is no network any more, whatever the bytes are.
        // SAFETY: the caller lends the memory, here and below.
        unsafe { Arena::new(memory, memory_bytes, 0) }?;
        // SAFETY: the caller's promise.
        let found = unsafe { Found::new(bytes, length) }?;
        let size = found.size::<Sealed>()?.bytes();
        // SAFETY: the same.
        let mut arena = unsafe { Arena::new(memory, memory_bytes, size) }?;
        let sealed = arena.take::<Sealed>(1)?;
        // SAFETY: the same.
        let steps = unsafe { arena.fill(found.steps(), Step::default()) }?;
        let (model, card) = found.open(steps)?;
        let lent = Region::new(memory.cast_const(), size, "network")?;
        let seal = memory::seal(sealed, KIND);
        // SAFETY: `sealed` is the arena's memory, which the caller lends.
        unsafe { sealed.write(Sealed { seal, bytes: file, lent, model, card }) };
        // SAFETY: the caller's promise.
        unsafe { memory::write(network, sealed.cast_const().cast(), "network") }
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(detail, &[&taken], work) }
}

/// What a network was trained for; `PICARDY_ERROR_CARD` where its artifact does not say, or names a process or an output that no
/// `picardy_schedule` and `picardy_prediction` stand for (`pinned`, `edm`).
///
/// # Safety
/// Pointers are null or point to what their types say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn picardy_network_card(
    network: *const picardy_network,
    card: *mut picardy_card,
    detail: *mut picardy_detail,
) -> i32 {
    let work = || {
        // SAFETY: the caller's promise.
        let Sealed { model, card: found, .. } = unsafe { open(network) }?;
        let found = found.as_ref().ok_or(Fault::new(code::PICARDY_ERROR_CARD).name(key::VERSION))?;
        let wrong = |key| Fault::new(code::PICARDY_ERROR_CARD).name(key);
        let (width, blocks) = model.width_and_blocks();
        let about = picardy_card {
            dim: model.dim(),
            width,
            blocks,
            condition: model.condition(),
            shape: model.shape(),
            schedule: picardy_schedule::of(&found.schedule).ok_or(wrong(key::PROCESS))?,
            prediction: kinds::prediction_value(found.prediction).ok_or(wrong(key::PREDICTION))?,
            data_variance: found.data_variance,
        };
        // SAFETY: the caller's promise.
        unsafe { memory::write_apart(card, about, "card", &lent(network)) }
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(detail, &[&lent(network)], work) }
}

/// The numbers of a state, of a network without a card too.
///
/// # Safety
/// Pointers are null or point to what their types say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn picardy_network_dim(
    network: *const picardy_network,
    dim: *mut usize,
    detail: *mut picardy_detail,
) -> i32 {
    let work = || {
        // SAFETY: the caller's promise.
        let found = unsafe { model(network) }?.0.dim();
        // SAFETY: the caller's promise.
        unsafe { memory::write_apart(dim, found, "dim", &lent(network)) }
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(detail, &[&lent(network)], work) }
}

/// The floats of scratch with which `rows` rows go through the network together: 1 suffices, and is all of use where items have
/// conditions; more than 48 gain nothing.
///
/// # Safety
/// Pointers are null or point to what their types say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn picardy_network_scratch(
    network: *const picardy_network,
    rows: usize,
    floats: *mut usize,
    detail: *mut picardy_detail,
) -> i32 {
    let work = || {
        // SAFETY: the caller's promise.
        let needed = unsafe { model(network) }?.0.scratch_len(rows.max(1));
        memory::bytes_of::<f32>(needed, "rows")?;
        // SAFETY: the caller's promise.
        unsafe { memory::write_apart(floats, needed, "floats", &lent(network)) }
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(detail, &[&lent(network)], work) }
}

/// # Safety
/// Pointers are null or point to what their types say, `x` to `batch` times the network's `dim` floats.
unsafe fn units<'a>(
    network: *const picardy_network,
    x: *mut f32,
    batch: usize,
) -> Result<(&'a ModelCard<'static>, &'a mut [f32]), Fault> {
    // SAFETY: the caller's promise.
    let sealed = unsafe { open(network) }?;
    let Sealed { model, card, .. } = sealed;
    let card = card.as_ref().ok_or(Fault::new(code::PICARDY_ERROR_CARD).name(key::VERSION))?;
    let numbers = batch.checked_mul(model.dim());
    let numbers = numbers.ok_or(Fault::new(code::PICARDY_ERROR_SIZE).name("batch").given(batch))?;
    Region::new(x.cast_const(), numbers, "x")?.apart_from_all(&sealed.regions())?;
    // SAFETY: the caller's promise.
    Ok((card, unsafe { memory::slice_mut(x, numbers, "x") }?))
}

/// Takes `batch` samples to the data's own units.
///
/// # Safety
/// Pointers are null or point to what their types say, `x` to `batch` times the network's `dim` floats.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn picardy_network_restore(
    network: *const picardy_network,
    x: *mut f32,
    batch: usize,
    detail: *mut picardy_detail,
) -> i32 {
    let work = || {
        // SAFETY: the caller's promise.
        let (card, x) = unsafe { units(network, x, batch) }?;
        card.restore(x);
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(detail, &[&lent(network)], work) }
}

/// Takes `batch` items from the data's own units to the network's coordinates, `(x - data_mean) / data_scale`, where densities are asked
/// about: the reverse of `picardy_network_restore`. What that changes a density by, `picardy_network_log_scale` says.
///
/// # Safety
/// Pointers are null or point to what their types say, `x` to `batch` times the network's `dim` floats.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn picardy_network_normalize(
    network: *const picardy_network,
    x: *mut f32,
    batch: usize,
    detail: *mut picardy_detail,
) -> i32 {
    let work = || {
        // SAFETY: the caller's promise.
        let (card, x) = unsafe { units(network, x, batch) }?;
        let units = card.data_mean.iter().zip(card.data_scale.iter()).cycle();
        for (x, (mean, scale)) in x.iter_mut().zip(units) {
            *x = ((f64::from(*x) - mean) / scale) as f32;
        }
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(detail, &[&lent(network)], work) }
}

/// The sum of `ln data_scale` over an item's coordinates, in nats: what a density in the network's coordinates is above the one in
/// the data's own units, `log p_data(x) = log p(z) - sum_i ln data_scale_i` where z is x in the network's coordinates
/// (`picardy_network_normalize`). The same for all inputs, so that neither ratios nor alarms need it; densities of networks of
/// different units are compared with it.
///
/// # Safety
/// Pointers are null or point to what their types say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn picardy_network_log_scale(
    network: *const picardy_network,
    nats: *mut f64,
    detail: *mut picardy_detail,
) -> i32 {
    let work = || {
        // SAFETY: the caller's promise.
        let card = unsafe { open(network) }?.card.as_ref();
        let card = card.ok_or(Fault::new(code::PICARDY_ERROR_CARD).name(key::VERSION))?;
        let sum = card.data_scale.iter().map(libm::log).sum();
        // SAFETY: the caller's promise.
        unsafe { memory::write_apart(nats, sum, "nats", &lent(network)) }
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(detail, &[&lent(network)], work) }
}
