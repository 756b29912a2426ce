//! How parallel runs converge: the guesses of every round against the sequential path.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::{
    axes::{Axes, NAME, SMALL, TITLE, Ticks},
    canvas::{AFTER, BELOW, Canvas, Drawn, paint},
    check::{finite, quantiles, widened},
    colour::{FRAME, GRID, INK, PALE_INK, ROUNDS, pale},
};

/// Left of the first panel, for the numbers and the name of the axis.
const LEFT: f64 = 150.0;
/// Between panels.
const GAP: f64 = 84.0;
/// Right of the last panel, for the scale of the rounds.
const RIGHT: f64 = 200.0;
/// Above the panels, for the titles.
const ABOVE: f64 = 170.0;
/// The height of the upper panels.
const PATHS: f64 = 640.0;
/// Between the upper and the lower panels.
const BETWEEN: f64 = 124.0;
/// Below the lower panels.
const UNDER: f64 = 104.0;
/// The height of the lower panels.
const WINDOW: f64 = 250.0;

/// What a run in sequence and several parallel runs did to one coordinate of one item.
#[derive(Debug, Clone)]
pub struct Trajectory {
    /// What is seen: the picture's title.
    pub title: String,
    /// The coordinate's name, such as `x₁ of item 0`.
    pub coordinate: String,
    /// The coordinate at every node, 0 to K, of the run in sequence.
    pub sequential: Vec<f32>,
    /// The parallel runs, from left to right.
    pub panels: Vec<RoundsPanel>,
}

/// One parallel run.
#[derive(Debug, Clone)]
pub struct RoundsPanel {
    /// Which run this is, such as `secant: 13 rounds`.
    pub title: String,
    /// Its rounds in order.
    pub rounds: Vec<RoundPath>,
}

/// What one round leaves behind.
#[derive(Debug, Clone)]
pub struct RoundPath {
    /// The node of the first of `states`.
    pub first: usize,
    /// The coordinate's guesses after the round, one for each node from `first` on.
    pub states: Vec<f32>,
    /// The last node whose state is final after the round.
    pub done: usize,
}

/// Draws each parallel run in a panel: above, the guesses after every round, the sequential path in
/// black over them; below, how far the window has come, the other runs in grey. To the PNG file `path`.
///
/// # Errors
/// A path of fewer than two nodes, no panel, a run without rounds, a round without states or beyond
/// the last node, a number that is not finite; the file cannot be written.
pub fn trajectory(path: &Path, shown: &Trajectory) -> Result<()> {
    check(shown).with_context(|| format!("cannot draw the trajectory to `{}`", path.display()))?;
    let count = shown.panels.len() as f64;
    let side = if shown.panels.len() <= 2 { 980.0 } else { 720.0 };
    let width = LEFT + count * (side + GAP) - GAP + RIGHT;
    let height = ABOVE + PATHS + BETWEEN + WINDOW + UNDER;
    let last = (shown.sequential.len() - 1) as f64;
    let most = shown.panels.iter().map(|panel| panel.rounds.len()).max().unwrap_or(1);
    let y = range(shown);
    paint(path, (width as u32, height as u32), |canvas| {
        let size = canvas.fitting(&shown.title, TITLE + 6.0, width - 60.0)?;
        canvas.text(&shown.title, (width / 2.0, 26.0), size, INK, BELOW)?;
        for (index, panel) in shown.panels.iter().enumerate() {
            let left = LEFT + index as f64 * (side + GAP);
            let upper = Axes { corner: (left, ABOVE), size: (side, PATHS), x: (0.0, last), y };
            paths(canvas, shown, panel, &upper, most)?;
            let lower = Axes {
                corner: (left, ABOVE + PATHS + BETWEEN),
                size: (side, WINDOW),
                x: (0.0, most as f64 * 1.02),
                y: (0.0, last * 1.06),
            };
            window(canvas, shown, index, &lower)?;
            if index == 0 {
                upper.label_y(canvas, 6, &shown.coordinate, 118.0)?;
                lower.label_y(canvas, 3, "nodes done", 118.0)?;
            }
        }
        scale(canvas, width - RIGHT + 44.0, most)
    })
}

