//! A point robot's ways through moving discs: side by side in a picture, and one of them as a film.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use plotters::style::RGBColor;

use super::{
    axes::{Axes, SMALL, TITLE},
    canvas::{BELOW, Canvas, Drawn, paint},
    check::finite,
    colour::{DATA, INK, PALE_INK, pale},
};

/// A disc: its middle and its radius.
pub type Disc = ([f64; 2], f64);

/// One tick.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// Where the robot is.
    pub robot: [f64; 2],
    /// What is in its way.
    pub discs: Vec<Disc>,
    /// The plan that it follows.
    pub plan: Vec<[f64; 2]>,
    /// Whether that was made in this tick.
    pub fresh: bool,
}

/// One run.
#[derive(Debug, Clone)]
pub struct Course {
    /// What is seen.
    pub title: String,
    /// Its ticks; each has as many discs.
    pub ticks: Vec<Tick>,
    /// Where the robot is to go.
    pub goal: [f64; 2],
    /// The robot's radius.
    pub radius: f64,
    /// The way's colour.
    pub colour: RGBColor,
}

/// From the middle to the border of what is drawn.
const HALF: f64 = 3.4;
const SIDE: f64 = 560.0;
const GAP: f64 = 28.0;
const ABOVE: f64 = 84.0;
const UNDER: f64 = 56.0;
/// Ticks between discs that are drawn.
const EVERY: usize = 8;

/// Draws runs side by side, `columns` in a row, to the PNG file `path`: discs as they move from pale to dark, plans as thin lines from where
/// they were made.
///
/// # Errors
/// No run or column, a run without ticks, a number that is not finite; the file cannot be written.
pub fn courses(path: &Path, courses: &[Course], columns: usize) -> Result<()> {
    ensure!(!courses.is_empty() && columns > 0, "there are {} runs for {columns} columns", courses.len());
    for course in courses {
        check(course).with_context(|| format!("cannot draw `{}`", path.display()))?;
    }
    let columns = columns.min(courses.len());
    let rows = courses.len().div_ceil(columns);
    let width = GAP + columns as f64 * (SIDE + GAP);
    let height = rows as f64 * (ABOVE + SIDE) + UNDER;
    paint(path, (width as u32, height as u32), |canvas| {
        for (index, course) in courses.iter().enumerate() {
            let corner = (
                GAP + (index % columns) as f64 * (SIDE + GAP),
                ABOVE + (index / columns) as f64 * (ABOVE + SIDE),
            );
            let axes = Axes { corner, size: (SIDE, SIDE), x: (-HALF, HALF), y: (-HALF, HALF) };
            draw(canvas, course, &axes)?;
        }
        let said = "discs from pale (begin) to dark (end); thin: plans, where they were made; cross: goal";
        canvas.text(said, (width / 2.0, height - UNDER + 12.0), SMALL, PALE_INK, BELOW)
    })
}

fn check(course: &Course) -> Result<()> {
    let Course { title, ticks, goal, radius, .. } = course;
    ensure!(!ticks.is_empty(), "`{title}` has no ticks");
    let discs = ticks[0].discs.len();
    for (index, tick) in ticks.iter().enumerate() {
        let found = tick.discs.len();
        ensure!(
            found == discs,
            "`{title}`: tick {index} has {found} discs, and {discs} were there at the beginning"
        );
        let numbers = tick.plan.iter().flatten().chain(&tick.robot).copied();
        let discs = tick.discs.iter().flat_map(|(at, radius)| [at[0], at[1], *radius]);
        finite(&format!("`{title}`, tick {index}"), numbers.chain(discs))?;
    }
    finite(&format!("`{title}`"), [goal[0], goal[1], *radius])
}

