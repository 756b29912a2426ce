//! Runs other implementations' cases: the format of CONFORMANCE.md.

use anyhow::{Context, Result, bail, ensure};
use picardy::{
    AnySolver, Betas, Bh, Curve, DdimStride, Ddpm, Deis, DpmSolverPp, DpmSolverSingle, Edm, Euler,
    EulerAncestral, Final, FlowShift, GradientEstimation, Grid, Heun, Lcm, Level, Lms, Memory, Mixture, Node,
    Noise, Plan, Pndm, Prediction, Sampler, Sequential, SigmaShape, Sigmas, Solver, Spacing, Tcd, Told,
    UniPc, Variance, Variant,
};
use serde_json::Value;

/// What is allowed where the oracle keeps its tables in float32.
const FLOAT32: f64 = 2e-4;
/// What is allowed for the oracles that are transcriptions in float64.
const FLOAT64: f64 = 1e-8;

/// How a case went.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its name in the file.
    pub name: String,
    /// The largest absolute error over the trajectory, divided by the largest magnitude of a state.
    pub error: f64,
    /// The largest absolute error of the final state, divided by that state's own largest magnitude: samples may be a
    /// thousand times smaller than the noise that they start from. It has no part in the verdict.
    pub final_error: f64,
    /// The largest error that is allowed.
    pub tolerance: f64,
    /// Where the case fails: the error on the oracle's own levels in place of the schedule's. Small where the oracle's
    /// float32 tables are all that differs.
    pub on_its_levels: Option<f64>,
    /// What stops the case, apart from the error: levels that differ, a solver that is not there.
    pub problem: Option<String>,
}

impl Outcome {
    /// Whether the case agrees.
    pub fn is_ok(&self) -> bool {
        self.problem.is_none() && self.error <= self.tolerance
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verdict = if self.is_ok() { "ok" } else { "FAIL" };
        write!(f, "{:<28} {:>10.2e} {verdict:<4} {:>10.2e}", self.name, self.error, self.final_error)?;
        if let Some(problem) = &self.problem {
            write!(f, " ({problem})")?;
        }
        if let Some(error) = self.on_its_levels {
            write!(f, " ({error:.2e} on the oracle's own float32 levels)")?;
        }
        Ok(())
    }
}

/// Runs every case of a file.
///
/// # Errors
/// A file that is not one of cases. What a case lacks is its own [`Outcome::problem`].
pub fn run_file(file: &Value) -> Result<Vec<Outcome>> {
    ensure!(file["version"].as_u64() == Some(1), "version {}; this reads version 1", file["version"]);
    let cases = file["cases"].as_array().context("no list named cases")?;
    ensure!(!cases.is_empty(), "the list named cases is empty; give it at least one");
    Ok(cases.iter().map(run_case).collect())
}

/// Runs one case.
pub fn run_case(case: &Value) -> Outcome {
    let name = case["name"].as_str().unwrap_or("(no name)").to_string();
    let tolerance = match case["solver"]["kind"].as_str() {
        Some("edm_heun" | "gradient_estimation") => FLOAT64,
        _ => FLOAT32,
    };
    let mut outcome = match try_case(case, tolerance, false) {
        Ok(Errors { error, final_error, problem }) => {
            Outcome { name, error, final_error, tolerance, on_its_levels: None, problem }
        }
        Err(error) => {
            let problem = Some(format!("{error:#}"));
            let none = f64::NAN;
            Outcome { name, error: none, final_error: none, tolerance, on_its_levels: None, problem }
        }
    };
    if !outcome.is_ok() && tolerance == FLOAT32 {
        outcome.on_its_levels = try_case(case, tolerance, true).ok().map(|errors| errors.error);
    }
    outcome
}

fn text<'v>(value: &'v Value, key: &str) -> Result<&'v str> {
    value[key].as_str().with_context(|| format!("no {key}"))
}

/// More steps, timesteps or rows than any case has: larger numbers are memory or time that nobody has.
const MOST: u64 = 1_000_000;

