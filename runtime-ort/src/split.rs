//! Calls that are made in parts: rows of a fixed batch, rows that must share a timestep, and fewer rows
//! at a time where the device's memory ran out.

use std::ops::Range;

use crate::error::OrtError;

/// How many rows a run may have, and what became of that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limit {
    /// None where it may have any number.
    pub(crate) rows: Option<usize>,
    /// How often a part was halved for want of memory.
    pub(crate) splits: usize,
}

/// Runs `rows` rows in parts, in their order: parts end where `breaks` says that a row cannot be with the one
/// before it, and have at most `limit` rows. A part that finds no memory is halved, the limit with it, and the run
/// goes on; `out_of_memory` says which errors those are.
pub(crate) fn in_parts(
    rows: usize,
    limit: &mut Limit,
    can_halve: bool,
    breaks: impl Fn(usize) -> bool,
    mut run: impl FnMut(Range<usize>) -> Result<(), OrtError>,
) -> Result<(), OrtError> {
    let mut start = 0;
    while start < rows {
        let most = limit.rows.map_or(rows, |limit| rows.min(start.saturating_add(limit.max(1))));
        let end = (start + 1..most).find(|&row| breaks(row)).unwrap_or(most);
        match run(start..end) {
            Ok(()) => start = end,
            Err(OrtError::Run(error)) if out_of_memory(error.message()) => {
                let part = end - start;
                if part == 1 || !can_halve {
                    return Err(OrtError::OutOfMemory {
                        rows: part,
                        said: error.message().trim().to_owned(),
                    });
                }
                let half = part.div_ceil(2);
                (limit.rows, limit.splits) = (Some(half), limit.splits + 1);
                tracing::warn!(rows = part, limit = half, "out of memory: the batch is halved");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether ONNX Runtime, or the provider in it, says that memory ran out. There is no code for it: each
/// allocator has its own words.
pub(crate) fn out_of_memory(said: &str) -> bool {
    const WORDS: [&str; 16] = [
        // WebGPU: a buffer of over 4 GB, and one over the adapter's limits.
        "narrowing_error",
        "exceeds the max buffer size limit",
        "exceeds the max storage buffer binding size",
        "bad_alloc",
        "bad allocation",
        "out of memory",
        "out_of_memory",
        "outofmemory",
        "failed to allocate memory",
        "memory allocation failed",
        "memoryallocation",
        "alloc_failed",
        "out_of_device_memory",
        "out_of_host_memory",
        "is smaller than requested bytes",
        "insufficient memory",
    ];
    let said = said.to_lowercase();
    WORDS.iter().any(|words| said.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(said: &str) -> OrtError {
        OrtError::Run(ort::Error::new(said))
    }

    #[test]
    fn a_part_that_finds_no_memory_is_halved() {
        crate::ensure_runtime().unwrap();
        // A device of six rows.
        let (mut limit, mut seen, mut tried) = (Limit::default(), Vec::new(), Vec::new());
        let mut call = |rows: usize, limit: &mut Limit| {
            in_parts(
                rows,
                limit,
                true,
                |_| false,
                |part| {
                    tried.push(part.len());
                    if part.len() > 6 {
                        return Err(failed(
                            "BFCArena: Failed to allocate memory for requested buffer of size 64",
                        ));
                    }
                    seen.extend(part);
                    Ok(())
                },
            )
        };
        call(20, &mut limit).unwrap();
        assert_eq!(limit, Limit { rows: Some(5), splits: 2 });
        // The next call knows.
        call(7, &mut limit).unwrap();
        assert_eq!(limit.splits, 2);
        assert_eq!(tried, [20, 10, 5, 5, 5, 5, 5, 2]);
        assert_eq!(seen, (0..20).chain(0..7).collect::<Vec<_>>());
    }

    #[test]
    fn one_row_that_finds_no_memory_is_an_error() {
        crate::ensure_runtime().unwrap();
        let mut limit = Limit::default();
        let error = in_parts(4, &mut limit, true, |_| false, |_| Err(failed("CUDA error: out of memory")))
            .unwrap_err();
        assert!(matches!(error, OrtError::OutOfMemory { rows: 1, .. }), "{error}");
        assert_eq!(limit.splits, 2);
        // A graph of a fixed batch has no smaller one.
        let mut limit = Limit { rows: Some(4), splits: 0 };
        let error = in_parts(4, &mut limit, false, |_| false, |_| Err(failed("std::bad_alloc"))).unwrap_err();
        assert!(matches!(error, OrtError::OutOfMemory { rows: 4, .. }), "{error}");
    }

    #[test]
    fn other_errors_end_the_call() {
        crate::ensure_runtime().unwrap();
        let (mut limit, mut calls) = (Limit::default(), 0);
        let error = in_parts(
            4,
            &mut limit,
            true,
            |_| false,
            |_| {
                calls += 1;
                Err(failed("Non-zero status code returned while running Gather node"))
            },
        );
        assert!(matches!(error, Err(OrtError::Run(_))));
        assert_eq!((calls, limit), (1, Limit::default()));
    }

    #[test]
    fn parts_end_at_breaks_and_limits() {
        let mut parts = Vec::new();
        let mut limit = Limit { rows: Some(3), splits: 0 };
        in_parts(
            9,
            &mut limit,
            true,
            |row| row == 1 || row == 6,
            |part| {
                parts.push(part);
                Ok(())
            },
        )
        .unwrap();
        assert_eq!(parts, [0..1, 1..4, 4..6, 6..9]);
    }
}
