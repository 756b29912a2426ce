//! The log of a run: JSON lines.

use super::Step;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

/// A file of one JSON object per logged step, with the losses averaged over the steps since the last one.
#[derive(Debug)]
pub struct Log {
    file: BufWriter<File>,
    every: u64,
    sum: [f64; 2],
    count: u64,
}

impl Log {
    /// Opens the log of a run that has taken `steps` steps; later lines (of a run that went further before it was
    /// resumed from an earlier checkpoint) are dropped. Logs every `every` steps.
    ///
    /// # Errors
    /// The file system's.
    pub fn open(path: &Path, steps: u64, every: u64) -> std::io::Result<Self> {
        if let Ok(old) = File::open(path) {
            let mut kept = String::new();
            for line in BufReader::new(old).lines() {
                let line = line?;
                let step =
                    serde_json::from_str::<serde_json::Value>(&line).ok().and_then(|v| v["step"].as_u64());
                if step.is_some_and(|step| step <= steps) {
                    kept.push_str(&line);
                    kept.push('\n');
                }
            }
            super::write_whole(path, kept.as_bytes())?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { file: BufWriter::new(file), every: every.max(1), sum: [0.0; 2], count: 0 })
    }

    /// Takes note of a step; gives the mean losses where a line was written.
    ///
    /// # Errors
    /// The file system's.
    pub fn step(&mut self, step: &Step) -> std::io::Result<Option<[f64; 2]>> {
        self.sum[0] += step.standard;
        self.sum[1] += step.contrastive;
        self.count += 1;
        if !step.step.is_multiple_of(self.every) {
            return Ok(None);
        }
        let mean = self.sum.map(|sum| sum / self.count as f64);
        let line = Step { standard: mean[0], contrastive: mean[1], ..*step };
        serde_json::to_writer(&mut self.file, &line)?;
        self.file.write_all(b"\n")?;
        self.file.flush()?;
        (self.sum, self.count) = ([0.0; 2], 0);
        Ok(Some(mean))
    }
}
