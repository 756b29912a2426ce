//! Runs on the host what an image runs. `twin` prints the lines of `sample`, `twin navigate` those of `navigate`; followed by a file of the
//! image's output they are compared: digests and counts must be the same, samples within 1e-5.

mod compare;

use picardy_firmware_shared::navigate::navigate;
use picardy_firmware_shared::{Buffers, DIM, ITEMS, Kind, sample, write_digests, write_samples};
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
    let mut lines = String::new();
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if_eq("navigate").is_some() {
        navigate(&mut Box::default(), &mut lines)?;
    } else {
        write_digests(&mut lines)?;
        let mut buffers = Box::new(Buffers::new());
        for kind in Kind::ALL {
            let mut x = [0.0; ITEMS * DIM];
            let report = sample(kind, &mut x, &mut buffers)?;
            write_samples(kind, &x, &report, &mut lines)?;
        }
    }
    let Some(path) = arguments.next() else {
        print!("{lines}");
        return Ok(());
    };
    let image = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let agreement = compare::compare(&lines, &image)?;
    println!("{agreement}");
    Ok(())
}
