//! Pointers from C: checked as far as they can be, and read in one place.

use crate::error::picardy_error as code;
use crate::fault::Fault;
use core::{mem, ptr, slice};

/// The alignment of the memory that plans, networks, runs and likelihoods take, in bytes.
pub const PICARDY_ALIGNMENT: usize = 8;

const _: () =
    assert!(mem::align_of::<f64>() <= PICARDY_ALIGNMENT && mem::align_of::<usize>() <= PICARDY_ALIGNMENT);

/// What a sealed object's first word is mixed with its address from: memory that was moved, or is none, does not have it.
const KEY: usize = 0x7069_6361;

/// The first word of an object of a kind at an address.
pub(crate) fn seal<T>(at: *const T, kind: usize) -> usize {
    at.addr() ^ KEY.wrapping_mul(2 * kind + 1)
}

fn check<T>(pointer: *const T, name: &'static str) -> Result<(), Fault> {
    if pointer.is_null() {
        return Err(Fault::new(code::PICARDY_ERROR_NULL).name(name));
    }
    let alignment = mem::align_of::<T>();
    if !pointer.is_aligned() {
        return Err(Fault::new(code::PICARDY_ERROR_MISALIGNED).name(name).needed(alignment));
    }
    Ok(())
}

/// A value that C points to.
///
/// # Safety
/// The pointer is null, misaligned, or points to a `T` that nothing writes to meanwhile; every pattern of bits is a `T`.
pub(crate) unsafe fn read<T: Copy>(pointer: *const T, name: &'static str) -> Result<T, Fault> {
    check(pointer, name)?;
    // SAFETY: neither null nor misaligned, so the caller's promise holds.
    Ok(unsafe { pointer.read() })
}

/// Writes to where C points.
///
/// # Safety
/// The pointer is null, misaligned, or points to memory for a `T`.
pub(crate) unsafe fn write<T: Copy>(pointer: *mut T, value: T, name: &'static str) -> Result<(), Fault> {
    check(pointer, name)?;
    // SAFETY: neither null nor misaligned, so the caller's promise holds.
    unsafe { pointer.write(value) };
    Ok(())
}

/// Writes to where C points, if it does. A misaligned pointer is no place.
///
/// # Safety
/// As for [`write`].
pub(crate) unsafe fn write_if<T: Copy>(pointer: *mut T, value: T) {
    // SAFETY: the caller's promise.
    let _ = unsafe { write(pointer, value, "") };
}

/// Writes to where C points, which must lie outside `lent`.
///
/// # Safety
/// As for [`write`].
pub(crate) unsafe fn write_apart<T: Copy>(
    pointer: *mut T,
    value: T,
    name: &'static str,
    lent: &[Region],
) -> Result<(), Fault> {
    Region::new(pointer.cast_const(), 1, name)?.apart_from_all(lent)?;
    // SAFETY: the caller's promise.
    unsafe { write(pointer, value, name) }
}

/// Whether `pointer` is null (no place) or may be written to, before work is done that would be lost. It must lie outside
/// `lent`.
pub(crate) fn optional<T>(pointer: *mut T, name: &'static str, lent: &[Region]) -> Result<(), Fault> {
    if pointer.is_null() {
        return Ok(());
    }
    Region::new(pointer.cast_const(), 1, name)?.apart_from_all(lent)
}

/// The memory that an object is about to be made in. `made`, the caller's pointer to the object, lies outside it, and is null
/// until the object is there.
///
/// # Safety
/// `made` is null, misaligned, or points to memory for a pointer.
pub(crate) unsafe fn lend<T: Copy>(
    (made, null, name): (*mut T, T, &'static str),
    memory: *mut u8,
    bytes: usize,
) -> Result<Region, Fault> {
    let place = Region::new(made.cast_const(), 1, name)?;
    let lent = Region::new(memory.cast_const(), bytes, "memory");
    if let Ok(lent) = &lent {
        place.apart_from(*lent)?;
    }
    // SAFETY: the caller's promise.
    unsafe { write(made, null, name) }?;
    lent
}

/// The bytes of `len` `T`s, where there can be as many.
pub(crate) fn bytes_of<T>(len: usize, name: &'static str) -> Result<usize, Fault> {
    let bytes = len.checked_mul(mem::size_of::<T>()).filter(|bytes| *bytes <= isize::MAX as usize);
    bytes.ok_or(Fault::new(code::PICARDY_ERROR_SIZE).name(name).given(len))
}

/// Memory that C lends, by its addresses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Region {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) name: &'static str,
}

impl Region {
    /// A region of nothing.
    pub(crate) const NOTHING: Self = Self { start: 0, end: 0, name: "" };

    pub(crate) fn new<T>(pointer: *const T, len: usize, name: &'static str) -> Result<Self, Fault> {
        if len > 0 {
            check(pointer, name)?;
        }
        let (start, bytes) = (pointer.addr(), bytes_of::<T>(len, name)?);
        let end =
            start.checked_add(bytes).ok_or(Fault::new(code::PICARDY_ERROR_SIZE).name(name).given(len))?;
        Ok(Self { start, end, name })
    }