fn count(value: &Value, key: &str) -> Result<usize> {
    let n = value[key].as_u64().with_context(|| format!("no {key}, or no whole number"))?;
    ensure!((1..=MOST).contains(&n), "{key} {n}; cases have 1 to {MOST}");
    Ok(n as usize)
}

fn number(value: &Value, key: &str) -> Result<f64> {
    value[key].as_f64().with_context(|| format!("no {key}"))
}

/// All numbers in the lists at a key.
fn numbers(value: &Value, key: &str) -> Result<Vec<f64>> {
    let mut found = Vec::new();
    collect(&value[key], &mut found).with_context(|| format!("{key} has what is no number"))?;
    Ok(found)
}

fn collect(value: &Value, found: &mut Vec<f64>) -> Result<()> {
    match value {
        Value::Array(values) => values.iter().try_for_each(|value| collect(value, found)),
        other => {
            found.push(other.as_f64().with_context(|| format!("{other}; give numbers in lists"))?);
            Ok(())
        }
    }
}

fn betas(schedule: &Value) -> Result<Betas> {
    let (start, end) = (number(schedule, "beta_start")?, number(schedule, "beta_end")?);
    let name = text(schedule, "beta_schedule")?;
    let betas = Betas::named(name, count(schedule, "train_steps")?, start, end);
    let betas = betas.with_context(|| format!("no betas {name}"))?;
    Ok(if schedule["zero_snr"] == true { betas.zero_snr() } else { betas })
}

/// The betas of a case, as its oracle has them: of zero terminal SNR, those in sigma keep a little signal.
fn oracle_betas(schedule: &Value, kind: &str) -> Result<Betas> {
    let finite = matches!(kind, "euler" | "euler_ancestral" | "dpmsolver++" | "sde-dpmsolver++" | "unipc");
    Ok(betas(schedule)?.ending_at(if finite { 2f64.powi(-24) } else { 0.0 }))
}

/// Where the oracle's run ends.
fn end(schedule: &Value, kind: &str) -> Final {
    let at_first = matches!(kind, "deis" | "tcd")
        || schedule["final_alpha_one"] == false
        || schedule["final_sigmas_type"] == "sigma_min";
    if at_first { Final::FirstTimestep } else { Final::Data }
}

/// The solver that a case names, as the oracle runs it.
///
/// # Errors
/// A solver that is not there.
pub fn solver(case: &Value) -> Result<AnySolver> {
    let spec = &case["solver"];
    let order = || count(spec, "order");
    let known = |given: Option<&str>, names: &[&str]| -> Result<usize> {
        let given = given.unwrap_or(names[0]);
        names.iter().position(|name| *name == given).with_context(|| format!("{given} is none of {names:?}"))
    };
    Ok(match text(spec, "kind")? {
        "ddpm" => match known(spec["variance"].as_str(), &["fixed_small", "fixed_large"])? {
            0 => Ddpm { variance: Variance::FixedSmall }.into(),
            _ => Ddpm { variance: Variance::FixedLargeThroughout }.into(),
        },
        "ddim" => {
            let last = end(&case["schedule"], "ddim");
            DdimStride { eta: number(spec, "eta")?, betas: betas(&case["schedule"])?, last }.into()
        }
        "euler" => Euler::ve().into(),
        "heun" => Heun::ve().into(),
        "euler_ancestral" => EulerAncestral::default().into(),
        kind @ ("dpmsolver++" | "sde-dpmsolver++") => {
            let variant =
                [Variant::Midpoint, Variant::Heun][known(spec["variant"].as_str(), &["midpoint", "heun"])?];
            let (sde, order) = (kind == "sde-dpmsolver++", order()?);
            // The oracle has one order 3, whatever the variant.
            let variant = if order == 3 { Variant::Midpoint } else { variant };
            DpmSolverPp { order, variant, sde, lower_order_final: true }.into()
        }
        "unipc" => {
            let variant = [Bh::B2, Bh::B1][known(spec["variant"].as_str(), &["bh2", "bh1"])?];
            UniPc { order: order()?, variant, lower_order_final: true }.into()
        }
        "deis" => Deis { order: order()?, lower_order_final: true }.into(),
        "dpmsolver++single" => DpmSolverSingle { order: order()? }.into(),
        "lms" => Lms { order: order()? }.into(),
        "pndm" => Pndm { betas: betas(&case["schedule"])?, last: end(&case["schedule"], "pndm") }.into(),
        "lcm" => Lcm::default().into(),
        "tcd" => Tcd { eta: number(spec, "eta")?, betas: betas(&case["schedule"])? }.into(),
        "flow_euler" => Euler::flow().into(),
        "flow_heun" => Heun::flow().into(),
        "edm_heun" => {
            let set = |key: &str, default: f64| spec[key].as_f64().unwrap_or(default);
            let none = Edm::default();
            Edm {
                s_churn: set("s_churn", none.s_churn),
                s_min: set("s_min", none.s_min),
                s_max: set("s_max", none.s_max),
                s_noise: set("s_noise", none.s_noise),
            }
            .into()
        }
        "gradient_estimation" => {
            GradientEstimation { gamma: number(spec, "gamma")?, mu: number(spec, "mu")? }.into()
        }
        kind => bail!("no solver of the kind {kind}"),
    })
}

