//! The networks whose instructions `count` counts, and what the host computes with them.

use picardy::nn::{Artifact, ResidualMlp};
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// The trainer's default network for points in the plane.
const DIM: usize = 2;
const WIDTH: usize = 128;
const BLOCKS: usize = 2;

/// Writes the networks, and `networks.rs` with their names, products and expected outputs.
pub(crate) fn write(out: &Path) -> Result<(), Box<dyn Error>> {
    let products = 2 * DIM * WIDTH + 2 * BLOCKS * WIDTH * WIDTH;
    let mut text = format!("/// Multiply-adds of an evaluation.\npub const PRODUCTS: u32 = {products};\n");
    let mut entries = String::new();
    for (name, dtype) in [("f32", "F32"), ("f16", "F16"), ("int8", "I8")] {
        let path = out.join(format!("{name}.safetensors"));
        let file = network(dtype);
        fs::write(&path, &file)?;
        let mut y = [0.0; DIM];
        let model = ResidualMlp::from_artifact(&Artifact::parse(&file)?)?;
        let mut scratch = vec![0.0; model.scratch_len(1)];
        model.forward(&[0.3, -0.4], [500.0], &mut y, &mut scratch)?;
        write!(
            entries,
            "(\"{name}\", &Aligned(*include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}.safetensors\"))), {:?}),",
            y.map(f32::to_bits)
        )?;
    }
    write!(
        text,
        "/// Name, artifact, and the bits of the host's output for (0.3, -0.4) at t = 500.\n\
         pub static NETWORKS: [(&str, &Aligned<[u8]>, [u32; {DIM}]); 3] = [{entries}];\n"
    )?;
    Ok(fs::write(out.join("networks.rs"), text)?)
}

/// A residual MLP whose weights are a hash's bits: they change no instruction's number.
fn network(dtype: &'static str) -> Vec<u8> {
    let mut tensors = Vec::new();
    let mut layer = |name: &str, outputs: usize, inputs: usize| {
        // As the trainer's export: few inputs stay f32.
        let dtype = if dtype == "I8" && inputs < 16 { "F32" } else { dtype };
        tensors.push((format!("{name}.weight"), dtype, vec![outputs, inputs]));
        tensors.push((format!("{name}.bias"), "F32", vec![outputs]));
        if dtype == "I8" {
            tensors.push((format!("{name}.scale"), "F32", vec![outputs]));
        }
    };
    layer("input", WIDTH, DIM);
    for block in 0..BLOCKS {
        layer(&format!("blocks.{block}.fc1"), WIDTH, WIDTH);
        layer(&format!("blocks.{block}.fc2"), WIDTH, WIDTH);
    }
    layer("output", DIM, WIDTH);
    for name in (0..BLOCKS).map(|block| format!("blocks.{block}.norm")).chain(["norm".into()]) {
        tensors.push((format!("{name}.weight"), "F32", vec![WIDTH]));
        tensors.push((format!("{name}.bias"), "F32", vec![WIDTH]));
    }
    // The widest elements first, so that all lie at multiples of their size.
    tensors.sort_by_key(|(_, dtype, _)| *dtype != "F32");
    let (mut entries, mut data, mut state) = (Vec::new(), Vec::new(), 1u32);
    for (name, dtype, shape) in &tensors {
        let begin = data.len();
        for _ in 0..shape.iter().product() {
            state = state.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
            let value = f64::from(state >> 8) / f64::from(1u32 << 24) - 0.5;
            match *dtype {
                "F32" if name.ends_with("scale") => data.extend((0.002 + 0.001 * value as f32).to_le_bytes()),
                "F32" => data.extend((0.25 * value as f32).to_le_bytes()),
                // A sign, an exponent from 2^-4 to 2^-2, and a mantissa.
                "F16" => {
                    let exponent = 11 + (state >> 8) as u16 % 3;
                    data.extend((((state >> 16) as u16 & 0x83ff) | exponent << 10).to_le_bytes());
                }
                _ => data.extend(((254.0 * value) as i8).to_le_bytes()),
            }
        }
        let shape = shape.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
        let end = data.len();
        entries.push(format!(
            r#""{name}":{{"dtype":"{dtype}","shape":[{shape}],"data_offsets":[{begin},{end}]}}"#
        ));
    }
    let mut header = format!("{{{}}}", entries.join(","));
    while header.len() % 8 != 0 {
        header.push(' ');
    }
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.bytes());
    file.extend(data);
    file
}
