//! Memory on the device of a model's provider.
//!
//! A tensor made by [`DeviceMemory::tensor`] lies where the model runs. Bound to a session's inputs
//! and outputs with ort's `IoBinding` it is read and written there: a run copies nothing to the host
//! and back. It may be bound to any session of the same provider and device. [`upload`] and
//! [`download`] copy between it and the host, [`copy`] between two of them.
//!
//! Three rules, which ONNX Runtime does not enforce:
//! - WebGPU takes one thread at a time: see [`exclusive`].
//! - WebGPU forbids that a node reads and writes one tensor: bind two tensors in turn.
//! - an allocation on WebGPU does not fail where memory is short; the run that uses it does.
//!
//! ort's own `Tensor::to`, `copy_into` and `clone` do not know WebGPU, and `clone` panics there.

use std::{collections::HashMap, fmt::Debug, ops::Deref, sync::Mutex};

use ort::{
    AsPointer,
    memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType},
    value::{
        AsValueMut, DefiniteTensorValueTypeMarker, DynTensor, PrimitiveTensorElementType, Tensor,
        TensorElementType, TensorRef, TensorRefMut, Value,
    },
};

use crate::{
    error::OrtError,
    provider::{Exclusively, Provider, exclusive, webgpu_device},
    runtime::Runtime,
    session::{Model, Options},
};

/// Where tensors are allocated that lie on one provider's device.
#[derive(Debug)]
pub struct DeviceMemory {
    provider: Provider,
    allocator: Exclusively<Allocator>,
}

/// A tensor on a device. It is freed in its thread's turn with the provider, see [`exclusive`].
pub type DeviceTensor<T> = Exclusively<Tensor<T>>;

impl DeviceMemory {
    /// The memory of the device that `model` runs on.
    ///
    /// # Errors
    /// [`OrtError::Run`] where ONNX Runtime gives no allocator for it.
    pub fn of(model: &Model) -> Result<Self, OrtError> {
        Self::new(model.provider())
    }

    /// The memory of a provider's device; `provider` is one that a model was loaded with, not
    /// [`Provider::Auto`].
    ///
    /// # Errors
    /// As loading a model with `provider`.
    pub fn new(provider: Provider) -> Result<Self, OrtError> {
        let _turn = exclusive(provider);
        let allocator = match provider {
            Provider::Cpu | Provider::Auto => Allocator::default(),
            _ => Allocator::new(anchor(provider)?.session(), memory_info(provider)?)?,
        };
        Ok(Self { provider, allocator: Exclusively::new(allocator, provider) })
    }

    /// Whose device it is.
    #[must_use]
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// A tensor on the device. What it holds is not specified.
    ///
    /// # Errors
    /// [`OrtError::Run`]: an extent is negative or there is no memory (CUDA; on WebGPU the run says so).
    pub fn tensor<T: PrimitiveTensorElementType + Debug>(
        &self,
        shape: &[usize],
    ) -> Result<DeviceTensor<T>, OrtError> {
        let _turn = exclusive(self.provider);
        Ok(Exclusively::new(Tensor::new(&self.allocator, shape.to_vec())?, self.provider))
    }

    /// A tensor on the device, of a type that is known when the program runs.
    ///
    /// # Errors
    /// As [`tensor`](Self::tensor).
    pub fn dyn_tensor(
        &self,
        element: TensorElementType,
        shape: &[usize],
    ) -> Result<Exclusively<DynTensor>, OrtError> {
        let _turn = exclusive(self.provider);
        Ok(Exclusively::new(DynTensor::new(&self.allocator, element, shape.to_vec())?, self.provider))
    }

    /// The description of this memory that `IoBinding::bind_output_to_device` takes.
    ///
    /// # Errors
    /// [`OrtError::Run`].
    pub fn info(&self) -> Result<MemoryInfo<'static>, OrtError> {
        memory_info(self.provider)
    }
}

/// The description of a provider's memory.
fn memory_info(provider: Provider) -> Result<MemoryInfo<'static>, OrtError> {
    let _turn = exclusive(provider);
    let info = |device, index| MemoryInfo::new(device, index, AllocatorType::Device, MemoryType::Default);
    Ok(match provider {
        Provider::Cpu | Provider::Auto => info(AllocationDevice::CPU, 0),
        // The index was read as 16 bits.
        Provider::Cuda { device } | Provider::TensorRt { device, .. } => {
            info(AllocationDevice::CUDA, device as i32)
        }
        Provider::WebGpu => {
            let runtime = Runtime::load(None)?;
            let device = webgpu_device(runtime).map_err(|cause| cause.of(provider))?;
            let memory = device.memory_info(false);
            info(memory.allocation_device(), memory.device_id())
        }
    }?)
}

/// Sessions that are never dropped, one for each provider: memory comes from them. The WebGPU plugin
/// takes its memory's book-keeping down with its last session, and to free a tensor after that is a
/// crash.
static ANCHORS: Mutex<Option<HashMap<Provider, &'static Model>>> = Mutex::new(None);