/// The levels of a run, as the oracle of a case chooses them: libraries space timesteps by the solver.
///
/// # Errors
/// A schedule that is not there, or has no such run.
pub fn grid<'a>(case: &Value, steps: usize, levels: &'a mut [Level]) -> Result<Grid<'a>> {
    let (schedule, kind) = (&case["schedule"], text(&case["solver"], "kind")?);
    Ok(match text(schedule, "kind")? {
        "ddpm" => {
            let betas = oracle_betas(schedule, kind)?;
            // DPM-Solver++, UniPC and DEIS leave one interval to the last step; those in sigma interpolate.
            let open = matches!(kind, "dpmsolver++" | "sde-dpmsolver++" | "unipc" | "deis");
            let in_sigma = matches!(kind, "euler" | "heun" | "euler_ancestral" | "lms");
            let offset = schedule["steps_offset"].as_u64().unwrap_or(0) as usize;
            let spacing = match text(schedule, "spacing")? {
                "trailing" => Spacing::Trailing,
                "leading" if open => Spacing::LeadingOpen { offset },
                "leading" => Spacing::Leading { offset },
                "linspace" if open => Spacing::LinspaceOpen,
                "linspace_open" => Spacing::LinspaceOpen,
                "distilled" => Spacing::Distilled { original: 50 },
                "linspace" if in_sigma => Spacing::LinspaceFractional,
                "linspace" => Spacing::Linspace,
                other => bail!("no spacing {other}"),
            };
            let last = end(schedule, kind);
            let curves = [
                ("karras_sigmas", SigmaShape::Karras { rho: 7.0 }),
                ("exponential_sigmas", SigmaShape::Exponential),
                ("beta_sigmas", SigmaShape::Beta { alpha: 0.6, beta: 0.6 }),
            ];
            if let Some((name, shape)) = curves.into_iter().find(|(name, _)| schedule[*name] == true) {
                let told = match (open, kind) {
                    (false, _) => Told::Fractional,
                    (true, "dpmsolver++" | "sde-dpmsolver++") if betas.name() == "cosine" => Told::Truncated,
                    (true, _) if name == "karras_sigmas" => Told::Rounded,
                    (true, _) => Told::Truncated,
                };
                let between = if open { None } else { Some(spacing) };
                betas.respaced(steps, &Curve { shape, between, told }, last, levels)?
            } else {
                betas.grid(steps, spacing, last, levels)?
            }
        }
        "flow" => {
            FlowShift { train_steps: count(schedule, "train_steps")?, shift: number(schedule, "shift")? }
                .grid(steps, levels)?
        }
        name @ ("karras" | "log_linear") => {
            let (sigma_min, sigma_max) = (number(schedule, "sigma_min")?, number(schedule, "sigma_max")?);
            let sigmas = match name {
                "karras" => Sigmas::karras(sigma_min, sigma_max, number(schedule, "rho")?),
                _ => Sigmas::log_linear(sigma_min, sigma_max),
            };
            let points = schedule["n"].as_u64().map_or(steps, |n| n as usize);
            ensure!(points == steps, "{points} sigmas for {steps} steps");
            sigmas.grid(steps, schedule["final_sigma"].as_f64().unwrap_or(0.0), levels)?
        }
        other => bail!("no schedule of the kind {other}"),
    })
}