fn check(shown: &Trajectory) -> Result<()> {
    let nodes = shown.sequential.len();
    ensure!(nodes >= 2, "the sequential path has {nodes} nodes, and 2 at least are needed");
    finite("the sequential path", shown.sequential.iter().map(|v| f64::from(*v)))?;
    ensure!(!shown.panels.is_empty(), "there is no panel");
    for RoundsPanel { title, rounds } in &shown.panels {
        ensure!(!rounds.is_empty(), "`{title}` has no rounds");
        for (index, RoundPath { first, states, done }) in rounds.iter().enumerate() {
            let name = format!("`{title}`, round {}", index + 1);
            ensure!(!states.is_empty(), "{name}: there are no states");
            ensure!(
                first.checked_add(states.len()).is_some_and(|end| end <= nodes),
                "{name}: {} states from node {first} pass the last node, {}",
                states.len(),
                nodes - 1
            );
            ensure!(*done < nodes, "{name}: node {done} is done, and the last is {}", nodes - 1);
            finite(&name, states.iter().map(|v| f64::from(*v)))?;
        }
    }
    Ok(())
}

/// A range that holds the sequential path and nearly all guesses, as far as those leave it readable.
fn range(shown: &Trajectory) -> (f64, f64) {
    let [low, high] = quantiles(shown.sequential.iter().map(|v| f64::from(*v)), [0.0, 1.0]);
    let guesses = shown.panels.iter().flat_map(|panel| &panel.rounds).flat_map(|round| &round.states);
    let [least, most] = quantiles(guesses.map(|v| f64::from(*v)), [0.001, 0.999]);
    let room = ((high - low) * 1.5).max(1e-6);
    widened((least.clamp(low - room, low), most.clamp(high, high + room)), 0.05)
}

/// The upper panel of a run.
fn paths(
    canvas: &Canvas<'_, '_>,
    shown: &Trajectory,
    panel: &RoundsPanel,
    axes: &Axes,
    most: usize,
) -> Drawn {
    let (left, top) = axes.corner;
    let size = canvas.fitting(&panel.title, TITLE, axes.size.0)?;
    canvas.text(&panel.title, (left + axes.size.0 / 2.0, top - 58.0), size, INK, BELOW)?;
    axes.grid(canvas, (5, 6))?;
    for (index, round) in panel.rounds.iter().enumerate() {
        let points = round.states.iter().enumerate().map(|(i, v)| ((round.first + i) as f64, f64::from(*v)));
        axes.path(canvas, points, ROUNDS.of(index, most), 2.5)?;
    }
    let sequential = shown.sequential.iter().enumerate().map(|(i, v)| (i as f64, f64::from(*v)));
    axes.path(canvas, sequential, INK, 1.5)?;
    axes.frame(canvas)?;
    axes.label_x(canvas, 5, "node (0: noise, last: sample)")
}

/// The lower panel of a run: how many nodes are done after each round.
fn window(canvas: &Canvas<'_, '_>, shown: &Trajectory, own: usize, axes: &Axes) -> Drawn {
    axes.grid(canvas, (8, 3))?;
    let way = |panel: &RoundsPanel| {
        let rounds = panel.rounds.iter().enumerate();
        let done: Vec<_> = rounds.map(|(i, round)| ((i + 1) as f64, round.done as f64)).collect();
        [(0.0, 0.0)].into_iter().chain(done)
    };
    for (index, panel) in shown.panels.iter().enumerate() {
        if index != own {
            axes.path(canvas, way(panel), GRID, 5.0)?;
            axes.path(canvas, way(panel), FRAME, 2.5)?;
        }
    }
    let rounds = &shown.panels[own].rounds;
    let most = shown.panels.iter().map(|panel| panel.rounds.len()).max().unwrap_or(1);
    axes.path(canvas, way(&shown.panels[own]), pale(INK, 0.6), 3.0)?;
    for (index, round) in rounds.iter().enumerate() {
        let at = axes.at(((index + 1) as f64, round.done as f64));
        canvas.dot(at, 7.5, ROUNDS.of(index, most), 1.0)?;
    }
    axes.frame(canvas)?;
    let others = if shown.panels.len() > 1 { "round (in grey, the other runs)" } else { "round" };
    axes.label_x(canvas, 8, others)
}

