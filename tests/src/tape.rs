//! Recorded noise and what another program made of it: the .npz files of `tests/peers/parallel.py --save`.

use anyhow::{Context, Result, ensure};
use picardy::Noise;
use picardy_trainer::data::{Array, read_npy};
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;
use zip::ZipArchive;
use zip::result::ZipError;

/// A run's start, its noise, and another program's sample from them.
#[derive(Clone, Debug, PartialEq)]
pub struct Tape {
    /// Steps of the run that it was recorded for.
    pub steps: usize,
    /// Items.
    pub batch: usize,
    /// Coordinates of an item.
    pub dim: usize,
    /// The states at node 0, `[batch, dim]`.
    pub init: Vec<f32>,
    /// The other program's sequential result, `[batch, dim]`.
    pub sequential: Vec<f32>,
    /// Unit normals `[steps, batch, dim]`; single precision, in the type that [`Noise::tape`] takes.
    noise: Vec<f64>,
}

impl Tape {
    /// Reads `init` and `sequential` `[batch, dims...]` and `noise` `[steps, batch, dims...]` from a .npz file; the axes of an item
    /// become one.
    ///
    /// # Errors
    /// A file that is no archive, is compressed or lacks one of the arrays; arrays that disagree about a shape; a number that
    /// is not finite, or is in no single precision.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = File::open(path).with_context(|| path.display().to_string())?;
        let mut archive = ZipArchive::new(BufReader::new(file)).with_context(|| {
            format!("{}: this is no .npz file; write it with `parallel.py --save`", path.display())
        })?;
        let mut read = |name: &str| array(&mut archive, path, name);
        let (init, noise, sequential) = (read("init")?, read("noise")?, read("sequential")?);
        let shape = |array: &Array| array.shape.clone();
        let named = || path.display();
        ensure!(
            init.shape.len() >= 2,
            "{}: `init` has the shape {:?}; it must be [batch, dims]",
            named(),
            init.shape
        );
        ensure!(
            noise.shape.get(1..) == Some(&init.shape) && sequential.shape == init.shape,
            "{}: `init` has the shape {:?}, `noise` {:?} and `sequential` {:?}; they must be [batch, dims], [steps, batch, dims] and \
             [batch, dims]",
            named(),
            shape(&init),
            shape(&noise),
            shape(&sequential)
        );
        // No array is empty, so no extent is 0.
        let (steps, batch) = (noise.shape[0], init.shape[0]);
        let dim = init.values.len() / batch;
        let single = |array: Array| array.values.iter().map(|&x| x as f32).collect();
        Ok(Self {
            steps,
            batch,
            dim,
            noise: noise.values,
            init: single(init),
            sequential: single(sequential),
        })
    }

    /// The noise as a run's: node k reads what was drawn for step k - 1.
    pub fn noise(&self) -> Noise<'_> {
        Noise::tape(&self.noise, self.batch, self.dim)
    }

    /// Whether it was recorded for runs of `steps` steps with items of `dim` coordinates.
    ///
    /// # Errors
    /// It was not: a run of fewer steps would use the beginning of the noise and end in another sample.
    pub fn check(&self, steps: usize, dim: usize) -> Result<()> {
        ensure!(
            (self.steps, self.dim) == (steps, dim),
            "the recorded noise is of {} steps and {} coordinates, the run of {steps} and {dim}; record it for such a run",
            self.steps,
            self.dim
        );
        Ok(())
    }
}