/// The levels at which the network is called, in order.
fn shown(plan: &Plan<'_>) -> Vec<Level> {
    let seen = plan.nodes().iter().filter_map(|node| {
        let (input, level) = (node.evaluate?.input, node.level);
        Some(Level { alpha: input * level.alpha, sigma: input * level.sigma, t: level.t })
    });
    seen.collect()
}

/// Where levels differ from a case's.
fn compare_levels(case: &Value, ours: &[Level], tolerance: f64) -> Result<Option<String>> {
    let theirs = case["levels"].as_array().context("no levels")?;
    let exact = tolerance == FLOAT64;
    if ours.len() != theirs.len() {
        return Ok(Some(format!("{} levels, the case has {}", ours.len(), theirs.len())));
    }
    // Where a timestep is found from a float32 logarithm, it is a fraction off; where that is rounded, a timestep.
    let rounded = ours.iter().all(|level| level.t.fract() == 0.0)
        && ["karras_sigmas", "exponential_sigmas", "beta_sigmas"]
            .iter()
            .any(|name| case["schedule"][name] == true);
    let (near, near_t) = match (exact, rounded) {
        (true, _) => (tolerance, tolerance),
        (false, false) => (tolerance, 0.1),
        (false, true) => (tolerance, 1.0),
    };
    for (i, (level, seen)) in ours.iter().zip(theirs).enumerate() {
        let (t, a, s) = (number(seen, "t")?, number(seen, "a")?, number(seen, "s")?);
        let scale = if exact { s.max(1.0) } else { 1.0 };
        let differs = (level.alpha - a).abs() > near || (level.sigma - s).abs() > near * scale;
        if differs || (level.t - t).abs() > near_t * scale {
            let Level { alpha, sigma, t: told } = level;
            return Ok(Some(format!(
                "level {i} is t {told} a {alpha} s {sigma}, the case's t {t} a {a} s {s}"
            )));
        }
    }
    Ok(None)
}

/// The nodes at which a case's trajectory stands: the state after each call of the network, or after each step (EDM).
fn milestones(plan: &Plan<'_>, grid: &Grid<'_>, by_step: bool) -> Vec<usize> {
    let nodes = plan.nodes();
    let mut at: Vec<usize> = if by_step {
        let level_of = |level: &Level| nodes.iter().rposition(|node| node.level == *level);
        grid.levels().iter().skip(1).filter_map(level_of).collect()
    } else {
        (1..nodes.len()).filter(|k| nodes[*k].evaluate.is_some()).collect()
    };
    if at.last() != Some(&plan.last()) {
        at.push(plan.last());
    }
    at
}

/// The noise of a case, node by node. Oracles draw once a step; where the coefficient is 0, some do and some do not.
fn tape(plan: &Plan<'_>, grid: &Grid<'_>, drawn: &[f64], row: usize, by_step: bool) -> Vec<f64> {
    let mut tape = vec![0.0; plan.last() * row];
    for (k, node) in plan.nodes().iter().enumerate().skip(1).filter(|(_, node)| node.noise != 0.0) {
        let step = if by_step {
            let before = plan.nodes()[k - 1].level;
            grid.levels().iter().position(|level| *level == before).unwrap_or(0)
        } else {
            k - 1
        };
        debug_assert!(node.noise.is_finite());
        if let Some(z) = drawn.get(step * row..(step + 1) * row) {
            tape[(k - 1) * row..k * row].copy_from_slice(z);
        }
    }
    tape
}

