//! Where two denoisers are wrong, and where a sequential and a parallel run ask them: after Figure 1
//! of the contrastive diffusion loss's paper, arXiv 2407.08946.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use plotters::style::{RGBColor, WHITE};

use super::{
    axes::{Axes, NAME, SMALL, TITLE},
    canvas::{AFTER, BELOW, Canvas, Drawn, paint},
    check::{finite, quantiles},
    colour::{ERRORS, FRAME, INK},
};

/// A map's width.
const WIDE: f64 = 1000.0;
/// A map's height.
const HIGH: f64 = 700.0;
/// Left of the first map, for the numbers and the name of the axis.
const LEFT: f64 = 136.0;
/// Between the maps.
const GAP: f64 = 44.0;
/// Right of the second map, for the scale of the errors.
const RIGHT: f64 = 190.0;
/// Above the maps, for the titles.
const ABOVE: f64 = 156.0;
/// Below the maps, for the axes and the legend.
const UNDER: f64 = 200.0;
/// Dots that are drawn of one round at most: more run into one another.
const DOTS: usize = 90;
/// The sequential path.
const PATH: RGBColor = RGBColor(0xff, 0x5a, 0x36);

/// Two denoisers' errors over a grid, and the states at which they were asked.
#[derive(Debug, Clone)]
pub struct ErrorMap {
    /// The grid's log-SNR, ascending.
    pub log_snr: Vec<f64>,
    /// The grid's x, ascending.
    pub x: Vec<f64>,
    /// The squared error of the standard model, [log_snr, x] in row-major order.
    pub standard: Vec<f64>,
    /// The squared error of the contrastive model, likewise.
    pub contrastive: Vec<f64>,
    /// The states of a run in sequence, as (log-SNR, x).
    pub sequential: Vec<(f64, f64)>,
    /// The states that a parallel run evaluates in each round, as (log-SNR, x).
    pub parallel: Vec<Vec<(f64, f64)>>,
}

/// Draws both errors as maps of one logarithmic scale, the sequential path as a line and the parallel
/// run's states as dots over them, the later the round the fainter. To the PNG file `path`.
///
/// Dots are thinned out to 90 a round; those outside the grid are left out.
///
/// # Errors
/// A grid with a side below 2 or not ascending, an error map of another size or with a negative
/// number, a number that is not finite; the file cannot be written.
pub fn error_map(path: &Path, map: &ErrorMap) -> Result<()> {
    check(map).with_context(|| format!("cannot draw the error map to `{}`", path.display()))?;
    let size = (LEFT + 2.0 * WIDE + GAP + RIGHT, ABOVE + HIGH + UNDER);
    let range = decades(map);
    paint(path, (size.0 as u32, size.1 as u32), |canvas| {
        let title = "Where each denoiser is wrong, and where samplers ask it";
        canvas.text(title, (LEFT + WIDE + GAP / 2.0, 24.0), TITLE + 6.0, INK, BELOW)?;
        let models = [("Standard loss", &map.standard), ("Contrastive loss", &map.contrastive)];
        for (index, (title, errors)) in models.into_iter().enumerate() {
            let axes = Axes {
                corner: (LEFT + index as f64 * (WIDE + GAP), ABOVE),
                size: (WIDE, HIGH),
                x: (map.log_snr[0], map.log_snr[map.log_snr.len() - 1]),
                y: (map.x[0], map.x[map.x.len() - 1]),
            };
            heat(canvas, map, errors, &axes, range)?;
            states(canvas, map, &axes)?;
            axes.frame(canvas)?;
            let middle = axes.corner.0 + WIDE / 2.0;
            canvas.text(title, (middle, ABOVE - 56.0), TITLE, INK, BELOW)?;
            axes.label_x(canvas, 6, "log-SNR (left: noise, right: data)")?;
            if index == 0 {
                axes.label_y(canvas, 6, "x", 104.0)?;
            }
        }
        scale(canvas, LEFT + 2.0 * WIDE + GAP + 34.0, range)?;
        legend(canvas, LEFT + WIDE + GAP / 2.0, size.1 - 44.0, map.parallel.len())
    })
}

