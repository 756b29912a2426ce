//! One run of a model by the names of its inputs and outputs, of which some stay on the device.

use ort::{memory::Allocator, value::Tensor};

use crate::{binding::run_bound, device::DeviceTensor, error::OrtError, provider::exclusive, session::Model};

/// What an input is given.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// Numbers of this shape, which are brought to the device.
    Host(&'a [usize], &'a [f32]),
    /// A tensor of the model's device.
    Device(&'a DeviceTensor<f32>),
}

/// Where an output goes.
#[derive(Debug)]
pub enum Sink<'a> {
    /// Numbers of this shape, which are brought from the device.
    Host(&'a [usize], &'a mut [f32]),
    /// A tensor of the model's device, none of the inputs'.
    Device(&'a mut DeviceTensor<f32>),
}

/// Runs the model once. Outputs that are not named are computed and dropped.
///
/// # Errors
/// [`OrtError::Copy`] where numbers and their shape disagree, [`OrtError::Run`] for a name that the model does not have, one of
/// its inputs that is missing, another shape, or a run that fails.
///
/// # Examples
///
/// ```no_run
/// use picardy_ort::call::{Sink, Source, call};
/// use picardy_ort::{Model, Options, device::DeviceMemory};
///
/// // y = x w, w staying on the device.
/// let mut model = Model::load(std::path::Path::new("product.onnx"), Options::default())?;
/// let memory = DeviceMemory::of(&model)?;
/// let mut w = memory.tensor(&[3])?;
/// picardy_ort::device::upload(&[1.0, 2.0, 3.0], &mut w)?;
/// let mut y = [0.0; 3];
/// let inputs = [("x", Source::Host(&[3], &[4.0, 5.0, 6.0])), ("w", Source::Device(&w))];
/// call(&mut model, &inputs, &mut [("y", Sink::Host(&[3], &mut y))])?;
/// # Ok::<(), picardy_ort::OrtError>(())
/// ```
pub fn call(
    model: &mut Model,
    inputs: &[(&str, Source<'_>)],
    outputs: &mut [(&str, Sink<'_>)],
) -> Result<(), OrtError> {
    let _turn = exclusive(model.provider());
    let session = model.session_mut();
    let mut binding = session.create_binding()?;
    for (name, source) in inputs {
        match source {
            Source::Host(shape, values) => {
                fits(shape, values.len())?;
                // A tensor over borrowed numbers would be copied by a session of its own.
                binding.bind_input(*name, &Tensor::from_array((shape.to_vec(), values.to_vec()))?)?;
            }
            Source::Device(tensor) => binding.bind_input(*name, &***tensor)?,
        }
    }
    let mut answers = Vec::new();
    for (name, sink) in outputs.iter_mut() {
        match sink {
            Sink::Host(shape, values) => {
                fits(shape, values.len())?;
                let mut answer = Tensor::<f32>::new(&Allocator::default(), shape.to_vec())?;
                binding.bind_output(*name, &mut answer)?;
                answers.push(answer);
            }
            Sink::Device(tensor) => binding.bind_output(*name, &mut ***tensor)?,
        }
    }
    run_bound(session, &binding)?;
    drop(binding);
    let hosts = outputs.iter_mut().filter_map(|(_, sink)| match sink {
        Sink::Host(_, values) => Some(values),
        Sink::Device(_) => None,
    });
    for (values, answer) in hosts.zip(&answers) {
        let (_, numbers) = answer.try_extract_tensor::<f32>()?;
        values.copy_from_slice(numbers.get(..values.len()).unwrap_or_default());
    }
    Ok(())
}

fn fits(shape: &[usize], len: usize) -> Result<(), OrtError> {
    let want = shape.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent));
    match want == Some(len) {
        true => Ok(()),
        false => Err(OrtError::Copy { from: len, to: want.unwrap_or(usize::MAX) }),
    }
}