fn try_case(case: &Value, tolerance: f64, its_levels: bool) -> Result<Errors> {
    let (steps, batch, dim) = (count(case, "steps")?, count(case, "batch")?, count(case, "dim")?);
    let solver = solver(case)?;
    let by_step = matches!(solver, AnySolver::Edm(_));
    let prediction: Prediction = text(case, "prediction")?.parse()?;

    let mut levels = vec![Level::default(); steps + 1];
    grid(case, steps, &mut levels)?;
    if its_levels {
        let seen = case["levels"].as_array().context("no levels")?;
        for (level, seen) in levels.iter_mut().zip(seen.iter().take(steps)) {
            (level.alpha, level.sigma) = (number(seen, "a")?, number(seen, "s")?);
        }
    }
    let grid = Grid::new(&levels)?;
    let mut nodes = vec![Node::default(); solver.nodes(steps)];
    let plan = solver.plan(&grid, prediction, &mut nodes)?;
    let seen = if by_step { grid.levels()[..steps].to_vec() } else { shown(&plan) };
    let problem = compare_levels(case, &seen, tolerance)?;

    let model = &case["model"];
    ensure!(model["kind"].as_str() == Some("gmm"), "no model of the kind {}", model["kind"]);
    let (means, weights) = (numbers(model, "means")?, numbers(model, "weights")?);
    let mut model = Mixture::new(&means, &weights, number(model, "std")?, dim)?.predicting(prediction);
    let init = numbers(case, "init")?;
    let row = batch.checked_mul(dim).filter(|row| *row == init.len());
    let row = row.with_context(|| format!("init has {} numbers, not {batch} x {dim}", init.len()))?;
    let tape = tape(&plan, &grid, &numbers(case, "noise")?, row, by_step);

    let trajectory = case["trajectory"].as_array().context("no trajectory")?;
    let at = milestones(&plan, &grid, by_step);
    ensure!(at.len() == trajectory.len(), "{} states, the case has {}", at.len(), trajectory.len());
    let (mut whole, mut end) = (Difference::default(), Difference::default());
    let mut memory = Memory::new();
    // A plan's front, its last node not evaluated, is a plan: each state by the sampler itself.
    for (k, expected) in at.iter().zip(trajectory) {
        let mut nodes = plan.nodes()[..=*k].to_vec();
        nodes[*k].evaluate = None;
        let front = Plan::new(&nodes, plan.form())?;
        let mut x = init.clone();
        let mut workspace = memory.workspace(Sequential.need(&front, batch), dim);
        Sequential.run(&front, &mut model, &Noise::tape(&tape, batch, dim), &mut x, &mut workspace)?;
        let mut seen = Vec::new();
        collect(expected, &mut seen).context("the trajectory")?;
        whole.add(&x, &seen)?;
        if *k == plan.last() {
            end.add(&x, &numbers(case, "final")?)?;
        }
    }
    let start = init.iter().fold(0.0f64, |most, x| most.max(x.abs()));
    let error = whole.error.max(end.error) / whole.scale.max(end.scale).max(start);
    Ok(Errors { error, final_error: end.error / end.scale, problem })
}

/// The largest difference of states, and the largest magnitude of those expected.
#[derive(Default)]
struct Difference {
    error: f64,
    scale: f64,
}

impl Difference {
    fn add(&mut self, got: &[f64], expected: &[f64]) -> Result<()> {
        ensure!(got.len() == expected.len(), "a state of {} numbers, not {}", expected.len(), got.len());
        for (got, expected) in got.iter().zip(expected) {
            let difference = (got - expected).abs();
            // NaN must not pass for small.
            self.error = if difference.is_finite() { self.error.max(difference) } else { f64::INFINITY };
            self.scale = self.scale.max(expected.abs());
        }
        Ok(())
    }
}

/// What a run of a case gave.
struct Errors {
    error: f64,
    final_error: f64,
    problem: Option<String>,
}
