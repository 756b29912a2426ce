//! Schedules and solvers by number, as C has them, and the plans they make.

use crate::error::picardy_error as code;
use crate::fault::Fault;
use crate::kinds::{
    self, picardy_schedule_kind as schedule, picardy_solver_kind as solver, picardy_spacing as spacing,
};
use picardy::schedule::BetaKind;
use picardy::{
    AnySolver, Betas, Ddim, Ddpm, Deis, DpmSolverPp, DpmSolverSingle, Euler, EulerAncestral, FlowShift, Grid,
    Heun, Lcm, Level, Lms, NoiseSchedule, Sigmas, Spacing, UniPc,
};

/// A noise schedule. Which fields count, its `kind` says.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct picardy_schedule {
    /// A `picardy_schedule_kind`.
    pub kind: i32,
    /// The timesteps that the network was trained on (betas and flow).
    pub train_steps: u32,
    /// The first beta.
    pub beta_start: f64,
    /// The last beta.
    pub beta_end: f64,
    /// Of betas: not 0 to rescale them to zero terminal SNR.
    pub zero_snr: i32,
    /// Of betas: a `picardy_spacing`.
    pub spacing: i32,
    /// Of betas: what leading spacing adds to every timestep.
    pub offset: u32,
    /// Of betas: a `picardy_final`.
    pub last: i32,
    /// The smallest sigma.
    pub sigma_min: f64,
    /// The largest sigma.
    pub sigma_max: f64,
    /// Of Karras' curve; 7 is usual.
    pub rho: f64,
    /// Of flow matching; 1 for none.
    pub shift: f64,
}

/// A solver.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct picardy_solver {
    /// A `picardy_solver_kind`.
    pub kind: i32,
    /// Of the solvers that have one.
    pub order: u32,
    /// How much noise steps add, 0 to 1, of the solvers that have a choice.
    pub eta: f64,
}

/// What a plan is made of.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct picardy_plan_spec {
    /// Which noise levels there are.
    pub schedule: picardy_schedule,
    /// How to step between them.
    pub solver: picardy_solver,
    /// A `picardy_prediction`: what the network's output is.
    pub prediction: i32,
    /// How many steps.
    pub steps: u32,
}

/// Linear betas over `train_steps` timesteps (DDPM's are 1000, 1e-4, 2e-2), trailing, to no noise. A start for others: change
/// what differs.
#[unsafe(no_mangle)]
pub extern "C" fn picardy_schedule_linear(
    train_steps: u32,
    beta_start: f64,
    beta_end: f64,
) -> picardy_schedule {
    picardy_schedule {
        kind: schedule::PICARDY_SCHEDULE_LINEAR as i32,
        train_steps,
        beta_start,
        beta_end,
        zero_snr: 0,
        spacing: spacing::PICARDY_SPACING_TRAILING as i32,
        offset: 0,
        last: 0,
        sigma_min: 0.002,
        sigma_max: 80.0,
        rho: 7.0,
        shift: 1.0,
    }
}

/// DDIM of 10 steps, without noise, over DDPM's betas, for a network that predicts noise. A start for others: change what
/// differs.
#[unsafe(no_mangle)]
pub extern "C" fn picardy_plan_spec_ddim() -> picardy_plan_spec {
    picardy_plan_spec {
        schedule: picardy_schedule_linear(1000, 1e-4, 2e-2),
        solver: picardy_solver { kind: solver::PICARDY_SOLVER_DDIM as i32, order: 2, eta: 0.0 },
        prediction: 0,
        steps: 10,
    }
}

impl picardy_schedule {
    /// A network's schedule, to be walked from its noisiest level; `None` of the pinned process.
    pub(crate) fn of(trained: &NoiseSchedule) -> Option<Self> {
        // The card's reader has seen that there are no more than `Betas::MOST_STEPS`.
        let count = |train_steps| u32::try_from(train_steps).unwrap_or(u32::MAX);
        let none = picardy_schedule_linear(1000, 1e-4, 2e-2);
        let betas = match *trained {
            NoiseSchedule::Vp(betas) => betas,
            NoiseSchedule::Flow(FlowShift { train_steps, shift }) => {
                let (kind, train_steps) = (schedule::PICARDY_SCHEDULE_FLOW as i32, count(train_steps));
                return Some(Self { kind, train_steps, shift, ..none });
            }
            NoiseSchedule::Ve { sigma_min, sigma_max, rho } => {
                let kind = schedule::PICARDY_SCHEDULE_KARRAS as i32;
                return Some(Self { kind, sigma_min, sigma_max, rho, ..none });
            }
            NoiseSchedule::Pinned { .. } => return None,
        };
        let kind = match betas.kind {
            BetaKind::Linear { .. } => schedule::PICARDY_SCHEDULE_LINEAR,
            BetaKind::ScaledLinear { .. } => schedule::PICARDY_SCHEDULE_SCALED_LINEAR,
            BetaKind::Sigmoid { .. } => schedule::PICARDY_SCHEDULE_SIGMOID,
            _ => schedule::PICARDY_SCHEDULE_COSINE,
        };
        let (start, end) = betas.ends();
        let zero_snr = i32::from(betas.zero_snr);
        let linear = picardy_schedule_linear(count(betas.train_steps), start, end);
        Some(Self { kind: kind as i32, zero_snr, ..linear })
    }