fn check(map: &ErrorMap) -> Result<()> {
    for (name, side) in [("log-SNR", &map.log_snr), ("x", &map.x)] {
        ensure!(side.len() >= 2, "the grid has {} values of {name}, and 2 at least are needed", side.len());
        finite(name, side.iter().copied())?;
        let falls = side.windows(2).position(|pair| pair[0] >= pair[1]);
        ensure!(falls.is_none(), "the grid's {name} does not ascend after number {}", falls.unwrap_or(0));
    }
    let cells = map.log_snr.len() * map.x.len();
    for (name, errors) in
        [("the standard errors", &map.standard), ("the contrastive errors", &map.contrastive)]
    {
        ensure!(errors.len() == cells, "{name} are {} numbers, and the grid has {cells}", errors.len());
        finite(name, errors.iter().copied())?;
        let negative = errors.iter().position(|error| *error < 0.0);
        ensure!(negative.is_none(), "{name}: number {} is negative", negative.unwrap_or(0));
    }
    let flat = |states: &[(f64, f64)]| states.iter().flat_map(|s| [s.0, s.1]).collect::<Vec<_>>();
    finite("the sequential path", flat(&map.sequential))?;
    for (index, round) in map.parallel.iter().enumerate() {
        finite(&format!("round {}", index + 1), flat(round))?;
    }
    Ok(())
}

/// The powers of ten between which nearly all errors of both models lie.
fn decades(map: &ErrorMap) -> (f64, f64) {
    let positive = || map.standard.iter().chain(&map.contrastive).copied().filter(|e| *e > 0.0);
    if positive().next().is_none() {
        return (-1.0, 0.0);
    }
    let [low, high] = quantiles(positive().map(f64::log10), [0.02, 0.995]);
    // Six decades at most: what is smaller is nothing.
    let low = low.max(high - 6.0);
    if high - low < 1.0 { (high - 1.0, high) } else { (low, high) }
}

/// The map itself, straight between the grid's points.
fn heat(canvas: &Canvas<'_, '_>, map: &ErrorMap, errors: &[f64], axes: &Axes, range: (f64, f64)) -> Drawn {
    let unit =
        |error: f64| ((error.max(f64::MIN_POSITIVE).log10() - range.0) / (range.1 - range.0)).clamp(0.0, 1.0);
    let units: Vec<f64> = errors.iter().map(|error| unit(*error)).collect();
    let columns = map.x.len();
    canvas.shade(axes.corner, axes.end(), |u, v| {
        let (i, a) = place(&map.log_snr, axes.x.0 + u * (axes.x.1 - axes.x.0));
        let (j, b) = place(&map.x, axes.y.1 + v * (axes.y.0 - axes.y.1));
        let row = |i: usize| {
            let at = &units[i * columns + j..];
            at[0] * (1.0 - b) + at[1] * b
        };
        ERRORS.at(row(i) * (1.0 - a) + row(i + 1) * a)
    })
}

/// The interval of an ascending side in which a value lies, and how far in it.
fn place(side: &[f64], value: f64) -> (usize, f64) {
    let low = side.partition_point(|v| *v <= value).clamp(1, side.len() - 1) - 1;
    (low, ((value - side[low]) / (side[low + 1] - side[low])).clamp(0.0, 1.0))
}

/// How strong a round's dots are.
fn strength(round: usize, rounds: usize) -> f64 {
    if rounds > 1 { 0.95 - 0.75 * round as f64 / (rounds - 1) as f64 } else { 0.95 }
}

fn states(canvas: &Canvas<'_, '_>, map: &ErrorMap, axes: &Axes) -> Drawn {
    let rounds = map.parallel.len();
    for (index, round) in map.parallel.iter().enumerate().rev() {
        for &state in round.iter().step_by(round.len().div_ceil(DOTS).max(1)) {
            if axes.holds(state) {
                dot(canvas, axes.at(state), strength(index, rounds))?;
            }
        }
    }
    axes.path(canvas, map.sequential.iter().copied(), WHITE, 6.0)?;
    axes.path(canvas, map.sequential.iter().copied(), PATH, 3.0)
}

/// A white dot with a dark rim, which shows on every colour of the map.
fn dot(canvas: &Canvas<'_, '_>, at: (f64, f64), strength: f64) -> Drawn {
    canvas.dot(at, 6.5, INK, strength * 0.6)?;
    canvas.dot(at, 5.0, WHITE, strength)
}

/// What the map's colours mean.
fn scale(canvas: &Canvas<'_, '_>, left: f64, range: (f64, f64)) -> Drawn {
    let (top, bottom, right) = (ABOVE, ABOVE + HIGH, left + 38.0);
    canvas.shade((left, top), (right, bottom), |_, v| ERRORS.at(1.0 - v))?;
    for decade in (range.0.ceil() as i32)..=(range.1.floor() as i32) {
        let y = bottom - (f64::from(decade) - range.0) / (range.1 - range.0) * (bottom - top);
        canvas.line((right, y), (right + 8.0, y), FRAME, 1.5)?;
        canvas.text("10", (right + 14.0, y), SMALL, INK, AFTER)?;
        let after = right + 16.0 + canvas.width_of("10", SMALL)?;
        let power = decade.to_string().replace('-', "\u{2212}");
        canvas.text(&power, (after, y - 11.0), SMALL - 7.0, INK, AFTER)?;
    }
    canvas.text_upwards("squared error", (right + 104.0, (top + bottom) / 2.0), NAME, INK)
}

