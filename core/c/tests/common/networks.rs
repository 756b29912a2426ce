//! Artifacts of every kind of network, opened by C and run by core.

use core::ptr;
use picardy::nn::{
    Aligned, Architecture, Artifact, Builder, LayerShape, ModelCard, Network, NetworkDenoiser, Numbers,
    ProgramError, Source, Step, Unet1d, Unet2d, WeightFormat, Weights, Widths,
};
use picardy::{Betas, Ddpm, Level, Mark, Name, Node, Noise, NoiseSchedule, Prediction, Sampler};
use picardy::{SliceFrames, Solver, Span, Workspace};
use picardy_c::*;

use super::{Memory, NOTHING, detail, name};

pub(crate) const BATCH: usize = 2;
pub(crate) const STEPS: usize = 6;

/// What an architecture asks for.
#[derive(Default)]
pub(crate) struct Asked(Vec<(String, Vec<usize>)>);

impl Asked {
    pub(crate) fn ask(&mut self, name: impl ToString, shape: &[usize]) {
        let name = name.to_string();
        if self.0.iter().all(|(known, _)| *known != name) {
            self.0.push((name, shape.to_vec()));
        }
    }
}

impl Source for Asked {
    type Parameters = ();
    type Error = ProgramError;

    fn layer(&mut self, weight: Name, bias: Name, shape: LayerShape) -> Result<(), ProgramError> {
        self.ask(weight, &[shape.outputs, shape.patch()]);
        self.ask(bias, &[shape.outputs]);
        Ok(())
    }

    fn norm(&mut self, prefix: Name, channels: usize) -> Result<(), ProgramError> {
        self.ask(format!("{prefix}.weight"), &[channels]);
        self.ask(format!("{prefix}.bias"), &[channels]);
        Ok(())
    }
}

/// A card's keys and values, changed.
pub(crate) type Edit<'a> = &'a dyn Fn(&mut Vec<(String, String)>);

