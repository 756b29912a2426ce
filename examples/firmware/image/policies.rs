//! The networks of `policy` and `policy_wide`, and what the host plans with them.

use crate::networks::{bits, file};
use picardy::Name;
use picardy::nn::{
    Architecture, Builder, Footprint, LayerShape, Machine, ProgramError, Shape, Source, Step, WeightFormat,
};
use picardy_firmware_shared::{Policy, PolicyMemory, plan_actions};
use std::error::Error;
use std::fs;
use std::path::Path;

/// Layers of fewer inputs stay f32 in an int8 file, as in the trainer's export.
const LEAST_INPUTS: usize = 16;

/// Writes the networks, and in Rust `policies.rs`.
pub(crate) fn write(out: &Path, wide: bool) -> Result<(), Box<dyn Error>> {
    let small = |name, format| entry(name, &Policy::SMALL, format, false, out);
    fs::write(
        out.join("policies.rs"),
        small("f32", WeightFormat::F32)? + &small("int8", WeightFormat::Int8)?,
    )?;
    if wide {
        fs::write(out.join("policy_wide.rs"), entry("int8", &Policy::WIDE, WeightFormat::Int8, true, out)?)?;
    }
    Ok(())
}

/// A policy in Rust: its file (in the chip's flash or outside of it), the memory it takes on the target, and the bits of the host's plan.
fn entry(
    name: &str,
    policy: &Policy,
    format: WeightFormat,
    outside: bool,
    out: &Path,
) -> Result<String, Box<dyn Error>> {
    let architecture = policy.architecture().ok_or("a U-Net of so many levels")?;
    let shape = [policy.horizon, policy.actions];
    let mut program = vec![Step::default(); architecture.steps(policy.observation)];
    let need = |machine, program: &mut [_]| {
        Footprint::new(&architecture, &shape, policy.observation, format, machine, program)
    };
    let (here, there) = (need(Machine::This, &mut program)?, need(Machine::Bits32, &mut program)?);
    let weights = file(tensors(&architecture, policy, format)?);
    let path = out.join(format!("policy-{name}-{}.safetensors", policy.dim() * policy.widths.len()));
    fs::write(&path, &weights)?;

    let dim = policy.dim();
    let mut program = vec![Step::default(); here.steps];
    let mut x = vec![0.0; dim];
    let (mut scratch, mut observation, mut states) =
        (vec![0.0; here.scratch], vec![0.0; policy.observation], vec![0.0; 3 * dim]);
    let mut memory = PolicyMemory {
        program: &mut program,
        scratch: &mut scratch,
        observation: &mut observation,
        states: &mut states,
    };
    plan_actions(policy, &weights, &mut x, &mut memory)?;
    if !x.iter().all(|x| x.is_finite()) || x.iter().all(|x| x.abs() == 1.0) {
        return Err(format!("{name}: a plan that shows nothing: {x:?}").into());
    }
    let (len, path) = (weights.len(), path.to_str().ok_or("the build's folder has a name that is no text")?);
    let section = match outside {
        true => {
            "#[allow(unsafe_code)]\n// SAFETY: the linker's script has that section, for read-only data.\n\
                 #[unsafe(link_section = \".outside\")]\n"
        }
        false => "",
    };
    let Footprint { parameters, steps, scratch, condition, .. } = there;
    let (ram, plan) = (there.ram(), bits(&x));
    Ok(format!(
        "/// The network's file, its sizes, and the bits of the host's plan.\nmod {name} {{\n\
         {section}pub(crate) static FILE: picardy::nn::Aligned<[u8; {len}]> = picardy::nn::Aligned(*include_bytes!({path:?}));\n\
         pub(crate) const PARAMETERS: usize = {parameters};\npub(crate) const RAM: usize = {ram};\n\
         pub(crate) type Room = crate::room::Room<{steps}, {scratch}, {condition}, {states}>;\n\
         pub(crate) static PLAN: [u32; {dim}] = {plan:?};\n}}\n",
        states = 3 * dim,
    ))
}

type Tensors = Vec<(String, &'static str, Vec<usize>)>;

/// The tensors that the network asks for.
fn tensors(
    architecture: &Architecture,
    policy: &Policy,
    format: WeightFormat,
) -> Result<Tensors, ProgramError> {
    let mut steps = vec![Step::default(); architecture.steps(policy.observation)];
    let item = Shape::series(policy.horizon, policy.actions);
    let mut builder = Builder::new(item, policy.observation, &mut steps, Asked(Tensors::new(), format));
    architecture.build(&mut builder)?;
    Ok(builder.finish().1.0)
}

/// Writes down what it is asked for.
struct Asked(Tensors, WeightFormat);

impl Asked {
    fn push(&mut self, name: String, dtype: &'static str, shape: &[usize]) {
        // Two layers may share a bias.
        if self.0.iter().all(|(other, ..)| *other != name) {
            self.0.push((name, dtype, shape.to_vec()));
        }
    }
}

impl Source for Asked {
    type Parameters = ();
    type Error = ProgramError;

    fn layer(&mut self, weight: Name, bias: Name, shape: LayerShape) -> Result<(), ProgramError> {
        let int8 = self.1 == WeightFormat::Int8 && shape.patch() >= LEAST_INPUTS;
        self.push(
            weight.as_str().into(),
            if int8 { "I8" } else { "F32" },
            &[shape.outputs, shape.kernel[0], shape.kernel[1], shape.inputs],
        );
        self.push(bias.as_str().into(), "F32", &[shape.outputs]);
        if int8 {
            self.push(weight.as_str().replace(".weight", ".scale"), "F32", &[shape.outputs]);
        }
        Ok(())
    }

    fn norm(&mut self, prefix: Name, channels: usize) -> Result<(), ProgramError> {
        self.push(format!("{prefix}.weight"), "F32", &[channels]);
        self.push(format!("{prefix}.bias"), "F32", &[channels]);
        Ok(())
    }
}
