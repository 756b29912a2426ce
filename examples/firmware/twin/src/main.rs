//! Runs on the host what an image runs. `twin` prints the lines of `sample`, `twin navigate` those of `navigate`; followed by a file of the
//! image's output they are compared: digests and counts must be the same, samples within 1e-5. `twin need MODEL.safetensors [FLASH RAM]`
//! tells what the network of that file takes on a microcontroller, and whether that fits.

mod compare;
mod need;

use picardy_firmware_shared::navigate::navigate;
use picardy_firmware_shared::{
    Buffers, DIM, ITEMS, Kind, sample, write_digests, write_horizons, write_samples,
};
use std::process::ExitCode;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(("need", rest)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        print!("{}", need::report(rest)?);
        return Ok(());
    }
    let mut lines = String::new();
    let path = if arguments.first().is_some_and(|first| first == "navigate") {
        navigate(&mut Box::default(), &mut lines)?;
        arguments.get(1)
    } else {
        write_digests(&mut lines)?;
        write_horizons(&mut lines)?;
        let mut buffers = Box::new(Buffers::new());
        for kind in Kind::ALL {
            let mut x = [0.0; ITEMS * DIM];
            let report = sample(kind, &mut x, &mut buffers)?;
            write_samples(kind, &x, &report, &mut lines)?;
        }
        arguments.first()
    };
    let Some(path) = path else {
        print!("{lines}");
        return Ok(());
    };
    let image = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let agreement = compare::compare(&lines, &image)?;
    println!("{agreement}");
    Ok(())
}
