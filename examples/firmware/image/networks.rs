//! The networks of `count` and `kernels`, and what the host computes with them.

use picardy::nn::{Artifact, ResidualMlp, linear};
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// A network's sizes, and whether layers of few inputs stay f32 in an int8 file, as in the trainer's export.
struct Shape {
    dim: usize,
    width: usize,
    blocks: usize,
    few_stay: bool,
}

/// The trainer's default network for points in the plane: its instructions are counted.
const COUNTED: Shape = Shape { dim: 2, width: 128, blocks: 2, few_stay: true };
/// Inputs and outputs that fit no block of the kernels: odd ones, tails after groups of 8 and 16, rows that begin at no
/// whole word.
const ODD: [Shape; 4] = [
    Shape { dim: 3, width: 64, blocks: 1, few_stay: true },
    Shape { dim: 5, width: 2, blocks: 1, few_stay: false },
    Shape { dim: 19, width: 54, blocks: 1, few_stay: false },
    Shape { dim: 33, width: 22, blocks: 2, few_stay: false },
];
/// Inputs and outputs of single f32 layers.
const LAYERS: [[usize; 2]; 4] = [[1, 1], [7, 3], [37, 5], [41, 1]];
/// Rows that go through each.
const ROWS: usize = 2;

/// Writes the networks, and in Rust `networks.rs` for `count`, and `odd.rs` for `kernels`.
pub(crate) fn write(out: &Path) -> Result<(), Box<dyn Error>> {
    let Shape { dim, width, blocks, .. } = COUNTED;
    let products = 2 * dim * width + 2 * blocks * width * width;
    let entries = entries(&COUNTED, 1, out)?;
    let counted = format!(
        "/// Multiply-adds of an evaluation.\npub const PRODUCTS: u32 = {products};\n\
         /// Name, artifact, inputs, and the bits of the host's outputs at t = 500.\n\
         pub static NETWORKS: [(&str, &Aligned<[u8]>, [f32; {dim}], [u32; {dim}]); 3] = [{entries}];\n"
    );
    fs::write(out.join("networks.rs"), counted)?;

    let mut odd = String::from(
        "/// Name, artifact, inputs, and the bits of the host's outputs at t = 500.\n\
         pub static NETWORKS: &[(&str, &Aligned<[u8]>, &[f32], &[u32])] = &[",
    );
    for shape in &ODD {
        odd += &self::entries(shape, ROWS, out)?.replace("), [", "), &[").replace("], [", "], &[");
    }
    odd += "];\n/// Inputs, weights and biases of an f32 layer, and the bits of the host's outputs.\n\
            pub static LAYERS: &[(&[f32], &[f32], &[f32], &[u32])] = &[";
    for [inputs, outputs] in LAYERS {
        let (x, weight, bias) = (values(ROWS * inputs), values(inputs * outputs), values(outputs));
        let mut y = vec![0.0; ROWS * outputs];
        linear(&x, &weight, &bias, &mut y)?;
        write!(odd, "(&{x:?}, &{weight:?}, &{bias:?}, &{:?}),", bits(&y))?;
    }
    odd += "];\n";
    Ok(fs::write(out.join("odd.rs"), odd)?)
}

/// The networks of a shape with weights of each type: tuples in Rust.
fn entries(shape: &Shape, rows: usize, out: &Path) -> Result<String, Box<dyn Error>> {
    let Shape { dim, width, .. } = *shape;
    let mut entries = String::new();
    for (name, dtype) in [("f32", "F32"), ("f16", "F16"), ("int8", "I8")] {
        let path = out.join(format!("{name}-{dim}-{width}.safetensors"));
        let file = network(shape, dtype);
        fs::write(&path, &file)?;
        let model = ResidualMlp::from_artifact(&Artifact::parse(&file)?)?;
        let (x, mut y) = (values(rows * dim), vec![0.0; rows * dim]);
        let mut scratch = vec![0.0; model.scratch_len(rows)];
        model.forward(&x, vec![500.0; rows], &mut y, &mut scratch)?;
        write!(
            entries,
            "(\"{name}\", &Aligned(*include_bytes!({:?})), {x:?}, {:?}),",
            path.to_str().ok_or("the build's folder has a name that is no text")?,
            bits(&y)
        )?;
    }
    Ok(entries)
}

pub(crate) fn bits(y: &[f32]) -> Vec<u32> {
    y.iter().map(|y| y.to_bits()).collect()
}

/// Numbers in [-1, 1].
fn values(n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 7919 + n) % 1009) as f32 / 504.5 - 1.0).collect()
}

/// A residual MLP whose weights are a hash's bits: they change no instruction's number.
fn network(shape: &Shape, dtype: &'static str) -> Vec<u8> {
    let Shape { dim, width, blocks, few_stay } = *shape;
    let mut tensors = Vec::new();
    let mut layer = |name: &str, outputs: usize, inputs: usize| {
        let dtype = if few_stay && dtype == "I8" && inputs < 16 { "F32" } else { dtype };
        tensors.push((format!("{name}.weight"), dtype, vec![outputs, inputs]));
        tensors.push((format!("{name}.bias"), "F32", vec![outputs]));
        if dtype == "I8" {
            tensors.push((format!("{name}.scale"), "F32", vec![outputs]));
        }
    };
    layer("input", width, dim);
    for block in 0..blocks {
        layer(&format!("blocks.{block}.fc1"), width, width);
        layer(&format!("blocks.{block}.fc2"), width, width);
    }
    layer("output", dim, width);
    for name in (0..blocks).map(|block| format!("blocks.{block}.norm")).chain(["norm".into()]) {
        tensors.push((format!("{name}.weight"), "F32", vec![width]));
        tensors.push((format!("{name}.bias"), "F32", vec![width]));
    }
    file(tensors)
}

/// A file of those tensors (name, type, shape), whose numbers are a hash's bits.
pub(crate) fn file(mut tensors: Vec<(String, &'static str, Vec<usize>)>) -> Vec<u8> {
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
