//! How many rows a device evaluates best at once, by measurement.

use std::time::{Duration, Instant};

use picardy::{Level, Row};

use super::rows::{BoxError, RequestRow, RowDenoiser};

/// Calls timed for each number of rows; the median counts.
const CALLS: usize = 5;
/// How much longer than one row's a call may take and still be called as fast.
const AS_ONE: f64 = 1.5;
/// How near to the best time per row is near enough.
const NEAR: f64 = 1.1;

/// What calls of more and more rows take.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sizing {
    /// Rows of a call (1, 2, 4, and so on) and seconds that it takes.
    pub measured: Vec<(usize, f64)>,
    /// The fewest rows whose time per row is within a tenth of the best: [`Settings::rows`](super::Settings::rows), and
    /// [`Picard::rows`](picardy::Picard::rows) of a request that has the device to itself.
    pub rows: usize,
    /// The most rows that take at most half again as long as one: what [`Auto::rows`](picardy::Auto::rows) means.
    pub as_one: usize,
}

/// Times calls of 1, 2, 4, up to `most` rows at a level that the network knows. Ends early at a call that fails where a smaller
/// one did not (the device's memory), or when `time` is over.
///
/// ```
/// use picardy::Level;
/// use picardy_ort::pipeline::{self, RequestRow};
/// use std::time::Duration;
/// // A device that takes a millisecond for up to 8 rows.
/// let mut device = pipeline::from_fn(1, |rows: &[RequestRow], _: &[f32], out: &mut [f32]| {
///     std::thread::sleep(Duration::from_millis(rows.len().div_ceil(8) as u64));
///     out.fill(0.0);
///     Ok(())
/// });
/// let sizing = pipeline::measure(&mut device, Level::vp(0.5, 500.0), 64, Duration::from_secs(5))?;
/// assert_eq!(sizing.measured.len(), 7);
/// # Ok::<(), pipeline::BoxError>(())
/// ```
///
/// # Errors
/// The denoiser's, for one row.
pub fn measure(
    denoiser: &mut dyn RowDenoiser,
    level: Level,
    most: usize,
    time: Duration,
) -> Result<Sizing, BoxError> {
    let (dim, begun) = (denoiser.dim(), Instant::now());
    let mut measured = Vec::new();
    let mut rows = 1;
    while rows <= most.max(1) && (rows == 1 || begun.elapsed() < time) {
        let asked: Vec<RequestRow> = (0..rows)
            .map(|item| RequestRow { tag: 0, row: Row { item, node: 0, level, conditional: true } })
            .collect();
        // Numbers of a unit's size, none alike.
        let x: Vec<f32> = (0..rows * dim).map(|i| (i as f32 * 0.7).sin()).collect();
        let mut out = vec![0.0; rows * dim];
        let mut seconds = Vec::new();
        // The first call of a shape may allocate or compile.
        for call in 0..=CALLS {
            let started = Instant::now();
            match denoiser.evaluate(&asked, &x, &mut out) {
                Ok(()) => {}
                Err(error) if measured.is_empty() => return Err(error),
                Err(_) => return Ok(Sizing::of(measured)),
            }
            if call > 0 {
                seconds.push(started.elapsed().as_secs_f64());
            }
            if !seconds.is_empty() && begun.elapsed() > time {
                break;
            }
        }
        seconds.sort_by(f64::total_cmp);
        measured.push((rows, seconds.get(seconds.len() / 2).copied().unwrap_or(f64::INFINITY)));
        rows *= 2;
    }
    Ok(Sizing::of(measured))
}

impl Sizing {
    fn of(measured: Vec<(usize, f64)>) -> Self {
        let per_row = |&(rows, seconds): &(usize, f64)| seconds / rows as f64;
        let best = measured.iter().map(per_row).fold(f64::INFINITY, f64::min);
        let near = measured.iter().find(|line| per_row(line) <= NEAR * best);
        let one = measured.first().map_or(f64::INFINITY, |line| line.1);
        let as_one = measured.iter().take_while(|line| line.1 <= AS_ONE * one).last();
        let rows = |line: Option<&(usize, f64)>| line.map_or(1, |line| line.0);
        Self { rows: rows(near), as_one: rows(as_one), measured }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::from_fn;

    #[test]
    fn the_knee_is_found() {
        // 1 ms and 10 us a row up to 64 rows, after which rows cost as at 64.
        let line = |rows: usize| {
            (rows, if rows <= 64 { 1e-3 + 1e-5 * rows as f64 } else { 1.64e-3 / 64.0 * rows as f64 })
        };
        let sizing = Sizing::of([1, 2, 4, 8, 16, 32, 64, 128, 256].map(line).to_vec());
        assert_eq!((sizing.rows, sizing.as_one), (64, 32));
        // A core that one row fills.
        let sizing = Sizing::of([1, 2, 4].map(|rows| (rows, 1e-3 * rows as f64)).to_vec());
        assert_eq!((sizing.rows, sizing.as_one), (1, 1));
    }

    #[test]
    fn what_does_not_fit_ends_the_measurement() {
        let level = Level::vp(0.5, 500.0);
        let small = |most: usize| {
            from_fn(
                3,
                move |rows: &[RequestRow], _: &[f32], _: &mut [f32]| {
                    if rows.len() > most { Err("out of memory".into()) } else { Ok(()) }
                },
            )
        };
        let sizing = measure(&mut small(20), level, 1024, Duration::from_secs(5)).unwrap();
        assert_eq!(sizing.measured.iter().map(|line| line.0).collect::<Vec<_>>(), [1, 2, 4, 8, 16]);
        assert!(measure(&mut small(0), level, 1024, Duration::from_secs(5)).is_err());
        let short = measure(&mut small(1 << 20), level, 1 << 20, Duration::ZERO).unwrap();
        assert_eq!((short.measured.len(), short.rows, short.as_one), (1, 1, 1));
    }
}
