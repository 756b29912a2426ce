//! Random plans on rows that stay on the device: the host path's states, calls that fail and are made again included.
//!
//! On the processor's provider in `cargo test`; tests/webgpu.sh and tests/cuda.sh run the same on the provider that
//! PICARDY_TEST_PROVIDER names.

mod common;

use std::ops::Range;

use common::rows::{apart, denoiser, provider};
use picardy::{
    Batch, Denoiser, Form, Level, MAX_OUTPUTS, Mark, Node, Noise, Picard, Plan, Prediction, Readout, Report,
    Run, Sampler, SliceFrames, Slope, Span, Start, Tensor, Term, Workspace,
};
use picardy_ort::{OrtDenoiser, OrtError, Provider, ResidentFrames};
use picardy_trainer::onnx::{Element, Extent, GraphBuilder};

const DIM: usize = 3;

/// Numbers that a seed has, each by its place.
struct Dice(u64);

impl Dice {
    fn of(&self, place: u64, sides: usize) -> usize {
        let mut bits = (self.0 * 100 + place).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        bits ^= bits >> 29;
        bits = bits.wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (bits ^ (bits >> 32)) as usize % sides
    }
}

/// States up to three nodes back, outputs up to four, nodes that ask for nothing, inputs of other scales.
fn plan(seed: u64, steps: usize, noise: f64) -> Vec<Node> {
    let draw = |k: usize, i: usize| Noise::seeded(seed).block(i, k, 0);
    let mut nodes: Vec<Node> = Vec::new();
    for k in 0..=steps {
        let sigma = 1.0 - 0.95 * k as f64 / steps as f64;
        let level = Level { alpha: (1.0 - sigma * sigma).sqrt() + 0.01, sigma, t: k as f64 };
        let mut node = Node { level, ..Node::default() };
        if k < steps && (k < 2 || draw(k, 0)[0] > -0.7) {
            let read = Prediction::Epsilon.readout(&level, Form::Data).unwrap();
            node.evaluate = Some(Readout { input: 1.0 + 0.1 * draw(k, 0)[1].tanh(), ..read });
        }
        if k > 0 {
            node.states[0] = Term::new(1, 0.7 + 0.05 * draw(k, 1)[0].tanh());
            if k > 2 && draw(k, 1)[1] > 0.0 {
                node.states[1] = Term::new(2 + u8::from(draw(k, 1)[2] > 0.0), 0.1);
            }
            let asked = |back: &usize| nodes[k - back].evaluate.is_some();
            let backs = (1..=MAX_OUTPUTS.min(k)).filter(asked);
            for (term, back) in
                backs.filter(|back| *back == 1 || draw(k, 2)[back - 1] > 0.0).enumerate().collect::<Vec<_>>()
            {
                node.outputs[term] = Term::new(back as u8, 0.2 * draw(k, 3)[term].tanh());
            }
            node.noise = noise;
        }
        nodes.push(node);
    }
    nodes
}

/// y = tanh(w x + t/20).
fn network(batch: Option<usize>) -> OrtDenoiser {
    let n = batch.map_or(Extent::Free("n"), Extent::Fixed);
    let mut graph = GraphBuilder::new("network");
    graph.input("x", Element::F32, &[n, Extent::Fixed(DIM)]);
    graph.input("t", Element::F32, &[n, Extent::Fixed(1)]);
    graph.floats("w", &[DIM], &[0.5, 1.0, -0.7]).unwrap();
    graph.floats("scale", &[1], &[0.05]).unwrap();
    graph.node("w.x", "Mul", &["x", "w"], &[]);
    graph.node("t.scaled", "Mul", &["t", "scale"], &[]);
    graph.node("sum", "Add", &["w.x", "t.scaled"], &[]);
    graph.node("y", "Tanh", &["sum"], &[]);
    graph.output("y", &[n, Extent::Fixed(DIM)]);
    denoiser(graph, None)
}

/// Fails in every so many-th call, half of the times after the network has answered.
struct Failing {
    inner: OrtDenoiser,
    calls: usize,
    every: usize,
}

