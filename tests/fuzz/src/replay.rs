//! Kept inputs, and changes of them, without libFuzzer: what CI runs on a stable compiler.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Runs `one` over the files (or all files of the folders) that the program is given, and over `--changes N` changes of each.
/// An input that panics is written to `replay-failure`.
pub fn replay(one: fn(&[u8])) -> ExitCode {
    match all(one) {
        Ok((files, inputs)) => {
            println!("{inputs} inputs of {files} files");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn all(one: fn(&[u8])) -> Result<(usize, usize), String> {
    let (mut changes, mut files) = (0usize, Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--changes" {
            let count = arguments.next().ok_or("give --changes a number")?;
            changes = count.parse().map_err(|_| format!("--changes {count}: give a number"))?;
        } else {
            add(Path::new(&argument), &mut files)?;
        }
    }
    if files.is_empty() {
        return Err("give files of inputs, or folders of them".into());
    }
    files.sort();
    let mut random = 0x9E37_79B9_7F4A_7C15u64;
    for file in &files {
        let input = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        for change in 0..=changes {
            let input = if change == 0 { input.clone() } else { changed(&input, &mut random) };
            if catch_unwind(AssertUnwindSafe(|| one(&input))).is_err() {
                std::fs::write("replay-failure", &input)
                    .map_err(|error| format!("replay-failure: {error}"))?;
                return Err(format!(
                    "{}, change {change}: see above; the input is in replay-failure",
                    file.display()
                ));
            }
        }
    }
    Ok((files.len(), files.len() * (changes + 1)))
}

fn add(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let said = |error| format!("{}: {error}", path.display());
    for entry in std::fs::read_dir(path).map_err(said)? {
        files.push(entry.map_err(said)?.path());
    }
    Ok(())
}

/// The input with some bytes changed, at times cut short or longer. The same every time.
fn changed(input: &[u8], random: &mut u64) -> Vec<u8> {
    let mut next = |below: usize| {
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        (*random >> 11) as usize % below.max(1)
    };
    let mut input = input.to_vec();
    for _ in 0..=next(6) {
        let (at, value) = (next(input.len()), next(256) as u8);
        if let Some(byte) = input.get_mut(at) {
            // Values that mean something to many readers, single bits, and any.
            *byte = match next(4) {
                0 => [0, 1, 253, 254, 255][next(5)],
                1 => *byte ^ (1 << next(8)),
                _ => value,
            };
        }
    }
    match next(12) {
        0 => input.truncate(next(input.len() + 1)),
        1 => input.extend((0..next(32)).map(|i| (i * 37) as u8)),
        _ => {}
    }
    input
}