fn draw(canvas: &Canvas<'_, '_>, course: &Course, axes: &Axes) -> Drawn {
    let (left, top) = axes.corner;
    let size = canvas.fitting(&course.title, TITLE, SIDE)?;
    canvas.text(&course.title, (left + SIDE / 2.0, top - 46.0), size, INK, BELOW)?;
    let unit = SIDE / (2.0 * HALF);
    let at = |p: [f64; 2]| axes.at((p[0], p[1]));
    let last = course.ticks.len() - 1;
    // The last tick's discs on top.
    for (index, tick) in course.ticks.iter().enumerate() {
        if index % EVERY == last % EVERY {
            let strength = 0.08 + 0.42 * (index as f64 / last.max(1) as f64).powi(2);
            for (middle, radius) in tick.discs.iter().filter(|(p, _)| axes.holds((p[0], p[1]))) {
                canvas.dot(at(*middle), radius * unit, pale(DATA, strength), 1.0)?;
            }
        }
    }
    for tick in course.ticks.iter().filter(|tick| tick.fresh) {
        for pair in tick.plan.windows(2) {
            canvas.line(at(pair[0]), at(pair[1]), pale(course.colour, 0.35), 1.0)?;
        }
    }
    for pair in course.ticks.windows(2) {
        canvas.line(at(pair[0].robot), at(pair[1].robot), course.colour, 3.0)?;
    }
    for tick in course.ticks.iter().filter(|tick| tick.fresh) {
        canvas.dot(at(tick.robot), 3.5, course.colour, 1.0)?;
    }
    canvas.dot(at(course.ticks[last].robot), course.radius * unit, course.colour, 1.0)?;
    let (x, y) = at(course.goal);
    canvas.line((x - 9.0, y - 9.0), (x + 9.0, y + 9.0), INK, 3.0)?;
    canvas.line((x - 9.0, y + 9.0), (x + 9.0, y - 9.0), INK, 3.0)?;
    axes.frame(canvas)
}

