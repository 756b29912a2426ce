//! What a network takes on a microcontroller.

use picardy::nn::{Architecture, Artifact, Footprint, Machine, ModelCard, ModelError, Step, WeightFormat};
use std::error::Error;
use std::fmt::Write;

/// Bytes that a chip has where nothing is said: those of a Cortex-M4F with much of both.
const FLASH: usize = 2 << 20;
const RAM: usize = 512 << 10;
/// Bytes of code and constants, and of stack, as the image `policy_wide` takes them. They depend on the network little.
const CODE: usize = 104 << 10;
const STACK: usize = 8 << 10;

/// The lines for a file, from `MODEL.safetensors [FLASH RAM]`.
///
/// # Errors
/// A file that is no model, or bytes that are no number.
pub(crate) fn report(arguments: &[String]) -> Result<String, Box<dyn Error>> {
    let (path, sizes) = match arguments {
        [path] => (path, [FLASH, RAM]),
        [path, flash, ram] => (path, [bytes(flash)?, bytes(ram)?]),
        _ => return Err("give a file: need MODEL.safetensors [FLASH RAM], both in bytes".into()),
    };
    let file = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
    let artifact = Artifact::parse(&file).map_err(|error| format!("{path}: {error}"))?;
    let card =
        ModelCard::from_lookup(|key| artifact.metadata(key)).map_err(|error| format!("{path}: {error}"))?;
    let shape: Vec<usize> = card.shape.iter().map(|axis| axis as usize).collect();
    Ok(lines(&card.architecture, &shape, card.condition, sizes)?)
}

fn bytes(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("`{text}` is no number of bytes: give a whole number"))
}

/// A line for each type of weights.
fn lines(
    architecture: &Architecture,
    shape: &[usize],
    condition: usize,
    [flash, ram]: [usize; 2],
) -> Result<String, ModelError> {
    let mut text = String::new();
    let mut steps = vec![Step::default(); architecture.steps(condition)];
    for format in [WeightFormat::F32, WeightFormat::F16, WeightFormat::Int8] {
        let need = Footprint::new(architecture, shape, condition, format, Machine::Bits32, &mut steps)?;
        let memory = need.ram().saturating_add(STACK);
        let in_flash = need.weights.saturating_add(CODE) <= flash;
        // A String takes all that is written.
        let _ = writeln!(
            text,
            "{format}: {} weights, {} bytes of flash and {CODE} of code, {}; {memory} bytes of RAM with the stack, {} {ram}",
            need.parameters,
            need.weights,
            match in_flash {
                true => format!("fits {flash}"),
                false => format!("more than {flash}: put the weights in flash outside of the chip"),
            },
            if memory <= ram { "fits" } else { "more than" },
        );
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use picardy_firmware_shared::Policy;

    fn of(policy: &Policy, sizes: [usize; 2]) -> Vec<String> {
        let architecture = policy.architecture().unwrap();
        let shape = [policy.horizon, policy.actions];
        let text = lines(&architecture, &shape, policy.observation, sizes).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_wide_policy_fits_ram_but_not_flash() {
        let lines = of(&Policy::WIDE, [FLASH, RAM]);
        assert!(lines.len() == 3 && lines.iter().all(|line| line.contains("4159874 weights")));
        assert!(lines.iter().all(|line| line.contains("fits 524288") && line.contains("more than 2097152")));
        // 4159874 numbers of four bytes.
        assert!(lines[0].contains(" 16639496 bytes of flash"), "{}", lines[0]);
        let lines = of(&Policy::WIDE, [8 << 20, 64 << 10]);
        assert!(lines[2].contains("fits 8388608") && lines[2].contains("more than 65536"), "{}", lines[2]);
        assert!(of(&Policy::SMALL, [FLASH, 64 << 10]).iter().all(|line| line.matches("fits").count() == 2));
    }

    #[test]
    fn what_is_no_model_is_an_error() {
        let of = |arguments: &[&str]| {
            let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
            report(&arguments).map_err(|error| error.to_string())
        };
        let dino = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/dino.safetensors");
        assert_eq!(of(&[dino]).unwrap().matches("fits").count(), 6);
        assert!(of(&[dino, "much", "1"]).unwrap_err().contains("much"));
        assert!(of(&[]).unwrap_err().contains("MODEL"));
        assert!(of(&["/nowhere.safetensors"]).unwrap_err().contains("/nowhere.safetensors"));
        assert!(
            of(&[concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]).unwrap_err().contains("Cargo.toml")
        );
    }
}