/// What the colours of the rounds mean.
fn scale(canvas: &Canvas<'_, '_>, left: f64, most: usize) -> Drawn {
    let (top, bottom, right) = (ABOVE + 50.0, ABOVE + PATHS - 60.0, left + 34.0);
    canvas.text("round", (left + 17.0, ABOVE), NAME, INK, BELOW)?;
    // The first round is at the top, as it is read.
    canvas.shade((left, top), (right, bottom), |_, v| {
        ROUNDS.of(((v * most as f64) as usize).min(most - 1), most)
    })?;
    let place = |round: f64| top + (round - 0.5) / most as f64 * (bottom - top);
    let between = Ticks::of((1.0, most as f64), 5).places;
    let apart = (most as f64 / 12.0).max(0.9);
    let between = between
        .into_iter()
        .filter(|round| round.fract() == 0.0 && round - 1.0 >= apart && most as f64 - round >= apart);
    for round in [1.0].into_iter().chain(between).chain((most > 1).then_some(most as f64)) {
        canvas.text(&format!("{round:.0}"), (right + 12.0, place(round)), SMALL, INK, AFTER)?;
    }
    let y = bottom + 40.0;
    canvas.line((left - 16.0, y), (left + 18.0, y), INK, 3.0)?;
    canvas.text("sequential", (left + 26.0, y), SMALL - 3.0, PALE_INK, AFTER)
}

#[cfg(test)]
mod tests {
    use super::{super::probe, *};

    fn run(rounds: usize) -> Trajectory {
        let sequential: Vec<f32> = (0..=50).map(|k| (k as f32 / 9.0).sin()).collect();
        let round = |r: usize| RoundPath {
            first: r * 50 / rounds,
            states: sequential[r * 50 / rounds..].iter().map(|v| v + 1.0 / (r + 1) as f32).collect(),
            done: (r + 1) * 50 / rounds,
        };
        let panel = RoundsPanel { title: "secant".into(), rounds: (0..rounds).map(round).collect() };
        Trajectory {
            title: "how it converges".into(),
            coordinate: "x".into(),
            sequential: sequential.clone(),
            panels: vec![panel],
        }
    }

    #[test]
    fn runs_are_drawn() {
        let dir = probe::Folder::new("trajectory");
        let path = dir.path("trajectory.png");
        for rounds in [1, 2, 7, 40] {
            trajectory(&path, &run(rounds)).unwrap();
            probe::is_picture(&path, (1330, 1288));
        }
        assert_eq!(dir.files(), 1);
    }

    #[test]
    fn bad_input_is_named_and_leaves_nothing() {
        let dir = probe::Folder::new("trajectory-bad");
        let path = dir.path("trajectory.png");
        type Spoil = fn(&mut Trajectory);
        let bad: [(Spoil, &str); 8] = [
            (|t| t.sequential.truncate(1), "1 nodes"),
            (|t| t.sequential[3] = f32::NAN, "number 3 is NaN"),
            (|t| t.panels.clear(), "no panel"),
            (|t| t.panels[0].rounds.clear(), "no rounds"),
            (|t| t.panels[0].rounds[1].states.clear(), "round 2: there are no states"),
            (|t| t.panels[0].rounds[1].first = usize::MAX, "pass the last node, 50"),
            (|t| t.panels[0].rounds[1].done = 51, "node 51 is done"),
            (|t| t.panels[0].rounds[0].states[0] = f32::INFINITY, "round 1: number 0 is inf"),
        ];
        for (spoil, said) in bad {
            let mut shown = run(4);
            spoil(&mut shown);
            let message = format!("{:#}", trajectory(&path, &shown).unwrap_err());
            assert!(message.contains(said), "{message}");
        }
        assert!(trajectory(&dir.path("missing").join("t.png"), &run(4)).is_err());
        assert_eq!(dir.files(), 0);
    }
}