    /// The process that a network of this schedule was trained on.
    pub(crate) fn process(&self) -> Result<NoiseSchedule, Fault> {
        let (start, end, train_steps) = (self.beta_start, self.beta_end, self.train_steps as usize);
        let (sigma_min, sigma_max) = (self.sigma_min, self.sigma_max);
        let betas = match kinds::schedule(self.kind, "schedule.kind")? {
            schedule::PICARDY_SCHEDULE_LINEAR => Betas::linear(train_steps, start, end),
            schedule::PICARDY_SCHEDULE_SCALED_LINEAR => Betas::scaled_linear(train_steps, start, end),
            schedule::PICARDY_SCHEDULE_COSINE => Betas::cosine(train_steps),
            schedule::PICARDY_SCHEDULE_SIGMOID => Betas::sigmoid(train_steps, start, end),
            schedule::PICARDY_SCHEDULE_KARRAS => {
                return Ok(NoiseSchedule::Ve { sigma_min, sigma_max, rho: self.rho });
            }
            // The process is the same; its curve says nothing, and has no rho.
            schedule::PICARDY_SCHEDULE_EXPONENTIAL => {
                return Ok(NoiseSchedule::Ve { sigma_min, sigma_max, rho: 7.0 });
            }
            schedule::PICARDY_SCHEDULE_FLOW => {
                return Ok(NoiseSchedule::Flow(FlowShift { train_steps, shift: self.shift }));
            }
        };
        Ok(NoiseSchedule::Vp(if self.zero_snr != 0 { betas.zero_snr() } else { betas }))
    }

    fn grid<'a>(&self, steps: usize, levels: &'a mut [Level]) -> Result<Grid<'a>, Fault> {
        let betas = match self.process()? {
            NoiseSchedule::Vp(betas) => betas,
            NoiseSchedule::Flow(flow) => return Ok(flow.grid(steps, levels)?),
            _ if self.kind == schedule::PICARDY_SCHEDULE_EXPONENTIAL as i32 => {
                return Ok(Sigmas::log_linear(self.sigma_min, self.sigma_max).grid(steps, 0.0, levels)?);
            }
            _ => {
                return Ok(Sigmas::karras(self.sigma_min, self.sigma_max, self.rho).grid(steps, 0.0, levels)?);
            }
        };
        let spacing = match kinds::spacing(self.spacing, "schedule.spacing")? {
            spacing::PICARDY_SPACING_TRAILING => Spacing::Trailing,
            spacing::PICARDY_SPACING_LEADING => Spacing::Leading { offset: self.offset as usize },
            spacing::PICARDY_SPACING_LINSPACE => Spacing::Linspace,
        };
        Ok(betas.grid(steps, spacing, kinds::last(self.last)?, levels)?)
    }
}

impl picardy_solver {
    fn solver(&self) -> Result<AnySolver, Fault> {
        let (order, eta) = (self.order as usize, self.eta);
        Ok(match kinds::solver(self.kind, "solver.kind")? {
            solver::PICARDY_SOLVER_DDIM => Ddim { eta }.into(),
            solver::PICARDY_SOLVER_DDPM => Ddpm::fixed_small().into(),
            solver::PICARDY_SOLVER_DPMPP => DpmSolverPp { order, ..DpmSolverPp::order2() }.into(),
            solver::PICARDY_SOLVER_DPMPP_SDE => DpmSolverPp { order, ..DpmSolverPp::sde() }.into(),
            solver::PICARDY_SOLVER_DPMPP_SINGLE => DpmSolverSingle { order }.into(),
            solver::PICARDY_SOLVER_UNIPC => UniPc { order, ..UniPc::default() }.into(),
            solver::PICARDY_SOLVER_DEIS => Deis { order, ..Deis::default() }.into(),
            solver::PICARDY_SOLVER_LMS => Lms { order }.into(),
            solver::PICARDY_SOLVER_EULER => Euler::ve().into(),
            solver::PICARDY_SOLVER_EULER_ANCESTRAL => EulerAncestral { eta }.into(),
            solver::PICARDY_SOLVER_HEUN => Heun::ve().into(),
            solver::PICARDY_SOLVER_FLOW_EULER => Euler::flow().into(),
            solver::PICARDY_SOLVER_FLOW_HEUN => Heun::flow().into(),
            solver::PICARDY_SOLVER_LCM => Lcm::default().into(),
        })
    }
}

impl picardy_plan_spec {
    /// The levels and the most nodes of such a plan.
    pub(crate) fn lengths(&self) -> Result<(usize, usize), Fault> {
        use picardy::Solver;
        let steps = self.steps as usize;
        if steps == 0 {
            return Err(Fault::new(code::PICARDY_ERROR_STEPS).needed(1));
        }
        Ok((steps.saturating_add(1), self.solver.solver()?.nodes(steps)))
    }

    /// Writes the plan into the front of `nodes`.
    pub(crate) fn plan<'a>(
        &self,
        levels: &mut [Level],
        nodes: &'a mut [picardy::Node],
    ) -> Result<picardy::Plan<'a>, Fault> {
        use picardy::Solver;
        let (prediction, solver) = (kinds::prediction(self.prediction)?, self.solver.solver()?);
        let grid = self.schedule.grid(self.steps as usize, levels)?;
        Ok(solver.plan(&grid, prediction, nodes)?)
    }
}