/// A file of an architecture, its numbers a fixed sequence; `edit` changes its card.
pub(crate) fn file(architecture: Architecture, shape: &[usize], condition: usize, edit: Edit<'_>) -> Vec<u8> {
    let mut steps = vec![Step::default(); architecture.steps(condition)];
    let item = architecture.item(shape).unwrap();
    let mut builder = Builder::new(item, condition, &mut steps, Asked::default());
    architecture.build(&mut builder).unwrap();
    let Asked(tensors) = builder.finish().1;
    let list = |number: &str, n: usize| vec![number; n].join(",");
    let dim = item.len();
    let (mean, scale) = (list("0.5", dim), list("2", dim));
    let axes = shape.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
    let card = ModelCard {
        architecture,
        condition,
        schedule: NoiseSchedule::Vp(Betas::cosine(100)),
        prediction: Prediction::Sample,
        shape: Numbers::new(&axes).unwrap(),
        loss: "standard",
        seed: 0,
        data_mean: Numbers::new(&mean).unwrap(),
        data_scale: Numbers::new(&scale).unwrap(),
        data_variance: 1.0,
        weights: WeightFormat::F32,
    };
    let mut entries = Vec::new();
    card.entries(|key, value| entries.push((key.to_owned(), value.to_string())));
    edit(&mut entries);
    let metadata: Vec<_> = entries.iter().map(|(key, value)| format!(r#""{key}":"{value}""#)).collect();
    let mut header = vec![format!(r#""__metadata__":{{{}}}"#, metadata.join(","))];
    let (mut data, mut state) = (Vec::new(), 1u32);
    for (name, shape) in &tensors {
        let start = data.len();
        for _ in 0..shape.iter().product() {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let random = (state >> 8) as f32 / (1 << 24) as f32 - 0.5;
            let value = if name.contains("norm") { 1.0 + random } else { 0.3 * random };
            data.extend(value.to_le_bytes());
        }
        let end = data.len();
        header
            .push(format!(r#""{name}":{{"dtype":"F32","shape":{shape:?},"data_offsets":[{start},{end}]}}"#));
    }
    let mut header = format!("{{{}}}", header.join(",")).into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
}

pub(crate) const UNCHANGED: Edit<'_> = &|_| {};

pub(crate) fn unet1d() -> Architecture {
    let widths = Widths::new(&[8, 16]).unwrap();
    Architecture::Unet1d(Unet1d { widths, embedding: 8, kernel: 3, groups: 4, scale: true })
}

pub(crate) fn unet2d() -> Architecture {
    let widths = Widths::new(&[8, 16]).unwrap();
    Architecture::Unet2d(Unet2d { widths, embedding: 8, blocks: 1, groups: 4, heads: 2 })
}

pub(crate) const MLP: Architecture = Architecture::ResidualMlp { width: 16, blocks: 2 };

/// The robot's network of the firmware: 16 positions in the plane, from an observation of 53 numbers.
pub(crate) fn navigate() -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/firmware/data/navigate.safetensors");
    std::fs::read(path).unwrap()
}

/// A network that C has opened, and its scratch.
pub(crate) struct Opened {
    pub(crate) file: Memory,
    pub(crate) length: usize,
    pub(crate) memory: Memory,
    pub(crate) bytes: usize,
    pub(crate) network: *const picardy_network,
    pub(crate) card: picardy_card,
    pub(crate) scratch: Vec<f32>,
}

/// Opened in exactly the memory that it takes, with the scratch of one row; the code and the name of an error.
pub(crate) fn open(file: &[u8]) -> Result<Opened, (i32, String)> {
    let (mut fault, mut bytes, mut network, mut floats) = (detail(), 0, ptr::null(), 0);
    let mut at = Memory::new(file.len());
    // SAFETY: all pointers are to what they say; a card is plain data.
    unsafe {
        at.at().cast::<u8>().copy_from(file.as_ptr(), file.len());
        if picardy_network_size(at.at(), file.len(), &mut bytes, &mut fault) != 0 {
            return Err((fault.code, name(&fault).to_owned()));
        }
        let mut memory = Memory::new(bytes);
        if picardy_network_open(at.at(), file.len(), memory.at(), bytes, &mut network, &mut fault) != 0 {
            assert!(network.is_null());
            return Err((fault.code, name(&fault).to_owned()));
        }
        let mut card = core::mem::zeroed::<picardy_card>();
        assert_eq!(picardy_network_card(network, &mut card, ptr::null_mut()), 0);
        assert_eq!(picardy_network_scratch(network, 1, &mut floats, ptr::null_mut()), 0);
        let scratch = vec![0.0; floats];
        Ok(Opened { file: at, length: file.len(), memory, bytes, network, card, scratch })
    }
}

impl Opened {
    pub(crate) fn denoiser(&mut self, conditions: &[f32]) -> picardy_denoiser {
        picardy_denoiser {
            network: self.network,
            scratch: self.scratch.as_mut_ptr(),
            scratch_floats: self.scratch.len(),
            conditions: if conditions.is_empty() { ptr::null() } else { conditions.as_ptr() },
            condition_floats: conditions.len(),
            ..NOTHING
        }
    }

    /// What so many items are told: numbers that differ from item to item.
    pub(crate) fn told(&self, items: usize) -> Vec<f32> {
        (0..items * self.card.condition).map(|i| (i * 37 % 64) as f32 / 32.0 - 1.0).collect()
    }

    /// Samples with DDPM, whose noise is each item's own.
    pub(crate) fn sample(
        &self,
        denoiser: &picardy_denoiser,
        sampler: picardy_sampler,
    ) -> Result<Vec<f32>, picardy_detail> {
        let mut spec = picardy_plan_spec_ddim();
        (spec.schedule, spec.prediction, spec.steps) =
            (self.card.schedule, self.card.prediction, STEPS as u32);
        spec.solver.kind = picardy_solver_kind::PICARDY_SOLVER_DDPM as i32;
        let (mut memory, mut plan, mut fault) = (Memory::new(8192), ptr::null(), detail());
        let mut x = vec![0.0f32; BATCH * self.card.dim];
        let (mut need, none) = (picardy_need::default(), ptr::null_mut());
        // SAFETY: all pointers are to what they say.
        unsafe {
            assert_eq!(picardy_plan_make(&spec, memory.at(), 8192, &mut plan, &mut fault), 0);
            let setup =
                picardy_setup { plan, sampler, seed: 7, first_item: 5, batch: BATCH, dim: self.card.dim };
            assert_eq!(picardy_run_need(&setup, &mut need, &mut fault), 0);
            let (mut run, at) = (Memory::new(need.bytes), x.as_mut_ptr());
            assert_eq!(picardy_start(&setup, at, &mut fault), 0);
            let start = x.clone();
            let (room, report) = (run.at(), ptr::null_mut());
            match picardy_sample(&setup, denoiser, None, none, room, need.bytes, at, report, &mut fault) {
                0 => Ok(x),
                _ => {
                    assert_eq!(x, start, "an error leaves the start");
                    Err(fault)
                }
            }
        }
    }
}

/// Core's own network of a file.
pub(crate) fn with_core<R>(file: &[u8], work: impl FnOnce(Network<'_, '_>, &ModelCard<'_>) -> R) -> R {
    let mut aligned = Aligned([0u8; 1 << 18]);
    let bytes = &mut aligned.0[..file.len()];
    bytes.copy_from_slice(file);
    let artifact = Artifact::parse(bytes).unwrap();
    let card = ModelCard::from_lookup(|key| artifact.metadata(key)).unwrap();
    let mut steps: Vec<Step<Weights<'_>>> = vec![Step::default(); card.architecture.steps(card.condition)];
    work(Network::from_artifact(&artifact, &card, &mut steps).unwrap(), &card)
}

/// Core's own samples.
pub(crate) fn of_core(file: &[u8], told: &[f32], sampler: &impl Sampler) -> Vec<f32> {
    with_core(file, |network, card| {
        let (mut levels, mut nodes) = ([Level::default(); STEPS + 1], [Node::default(); STEPS + 1]);
        let grid = Betas::cosine(100).trailing(STEPS, &mut levels).unwrap();
        let plan = Ddpm::default().plan(&grid, card.prediction, &mut nodes).unwrap();
        let (noise, dim) = (Noise::seeded(7).from_item(5), card.dim());
        let mut x = vec![0.0f32; BATCH * dim];
        plan.start(&noise, dim, &mut x);
        let need = sampler.need(&plan, BATCH);
        let (mut numbers, mut spans) = (vec![0.0f32; need.numbers(dim)], vec![Span::default(); need.spans]);
        let mut marks = vec![Mark::default(); need.marks];
        let mut workspace =
            Workspace::new(SliceFrames::new(&mut numbers, dim), &mut spans).with_marks(&mut marks);
        let mut scratch = vec![0.0; network.scratch_len(3)];
        let mut denoiser = NetworkDenoiser::new(network, told, &mut scratch);
        sampler.run(&plan, &mut denoiser, &noise, &mut x, &mut workspace).unwrap();
        x
    })
}

pub(crate) fn bits(x: &[f32]) -> Vec<u32> {
    assert!(x.iter().all(|x| x.is_finite()));
    x.iter().map(|x| x.to_bits()).collect()
}
