//! The log of a run: JSON lines.

use super::{Step, Terms};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;

/// What the log has taken note of since its last line; a checkpoint keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogState {
    /// The sums of the loss's terms.
    pub sum: Terms,
    /// The steps they are sums over.
    pub count: u64,
}

/// A file of one JSON object per logged step, with the losses averaged over the steps since the last one.
#[derive(Debug)]
pub struct Log {
    file: File,
    every: u64,
    state: LogState,
}

impl Log {
    /// Opens the log of a run that has taken `steps` steps and whose log was in `state` then; later lines (of a run
    /// that went further before it was resumed from an earlier checkpoint) are dropped. Logs every `every` steps.
    ///
    /// # Errors
    /// The file system's.
    pub fn open(path: &Path, steps: u64, every: u64, state: LogState) -> std::io::Result<Self> {
        match std::fs::read(path) {
            Ok(old) => {
                let mut kept = Vec::new();
                for line in old.split_inclusive(|&byte| byte == b'\n') {
                    let step = serde_json::from_slice::<serde_json::Value>(line)
                        .ok()
                        .and_then(|value| value["step"].as_u64());
                    // A line without its end was cut off by a full disk or a crash.
                    if line.ends_with(b"\n") && step.is_some_and(|step| step <= steps) {
                        kept.extend_from_slice(line);
                    }
                }
                super::write_whole(path, &kept)?;
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { file, every: every.max(1), state })
    }

    /// Takes note of a step; gives the step with the mean losses where a line was written.
    ///
    /// # Errors
    /// The file system's. The step is taken note of all the same, and belongs to the next line that is written.
    pub fn step(&mut self, step: &Step) -> std::io::Result<Option<Step>> {
        let LogState { sum, count } = &mut self.state;
        sum.add(&step.terms);
        *count += 1;
        if !step.step.is_multiple_of(self.every) {
            return Ok(None);
        }
        let line = Step { terms: sum.divided(*count as f64), ..*step };
        self.line(&line)?;
        self.state = LogState::default();
        Ok(Some(line))
    }

    /// Writes one more line, which has a `step`.
    ///
    /// # Errors
    /// The file system's.
    pub fn line(&mut self, line: &impl Serialize) -> std::io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        self.file.write_all(&bytes)
    }

    /// Brings what was written to the disk.
    ///
    /// # Errors
    /// The file system's.
    pub fn sync(&self) -> std::io::Result<()> {
        self.file.sync_data()
    }

    /// What a checkpoint must keep for the log to go on as if the run had not been stopped.
    pub const fn state(&self) -> LogState {
        self.state
    }
}