fn anchor(provider: Provider) -> Result<&'static Model, OrtError> {
    // They share a device's memory, and TensorRT would compile the model.
    let provider = match provider {
        Provider::TensorRt { device, .. } => Provider::Cuda { device },
        provider => provider,
    };
    let mut anchors = ANCHORS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let anchors = anchors.get_or_insert_with(HashMap::new);
    if let Some(model) = anchors.get(&provider) {
        return Ok(model);
    }
    let options = Options { provider, ..Options::default() };
    let model: &'static Model = Box::leak(Box::new(Model::once(NEGATE, options, false)?));
    anchors.insert(provider, model);
    Ok(model)
}

/// An ONNX file of one node, y = -x over f32 `[n]` at operator set 17.
pub(crate) const NEGATE: &[u8] = b"\x08\x08:4\x0a\x0b\x0a\x01x\x12\x01y\x22\x03Neg\x12\x01gZ\x10\x0a\x01x\x12\x0b\x0a\x09\x08\x01\x12\x05\x0a\x03\x12\x01nb\x10\x0a\x01y\x12\x0b\x0a\x09\x08\x01\x12\x05\x0a\x03\x12\x01nB\x02\x10\x11";

/// Copies within or between devices; the two tensors hold as many numbers, which WebGPU does not check.
///
/// By ONNX Runtime's CopyTensors, which asks the transfers of registered plugins, or by ort's model
/// that gives back its input, which knows CUDA and not WebGPU.
#[allow(unsafe_code)]
fn transfer<V: DefiniteTensorValueTypeMarker + ?Sized>(
    from: &Value<V>,
    to: impl Deref<Target = Value<V>> + AsValueMut<V>,
) -> Result<(), OrtError> {
    let on_cuda = |tensor: &Value<V>| tensor.memory_info().allocation_device() == AllocationDevice::CUDA;
    if on_cuda(from) || on_cuda(&to) {
        return Ok(from.copy_into(to)?);
    }
    let environment = Runtime::load(None)?.environment();
    // Whose memory it is besides CUDA's.
    let _turn = exclusive(Provider::WebGpu);
    let (sources, mut targets) = ([from.ptr()], [to.ptr()]);
    // SAFETY: the environment is the process's own and is never dropped; both tensors are alive for
    // the call, of one type and, by the caller's promise, one length; `to` is borrowed mutably. No
    // stream: the default one.
    let status = unsafe {
        (ort::api().CopyTensors)(
            environment.ptr().cast_mut(),
            sources.as_ptr(),
            targets.as_mut_ptr(),
            std::ptr::null_mut(),
            1,
        )
    };
    // SAFETY: the status is the one that the call above gave, taken once.
    unsafe { ort::Error::result_from_status(status) }?;
    Ok(())
}

fn same(from: usize, to: usize) -> Result<(), OrtError> {
    if from == to { Ok(()) } else { Err(OrtError::Copy { from, to }) }
}

/// Copies `from` to the device.
///
/// # Errors
/// [`OrtError::Copy`] where the lengths differ, [`OrtError::Run`].
pub fn upload<T: PrimitiveTensorElementType + Debug + Copy + 'static>(
    from: &[T],
    to: &mut Tensor<T>,
) -> Result<(), OrtError> {
    same(from.len(), to.shape().num_elements())?;
    if to.memory_info().is_cpu_accessible() {
        to.try_extract_tensor_mut::<T>()?.1.copy_from_slice(from);
        return Ok(());
    }
    let host = TensorRef::from_array_view((to.shape().clone(), from))?;
    transfer(&host, to)
}

/// Copies `from` to the host, and waits until the device has written it.
///
/// # Errors
/// [`OrtError::Copy`] where the lengths differ, [`OrtError::Run`].
pub fn download<T: PrimitiveTensorElementType + Debug + Copy + 'static>(
    from: &Tensor<T>,
    to: &mut [T],
) -> Result<(), OrtError> {
    same(from.shape().num_elements(), to.len())?;
    if from.memory_info().is_cpu_accessible() {
        to.copy_from_slice(from.try_extract_tensor::<T>()?.1);
        return Ok(());
    }
    let host = TensorRefMut::from_array_view_mut((from.shape().clone(), to))?;
    transfer(from, host)
}

/// Copies one tensor of a device to another of the same length.
///
/// # Errors
/// [`OrtError::Copy`] where the lengths differ, [`OrtError::Run`].
pub fn copy<T: PrimitiveTensorElementType + Debug + Copy>(
    from: &Tensor<T>,
    to: &mut Tensor<T>,
) -> Result<(), OrtError> {
    same(from.shape().num_elements(), to.shape().num_elements())?;
    if to.memory_info().is_cpu_accessible() && from.memory_info().is_cpu_accessible() {
        to.try_extract_tensor_mut::<T>()?.1.copy_from_slice(from.try_extract_tensor::<T>()?.1);
        return Ok(());
    }
    transfer(from, to)
}

/// Copies between tensors of one type and shape, of which not both are the host's.
pub(crate) fn move_to(from: &DynTensor, to: &mut DynTensor) -> Result<(), OrtError> {
    same(from.shape().num_elements(), to.shape().num_elements())?;
    transfer(from, to)
}