/// Writes one run as a film that repeats, an animated SVG, to the file `path`: `seconds` a tick.
///
/// # Errors
/// As for [`courses`]; a tick's time that is not 0.001 to 1000 s.
pub fn film(path: &Path, course: &Course, seconds: f64) -> Result<()> {
    check(course).with_context(|| format!("cannot write the film `{}`", path.display()))?;
    ensure!((0.001..=1000.0).contains(&seconds), "a tick of {seconds} s: give 0.001 to 1000");
    let Course { ticks, goal, radius, colour, .. } = course;
    let RGBColor(r, g, b) = *colour;
    // A second of standing still before it begins anew.
    let still = (1.0 / seconds).ceil() as usize;
    let shown = || ticks.iter().chain(std::iter::repeat_n(&ticks[ticks.len() - 1], still));
    let time = seconds * (ticks.len() + still) as f64;
    let animate = |out: &mut String, name: &str, value: &dyn Fn(&Tick) -> String| -> Result<()> {
        let values: Vec<String> = shown().map(value).collect();
        write!(
            out,
            r#"<animate attributeName="{name}" dur="{time:.2}s" repeatCount="indefinite" calcMode="discrete" values="{}"/>"#,
            values.join(";")
        )?;
        Ok(())
    };
    // y goes up.
    let mut out = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="{0} {0} {1} {1}" width="560" height="560"><rect x="{0}" y="{0}" width="{1}" height="{1}" fill="#fff" stroke="#a8a8b2" stroke-width="0.02"/>"##,
        -HALF,
        2.0 * HALF
    );
    for disc in 0..ticks[0].discs.len() {
        write!(out, r##"<circle r="{:.3}" fill="#c4c4cc">"##, ticks[0].discs[disc].1)?;
        animate(&mut out, "cx", &|tick| format!("{:.2}", tick.discs[disc].0[0]))?;
        animate(&mut out, "cy", &|tick| format!("{:.2}", -tick.discs[disc].0[1]))?;
        out += "</circle>";
    }
    let points = |places: &[[f64; 2]]| {
        let places: Vec<String> = places.iter().map(|[x, y]| format!("{x:.2},{:.2}", -y)).collect();
        places.join(" ")
    };
    let way: Vec<[f64; 2]> = ticks.iter().map(|tick| tick.robot).collect();
    write!(
        out,
        r##"<polyline points="{}" fill="none" stroke="#{r:02x}{g:02x}{b:02x}" stroke-opacity="0.2" stroke-width="0.03"/>"##,
        points(&way)
    )?;
    write!(
        out,
        r##"<polyline fill="none" stroke="#{r:02x}{g:02x}{b:02x}" stroke-width="0.04" stroke-linecap="round">"##
    )?;
    animate(&mut out, "points", &|tick| points(&tick.plan))?;
    let [x, y] = goal;
    write!(
        out,
        r##"</polyline><path d="M{0:.2} {1:.2}l.16 .16m0 -.16l-.16 .16" stroke="#22222a" stroke-width="0.04"/><circle r="{radius:.3}" fill="#{r:02x}{g:02x}{b:02x}">"##,
        x - 0.08,
        -y - 0.08
    )?;
    animate(&mut out, "cx", &|tick| format!("{:.2}", tick.robot[0]))?;
    animate(&mut out, "cy", &|tick| format!("{:.2}", -tick.robot[1]))?;
    out += "</circle></svg>\n";
    picardy_trainer::train::write_whole(path, out.as_bytes())
        .with_context(|| format!("cannot write the film `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pictures::{
        STANDARD,
        probe::{Folder, is_picture},
    };

    fn course() -> Course {
        let tick = |i: usize| Tick {
            robot: [-2.0 + 0.1 * i as f64, 0.0],
            discs: vec![([0.0, 1.0], 0.4)],
            plan: vec![[-2.0 + 0.1 * i as f64, 0.0], [-1.0, 0.0]],
            fresh: i.is_multiple_of(4),
        };
        let ticks = (0..40).map(tick).collect();
        Course { title: "a way".into(), ticks, goal: [2.7, 0.0], radius: 0.15, colour: STANDARD }
    }

    #[test]
    fn ways_are_drawn() {
        let folder = Folder::new("course");
        let path = folder.path("way.png");
        courses(&path, &[course(), course(), course()], 2).unwrap();
        let (width, height) = (2.0 * (SIDE + GAP) + GAP, 2.0 * (ABOVE + SIDE) + UNDER);
        is_picture(&path, (width as u32, height as u32));
    }

    #[test]
    fn films_have_every_tick() {
        let folder = Folder::new("film");
        let path = folder.path("way.svg");
        film(&path, &course(), 0.1).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(r#"dur="5.00s""#) && text.contains("-2.00;-1.90;-1.80"), "{text}");
        assert_eq!(text.matches("<circle").count(), text.matches("</circle>").count());
        let values = text.split(r#"attributeName="points""#).nth(1).unwrap().split('"').nth(7).unwrap();
        assert_eq!(values.split(';').count(), 50);
    }

    #[test]
    fn what_cannot_be_drawn_is_named() {
        let folder = Folder::new("refused");
        let path = folder.path("way.png");
        let refused = |change: &dyn Fn(&mut Course)| {
            let mut course = course();
            change(&mut course);
            let picture = courses(&path, std::slice::from_ref(&course), 1).unwrap_err();
            assert!(film(&path, &course, 0.1).is_err());
            format!("{picture:#}")
        };
        assert!(refused(&|c| c.ticks.clear()).contains("no ticks"));
        assert!(refused(&|c| c.ticks[3].discs.clear()).contains("tick 3 has 0 discs"));
        assert!(refused(&|c| c.ticks[2].robot[1] = f64::NAN).contains("tick 2"));
        assert!(refused(&|c| c.goal[0] = f64::INFINITY).contains("inf"));
        assert!(courses(&path, &[], 1).is_err() && film(&path, &course(), 0.0).is_err());
        assert_eq!(folder.files(), 0);
    }
}