impl Denoiser<ResidentFrames> for Failing {
    type Error = OrtError;

    fn evaluate(
        &mut self,
        batch: &Batch<'_>,
        frames: &mut ResidentFrames,
        x: Range<usize>,
        out: Range<usize>,
    ) -> Result<(), OrtError> {
        self.calls += 1;
        if self.every == 0 || !self.calls.is_multiple_of(self.every) {
            return self.inner.evaluate(batch, frames, x, out);
        }
        if self.calls.is_multiple_of(2 * self.every) {
            self.inner.evaluate(batch, frames, x, out.clone())?;
            frames.combine(out.start, &[(5.0, out.start)]);
        }
        Err(OrtError::Device { said: "a failure of the test's".to_owned() })
    }
}

/// At most so many rounds; one that fails is made again.
fn run<F: Tensor<Scalar = f32>, D: Denoiser<F>>(
    picard: &Picard,
    plan: &Plan<'_>,
    denoiser: &mut D,
    frames: F,
    (items, most): (usize, usize),
) -> (Vec<f32>, Report) {
    let (noise, need, mut x) = (Noise::seeded(5), picard.need(plan, items), vec![0.0; DIM * items]);
    plan.start(&noise, DIM, &mut x);
    let (mut spans, mut marks) = (vec![Span::default(); need.spans], vec![Mark::default(); need.marks]);
    let mut workspace = Workspace::new(frames, &mut spans).with_marks(&mut marks);
    let mut run = picard.begin(plan, &noise, &x, &mut workspace).unwrap();
    let mut rounds = 0;
    while rounds < most {
        match run.round(denoiser) {
            Ok(Some(_)) => rounds += 1,
            Ok(None) => break,
            Err(_) => {}
        }
    }
    let report = run.finish(&mut x);
    (x, report)
}

#[test]
fn any_plan_has_the_host_paths_states() {
    let seeds = if provider() == Provider::Cpu { 400 } else { 12 };
    let mut host = network(None);
    let failing = |batch| Failing { inner: network(batch), calls: 0, every: 0 };
    let mut devices = [failing(None), failing(None), failing(Some(4))];
    for seed in 0..seeds {
        let dice = Dice(seed);
        let nodes = plan(seed, 3 + dice.of(1, 22), [0.0, 0.05, 0.05][dice.of(2, 3)]);
        let plan = Plan::new(&nodes, Form::Data).unwrap();
        let items = 1 + dice.of(3, 3);
        let picard = Picard {
            window: [usize::MAX, 1 + dice.of(4, 9)][dice.of(5, 2)],
            stride: 1 + dice.of(6, 4),
            rows: [usize::MAX, items + dice.of(7, 12)][dice.of(8, 2)],
            slope: [Slope::Secant, Slope::Secant, Slope::Gaussian, Slope::Identity, Slope::Multisecant(2)]
                [dice.of(9, 5)],
            start: [Start::Gaussian, Start::Constant, Start::Coarse(1 + dice.of(10, 4))][dice.of(11, 3)],
            anderson: [0, 0, 0, 2][dice.of(12, 4)],
            tolerance: 1e-3,
            ..Picard::default()
        };
        let ends = (items, [usize::MAX, dice.of(13, 6)][dice.of(14, 2)]);
        let mut memory = vec![0.0; picard.need(&plan, items).rows * DIM];
        let (want, by_host) = run(&picard, &plan, &mut host, SliceFrames::new(&mut memory, DIM), ends);
        let frames = ResidentFrames::new(provider(), picard.need(&plan, items), &[DIM]).unwrap();
        let device = &mut devices[dice.of(15, 3)];
        (device.calls, device.every) = (0, [0, 2, 3][dice.of(16, 3)]);
        let (got, by_device) = run(&picard, &plan, device, frames, ends);
        assert!(
            apart(&want, &got) < 2e-4 && by_host.finished == by_device.finished,
            "seed {seed}, {picard:?}, {ends:?}: {want:?} {by_host:?}, {got:?} {by_device:?}"
        );
    }
}
