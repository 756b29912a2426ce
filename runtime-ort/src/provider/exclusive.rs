//! One thread at a time, where a provider takes no more.

use std::{
    fmt,
    mem::ManuallyDrop,
    ops::{Deref, DerefMut},
};

use parking_lot::{ReentrantMutex, ReentrantMutexGuard};

use super::Provider;

/// WebGPU's turn. All its sessions share one context, which two threads at once destroy: not by runs
/// alone, but by making and freeing sessions and tensors too.
static WEBGPU: ReentrantMutex<()> = ReentrantMutex::new(());

/// A thread's turn with a provider; it ends where this is dropped.
#[derive(Debug)]
pub struct Exclusive(#[allow(dead_code)] Option<ReentrantMutexGuard<'static, ()>>);

/// Waits for this thread's turn with `provider`, which is at once for all but WebGPU.
///
/// [`Model`](crate::Model), [`OrtDenoiser`](crate::OrtDenoiser) and
/// [`device`](mod@crate::device)'s functions do so themselves. Whoever calls ort directly, for a
/// binding, a run of a session or the freeing of either, holds this meanwhile. A thread may hold it
/// more than once.
#[must_use]
pub fn exclusive(provider: Provider) -> Exclusive {
    Exclusive(match provider {
        Provider::WebGpu | Provider::Auto => Some(WEBGPU.lock()),
        _ => None,
    })
}

/// What must be freed in its thread's turn with a provider.
pub struct Exclusively<T> {
    value: ManuallyDrop<T>,
    provider: Provider,
}

impl<T> Exclusively<T> {
    pub(crate) fn new(value: T, provider: Provider) -> Self {
        Self { value: ManuallyDrop::new(value), provider }
    }
}

impl<T> Deref for Exclusively<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Exclusively<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T> Drop for Exclusively<T> {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        let _turn = exclusive(self.provider);
        // SAFETY: the value is dropped here and nowhere else, and not used after.
        unsafe { ManuallyDrop::drop(&mut self.value) }
    }
}

impl<T: fmt::Debug> fmt::Debug for Exclusively<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}