/// One line, its middle at `middle`.
fn legend(canvas: &Canvas<'_, '_>, middle: f64, y: f64, rounds: usize) -> Drawn {
    let one = "sequential run";
    let many = match rounds {
        0 | 1 => "states that a parallel run evaluates".to_owned(),
        _ => format!("states that a parallel run evaluates, rounds 1 to {rounds}"),
    };
    let count = rounds.min(8);
    let (line, gap, step) = (70.0, 16.0, 30.0);
    let strip = step * (count + 1) as f64;
    let first = line + gap + canvas.width_of(one, NAME)?;
    let second = if rounds > 0 { 80.0 + strip + gap + canvas.width_of(&many, NAME)? } else { 0.0 };
    let left = middle - (first + second) / 2.0;
    canvas.line((left, y), (left + line, y), PATH, 4.0)?;
    canvas.text(one, (left + line + gap, y), NAME, INK, AFTER)?;
    if rounds == 0 {
        return Ok(());
    }
    // The dots lie on one of the map's colours, as white ones would not show on white.
    let left = left + first + 80.0;
    canvas.block((left, y - 18.0), (left + strip, y + 18.0), ERRORS.at(0.35))?;
    for i in 0..count {
        let round = if count > 1 { i * (rounds - 1) / (count - 1) } else { 0 };
        dot(canvas, (left + step * (i + 1) as f64, y), strength(round, rounds))?;
    }
    canvas.text(&many, (left + strip + gap, y), NAME, INK, AFTER)
}

#[cfg(test)]
mod tests {
    use super::{super::probe, *};

    fn map() -> ErrorMap {
        let (log_snr, x): (Vec<f64>, Vec<f64>) =
            ((-5..=5).map(f64::from).collect(), (-3..=3).map(f64::from).collect());
        let errors: Vec<f64> =
            log_snr.iter().flat_map(|l| x.iter().map(move |x| (x * x + l).exp() * 1e-3)).collect();
        let path: Vec<_> = log_snr.iter().map(|l| (*l, l.sin())).collect();
        ErrorMap {
            standard: errors.clone(),
            contrastive: errors,
            parallel: vec![path.clone(), path.clone()],
            sequential: path,
            log_snr,
            x,
        }
    }

    #[test]
    fn maps_are_drawn() {
        let dir = probe::Folder::new("error-map");
        let path = dir.path("error_map.png");
        error_map(&path, &map()).unwrap();
        probe::is_picture(&path, (2370, 1056));
        // Nothing to see is no failure.
        let bare =
            ErrorMap { standard: vec![0.0; 77], contrastive: vec![0.0; 77], parallel: vec![], ..map() };
        error_map(&path, &ErrorMap { sequential: vec![], ..bare }).unwrap();
        assert_eq!(dir.files(), 1);
    }

    #[test]
    fn bad_input_is_named_and_leaves_nothing() {
        let dir = probe::Folder::new("error-map-bad");
        let path = dir.path("error_map.png");
        type Spoil = fn(&mut ErrorMap);
        let bad: [(Spoil, &str); 7] = [
            (|m| m.x.truncate(1), "1 values of x"),
            (|m| m.log_snr[3] = -5.0, "log-SNR does not ascend after number 2"),
            (|m| m.standard.truncate(7), "7 numbers, and the grid has 77"),
            (|m| m.contrastive[2] = -1.0, "contrastive errors: number 2 is negative"),
            (|m| m.standard[0] = f64::NAN, "number 0 is NaN"),
            (|m| m.sequential[1].1 = f64::NAN, "sequential path: number 3"),
            (|m| m.parallel[1][0].0 = f64::INFINITY, "round 2: number 0 is inf"),
        ];
        for (spoil, said) in bad {
            let mut map = map();
            spoil(&mut map);
            let message = format!("{:#}", error_map(&path, &map).unwrap_err());
            assert!(message.contains(said), "{message}");
        }
        assert!(error_map(&dir.path("missing").join("e.png"), &map()).is_err());
        assert_eq!(dir.files(), 0);
    }
}
