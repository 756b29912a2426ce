//! Every solver over every kind of grid, under every sampler: that none of them can panic. tests/firmware.sh looks for what a
//! panic would leave in the image.

#![no_std]
#![no_main]

use core::hint::black_box;
use picardy::{
    AnySampler, AnySolver, Auto, Betas, Curve, Final, FlowShift, Grid, Level, Mark, Node, Noise, Parareal,
    Picard, Prediction, Run, Sampler, Sequential, SigmaShape, Sigmas, SliceFrames, Slope, Solver, Spacing,
    Span, Speculative, Workspace,
};
use picardy_firmware::{Model, entry};
use semihosting::process;

const STEPS: usize = 10;
const DIM: usize = 16;

struct Memory {
    levels: [Level; STEPS + 1],
    nodes: [Node; 32],
    x: [f32; DIM],
    rows: [f32; 512 * DIM],
    spans: [Span; 64],
    marks: [Mark; 64],
}

#[entry]
fn main() -> ! {
    static mut MEMORY: Memory = Memory {
        levels: [Level::EMPTY; STEPS + 1],
        nodes: [Node::EMPTY; 32],
        x: [0.0; DIM],
        rows: [0.0; 512 * DIM],
        spans: [Span::EMPTY; 64],
        marks: [Mark::EMPTY; 64],
    };
    let mut runs = 0;
    for grid in 0..black_box(6) {
        for solver in 0..AnySolver::list().count() {
            for sampler in 0..black_box(6) {
                runs += u32::from(run(black_box([grid, solver, sampler]), MEMORY).is_some());
            }
        }
    }
    // Some pairs have no plan or no run (a solver in sigma at zero SNR, parareal on a multistep plan): most have.
    process::exit(i32::from(runs < 400))
}

/// One run; `None` where there is none.
fn run([grid, solver, sampler]: [usize; 3], memory: &mut Memory) -> Option<()> {
    let Memory { levels, nodes, x, rows, spans, marks } = memory;
    let grid = make(grid, levels)?;
    let (_, solver) = AnySolver::list().nth(solver)?;
    let plan = solver.plan(&grid, Prediction::Epsilon, nodes).ok()?;
    let (picard, sampler) = (Picard { window: 8, ..Picard::default() }, black_box(sampler));
    let sampler = match sampler {
        0 => AnySampler::Sequential(Sequential),
        1 => AnySampler::Picard(picard),
        2 => AnySampler::Picard(Picard { anderson: 2, slope: Slope::Multisecant(2), ..picard }),
        3 => AnySampler::Parareal(Parareal::default()),
        4 => AnySampler::Speculative(Speculative::default()),
        _ => Auto { rows: 64, ..Auto::default() }.choose(&plan, 1, DIM),
    };
    let noise = Noise::seeded(7);
    plan.start(&noise, DIM, x);
    let mut workspace = Workspace::new(SliceFrames::new(rows, DIM), spans).with_marks(marks);
    let mut run = sampler.begin(&plan, &noise, x, &mut workspace).ok()?;
    while run.round(&mut Model).ok()?.is_some() {}
    run.finish(x);
    Some(())
}

fn make(kind: usize, levels: &mut [Level]) -> Option<Grid<'_>> {
    let betas = Betas::scaled_linear(1000, 0.00085, 0.012);
    let grid = match kind {
        0 => betas.grid(STEPS, black_box(Spacing::Trailing), Final::Data, levels),
        1 => Betas::cosine(1000).zero_snr().trailing(STEPS, levels),
        2 => Betas::sigmoid(1000, 1e-4, 2e-2).grid(STEPS, Spacing::Linspace, Final::FirstTimestep, levels),
        3 => betas.respaced(STEPS, &black_box(Curve::karras()), Final::Data, levels),
        4 => {
            let shape = black_box(SigmaShape::Beta { alpha: 0.6, beta: 0.6 });
            Sigmas { sigma_min: 0.002, sigma_max: 80.0, shape }.grid(STEPS, 0.0, levels)
        }
        _ => FlowShift { train_steps: 1000, shift: 3.0 }.open_grid(STEPS, 1.0, 0.001, levels),
    };
    grid.ok()
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    process::exit(2)
}