    /// Two regions of which one is written to must not share a byte.
    pub(crate) fn apart_from(self, other: Self) -> Result<(), Fault> {
        if self.start < other.end && other.start < self.end {
            return Err(Fault::new(code::PICARDY_ERROR_OVERLAP).name(self.name));
        }
        Ok(())
    }

    /// The same for some regions.
    pub(crate) fn apart_from_all(self, others: &[Self]) -> Result<(), Fault> {
        others.iter().try_for_each(|other| self.apart_from(*other))
    }
}

/// Numbers that C points to.
///
/// # Safety
/// Where it is not null and aligned, the pointer points to `len` numbers, which nothing writes to as long as `'a` lasts.
pub(crate) unsafe fn slice<'a, T: Copy>(
    pointer: *const T,
    len: usize,
    name: &'static str,
) -> Result<&'a [T], Fault> {
    Region::new(pointer, len, name)?;
    if len == 0 {
        return Ok(&[]);
    }
    // SAFETY: neither null nor misaligned nor longer than memory, so the caller's promise holds.
    Ok(unsafe { slice::from_raw_parts(pointer, len) })
}

/// Numbers that C points to and gets back.
///
/// # Safety
/// As for [`slice`], and nothing else reads them.
pub(crate) unsafe fn slice_mut<'a, T: Copy>(
    pointer: *mut T,
    len: usize,
    name: &'static str,
) -> Result<&'a mut [T], Fault> {
    Region::new(pointer.cast_const(), len, name)?;
    if len == 0 {
        return Ok(&mut []);
    }
    // SAFETY: neither null nor misaligned nor longer than memory, so the caller's promise holds.
    Ok(unsafe { slice::from_raw_parts_mut(pointer, len) })
}

/// The size of what an [`Arena`] is asked for, in the same order.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Size(usize);

impl Size {
    pub(crate) fn of<T>() -> Self {
        Self(mem::size_of::<T>())
    }

    pub(crate) fn and<T>(self, len: usize) -> Result<Self, Fault> {
        let start = self.0.next_multiple_of(mem::align_of::<T>());
        let end = start.checked_add(bytes_of::<T>(len, "size")?);
        end.filter(|end| *end <= isize::MAX as usize)
            .map(Self)
            .ok_or(Fault::new(code::PICARDY_ERROR_SIZE).name("size").given(len))
    }

    pub(crate) const fn bytes(self) -> usize {
        self.0
    }
}

/// Memory that C lends to an object, given out from the front. What is given out is written first: nothing is read that
/// C has left there.
#[derive(Debug)]
pub(crate) struct Arena {
    memory: *mut u8,
    bytes: usize,
    used: usize,
}

impl Arena {
    /// Memory of at least `needed` bytes, a word or more. What was sealed at its front is an object no more.
    ///
    /// # Safety
    /// Where it is not null and aligned, the pointer points to `bytes` bytes, which nothing else uses.
    pub(crate) unsafe fn new(memory: *mut u8, bytes: usize, needed: usize) -> Result<Self, Fault> {
        if memory.is_null() {
            return Err(Fault::new(code::PICARDY_ERROR_NULL).name("memory"));
        }
        if memory.addr() % PICARDY_ALIGNMENT != 0 {
            return Err(Fault::new(code::PICARDY_ERROR_MISALIGNED).name("memory").needed(PICARDY_ALIGNMENT));
        }
        if bytes < needed {
            return Err(Fault::new(code::PICARDY_ERROR_MEMORY).name("memory").needed(needed).given(bytes));
        }
        Region::new(memory.cast_const(), bytes, "memory")?;
        if bytes >= mem::size_of::<usize>() {
            // SAFETY: aligned, and as many bytes; the caller's promise. 0 is no object's seal: that is odd, as
            // an aligned address xor an odd number.
            unsafe { memory.cast::<usize>().write(0) };
        }
        Ok(Self { memory, bytes, used: 0 })
    }

    /// The next `len` places for a `T`, unwritten.
    pub(crate) fn take<T>(&mut self, len: usize) -> Result<*mut T, Fault> {
        let start = self.used.next_multiple_of(mem::align_of::<T>());
        let end = start.saturating_add(bytes_of::<T>(len, "memory")?);
        if end > self.bytes {
            return Err(Fault::new(code::PICARDY_ERROR_MEMORY).name("memory").needed(end).given(self.bytes));
        }
        self.used = end;
        Ok(self.memory.wrapping_add(start).cast())
    }

    /// The next `len` places, filled.
    ///
    /// # Safety
    /// The arena's memory is there, is the caller's, and nothing else uses it as long as `'a` lasts.
    pub(crate) unsafe fn fill<'a, T: Copy>(&mut self, len: usize, value: T) -> Result<&'a mut [T], Fault> {
        let start = self.take::<T>(len)?;
        for i in 0..len {
            // SAFETY: `take` has seen that the places are in the arena and aligned for a `T`.
            unsafe { ptr::write(start.add(i), value) };
        }
        // SAFETY: the same places, now all written, given out once.
        Ok(unsafe { slice::from_raw_parts_mut(start, len) })
    }
}