/// The array `name`, all of it finite in single precision.
fn array(archive: &mut ZipArchive<impl Read + Seek>, path: &Path, name: &str) -> Result<Array> {
    let place = path.join(format!("{name}.npy"));
    let entry = archive.by_name(&format!("{name}.npy")).map_err(|error| {
        let mend = match error {
            ZipError::FileNotFound => "write it with `parallel.py --save`",
            ZipError::UnsupportedArchive(_) => "write it with numpy.savez, which does not compress",
            _ => "write it anew",
        };
        anyhow::anyhow!("{}: {error}; {mend}", place.display())
    })?;
    let size = entry.size();
    let array = read_npy(&place, entry, size)?;
    if let Some(index) = array.values.iter().position(|&x| !(x as f32).is_finite()) {
        let value = array.values[index];
        anyhow::bail!(
            "{}: number {index} is {value}, which is not finite in single precision; write the file anew",
            place.display()
        );
    }
    Ok(array)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use zip::write::{SimpleFileOptions, ZipWriter};

    type Entry<'a> = (&'a str, &'a str, &'a [f32]);

    const GOOD: [Entry<'static>; 3] = [
        ("init", "(2, 1, 2)", &[1.0, 2.0, 3.0, 4.0]),
        ("noise", "(3, 2, 1, 2)", &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0]),
        ("sequential", "(2, 1, 2)", &[5.0, 6.0, 7.0, 8.0]),
    ];

    /// An archive as numpy.savez writes it.
    fn npz(entries: &[Entry<'_>]) -> Vec<u8> {
        let mut archive = ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (name, shape, values) in entries {
            let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
            archive.start_file(format!("{name}.npy"), SimpleFileOptions::default()).unwrap();
            archive.write_all(b"\x93NUMPY\x01\x00").unwrap();
            archive.write_all(&(header.len() as u16).to_le_bytes()).unwrap();
            archive.write_all(header.as_bytes()).unwrap();
            values.iter().for_each(|value| archive.write_all(&value.to_le_bytes()).unwrap());
        }
        archive.finish().unwrap().into_inner()
    }

    fn read(bytes: &[u8]) -> Result<Tape> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("noise.npz");
        std::fs::write(&path, bytes).unwrap();
        Tape::read(path)
    }

    fn changed(change: Entry<'_>) -> String {
        let entries = GOOD.map(|entry| if entry.0 == change.0 { change } else { entry });
        format!("{:#}", read(&npz(&entries)).unwrap_err())
    }

    #[test]
    fn a_recording_is_read_as_it_was_written() {
        let tape = read(&npz(&GOOD)).unwrap();
        assert_eq!((tape.steps, tape.batch, tape.dim), (3, 2, 2));
        assert_eq!((&tape.init[..], &tape.sequential[..]), (GOOD[0].2, GOOD[2].2));
        let noise = tape.noise();
        noise.check(3, 2, 2).unwrap();
        // Node 3, item 1: what was drawn for the third step.
        assert_eq!(noise.block(1, 3, 0), [10.0, 11.0, 0.0, 0.0]);
        tape.check(3, 2).unwrap();
        for (steps, dim) in [(2, 2), (4, 2), (3, 1)] {
            let said = tape.check(steps, dim).unwrap_err().to_string();
            assert!(said.contains("of 3 steps and 2 coordinates") && said.contains("record"), "{said}");
        }
    }

    #[test]
    fn what_is_no_recording_is_named() {
        let cases = [
            (changed(("init", "(4,)", GOOD[0].2)), "`init` has the shape [4]"),
            (changed(("noise", "(2, 3, 2)", GOOD[1].2)), "`noise` [2, 3, 2]"),
            (changed(("sequential", "(4, 1)", GOOD[2].2)), "`sequential` [4, 1]"),
            (changed(("noise", "(3, 2, 1, 2)", &[0.0])), "noise.npz/noise.npy: the header promises"),
            (changed(("noise", "(0, 2, 1, 2)", &[])), "noise.npz/noise.npy: the file is empty"),
            (changed(("init", "(2, 1, 2)", &[1.0, f32::NAN, 3.0, 4.0])), "init.npy: number 1 is NaN"),
            (changed(("init", "(9999999999, 9999999999)", &[])), "overflows"),
            (format!("{:#}", read(&npz(&GOOD[..2])).unwrap_err()), "sequential.npy"),
            (format!("{:#}", read(b"PK but no archive").unwrap_err()), "no .npz file"),
            (format!("{:#}", Tape::read("/no/such.npz").unwrap_err()), "/no/such.npz"),
        ];
        for (said, part) in cases {
            assert!(said.contains(part), "\"{said}\" does not say \"{part}\"");
        }
    }

    #[test]
    fn damaged_archives_are_errors() {
        let good = npz(&GOOD);
        for i in 0..good.len() {
            let _ = read(&good[..i]);
            let mut turned = good.clone();
            turned[i] ^= 1 << (i % 8);
            // A turned bit may leave a good archive.
            let _ = read(&turned);
        }
    }
}
