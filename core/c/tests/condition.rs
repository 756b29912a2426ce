//! Networks of every kind from C, told an observation or a label: core's own numbers to the bit, and an error for every misuse.
#![allow(unsafe_code, reason = "calls of the C border")]

use core::ffi::c_void;
use core::ptr;
use picardy::nn::{
    Aligned, Architecture, Artifact, Builder, LayerShape, ModelCard, Network, NetworkDenoiser, Numbers,
    ProgramError, Source, Step, Unet1d, Unet2d, WeightFormat, Weights, Widths,
};
use picardy::{Betas, Ddpm, Level, Mark, Name, Node, Noise, NoiseSchedule, Picard, Prediction, Sampler};
use picardy::{Sequential, SliceFrames, Solver, Span, Workspace};
use picardy_c::picardy_error::*;
use picardy_c::*;

mod common;
use common::{Memory, NOTHING, detail, name};

const BATCH: usize = 2;
const STEPS: usize = 6;

/// What an architecture asks for.
#[derive(Default)]
struct Asked(Vec<(String, Vec<usize>)>);

impl Asked {
    fn ask(&mut self, name: impl ToString, shape: &[usize]) {
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
type Edit<'a> = &'a dyn Fn(&mut Vec<(String, String)>);

/// A file of an architecture, its numbers a fixed sequence; `edit` changes its card.
fn file(architecture: Architecture, shape: &[usize], condition: usize, edit: Edit<'_>) -> Vec<u8> {
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

const UNCHANGED: Edit<'_> = &|_| {};

fn unet1d() -> Architecture {
    let widths = Widths::new(&[8, 16]).unwrap();
    Architecture::Unet1d(Unet1d { widths, embedding: 8, kernel: 3, groups: 4, scale: true })
}

fn unet2d() -> Architecture {
    let widths = Widths::new(&[8, 16]).unwrap();
    Architecture::Unet2d(Unet2d { widths, embedding: 8, blocks: 1, groups: 4, heads: 2 })
}

const MLP: Architecture = Architecture::ResidualMlp { width: 16, blocks: 2 };

/// The robot's network of the firmware: 16 positions in the plane, from an observation of 53 numbers.
fn navigate() -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/firmware/data/navigate.safetensors");
    std::fs::read(path).unwrap()
}

/// A network that C has opened, and its scratch.
struct Opened {
    file: Memory,
    length: usize,
    memory: Memory,
    bytes: usize,
    network: *const picardy_network,
    card: picardy_card,
    scratch: Vec<f32>,
}

/// Opened in exactly the memory that it takes, with the scratch of one row; the code and the name of an error.
fn open(file: &[u8]) -> Result<Opened, (i32, String)> {
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
    fn denoiser(&mut self, conditions: &[f32]) -> picardy_denoiser {
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
    fn told(&self, items: usize) -> Vec<f32> {
        (0..items * self.card.condition).map(|i| (i * 37 % 64) as f32 / 32.0 - 1.0).collect()
    }

    /// Samples with DDPM, whose noise is each item's own.
    fn sample(
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
fn with_core<R>(file: &[u8], work: impl FnOnce(Network<'_, '_>, &ModelCard<'_>) -> R) -> R {
    let mut aligned = Aligned([0u8; 1 << 18]);
    let bytes = &mut aligned.0[..file.len()];
    bytes.copy_from_slice(file);
    let artifact = Artifact::parse(bytes).unwrap();
    let card = ModelCard::from_lookup(|key| artifact.metadata(key)).unwrap();
    let mut steps: Vec<Step<Weights<'_>>> = vec![Step::default(); card.architecture.steps(card.condition)];
    work(Network::from_artifact(&artifact, &card, &mut steps).unwrap(), &card)
}

/// Core's own samples.
fn of_core(file: &[u8], told: &[f32], sampler: &impl Sampler) -> Vec<f32> {
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

fn bits(x: &[f32]) -> Vec<u32> {
    assert!(x.iter().all(|x| x.is_finite()));
    x.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn samples_of_every_network_are_core_s_to_the_bit() {
    for (file, shape, condition) in [
        (navigate(), [1, 16, 2], 53),
        (file(unet1d(), &[8, 3], 5, UNCHANGED), [1, 8, 3], 5),
        (file(unet1d(), &[8, 3], 0, UNCHANGED), [1, 8, 3], 0),
        (file(unet2d(), &[8, 4, 2], 4, UNCHANGED), [8, 4, 2], 4),
        (file(MLP, &[3], 4, UNCHANGED), [1, 1, 3], 4),
    ] {
        let mut opened = open(&file).unwrap();
        assert_eq!((opened.card.shape, opened.card.condition), (shape, condition));
        assert_eq!(opened.card.dim, shape.iter().product::<usize>());
        let told = opened.told(BATCH);
        let denoiser = opened.denoiser(&told);
        let sequential = opened.sample(&denoiser, picardy_sampler_sequential()).unwrap();
        let picard = opened.sample(&denoiser, picardy_sampler_picard()).unwrap();
        assert_eq!(bits(&sequential), bits(&of_core(&file, &told, &Sequential)));
        assert_eq!(bits(&picard), bits(&of_core(&file, &told, &Picard::default())));
        if condition > 0 {
            // The second item is told something else: the first one's sample stays.
            let mut other = told.clone();
            other[condition..].iter_mut().for_each(|number| *number = 0.0);
            let denoiser = opened.denoiser(&other);
            let changed = opened.sample(&denoiser, picardy_sampler_sequential()).unwrap();
            let (first, second) = sequential.split_at(opened.card.dim);
            assert_eq!(&changed[..opened.card.dim], first);
            assert_ne!(&changed[opened.card.dim..], second);
        }
    }
}

#[test]
fn an_mlp_s_card_has_its_width_and_a_u_net_s_none() {
    let sizes = |file: &[u8]| open(file).map(|opened| (opened.card.width, opened.card.blocks));
    assert_eq!(sizes(&file(MLP, &[3], 0, UNCHANGED)), Ok((16, 2)));
    assert_eq!(sizes(&file(MLP, &[3], 4, UNCHANGED)), Ok((16, 2)));
    assert_eq!(sizes(&navigate()), Ok((0, 0)));
}

/// Core's network behind a function of C.
struct Behind<'a> {
    network: Network<'a, 'a>,
    told: &'a [f32],
    scratch: Vec<f32>,
}

unsafe extern "C" fn behind(
    context: *mut c_void,
    rows: *const picardy_row,
    count: usize,
    dim: usize,
    x: *const f32,
    out: *mut f32,
) -> i32 {
    // SAFETY: what the header says.
    let (behind, rows, x, out) = unsafe {
        (
            &mut *context.cast::<Behind<'_>>(),
            core::slice::from_raw_parts(rows, count),
            core::slice::from_raw_parts(x, count * dim),
            core::slice::from_raw_parts_mut(out, count * dim),
        )
    };
    let width = behind.network.condition();
    for ((row, x), out) in rows.iter().zip(x.chunks(dim)).zip(out.chunks_mut(dim)) {
        let told = &behind.told[row.item as usize * width..][..width];
        behind.network.forward(x, core::iter::once(row.t), told, out, &mut behind.scratch).unwrap();
    }
    0
}

#[test]
fn densities_are_those_given_each_item_s_own_condition() {
    const ITEMS: usize = 3;
    let file = file(unet1d(), &[8, 3], 5, UNCHANGED);
    let mut opened = open(&file).unwrap();
    let (card, told) = (opened.card, opened.told(ITEMS));
    let mut spec = picardy_likelihood_spec_logistic(card.dim);
    (spec.schedule, spec.prediction) = (card.schedule, card.prediction);
    (spec.evaluations, spec.rows) = (20, 7);
    let (mut bytes, mut likelihood) = (0, ptr::null_mut());
    // SAFETY: all pointers are to what they say.
    let mut memory = unsafe {
        assert_eq!(picardy_likelihood_size(&spec, &mut bytes, ptr::null_mut()), 0);
        Memory::new(bytes)
    };
    // SAFETY: the same.
    unsafe {
        let code = picardy_likelihood_make(&spec, memory.at(), bytes, &mut likelihood, ptr::null_mut());
        assert_eq!(code, 0);
    }
    // The same input three times: what differs is what the items are told.
    let input: Vec<f32> = (0..card.dim).map(|i| (i * 5 % 11) as f32 / 5.5 - 1.0).collect();
    let x = input.repeat(ITEMS);
    let ask = |denoiser: &picardy_denoiser| {
        let (mut nats, mut fault) = ([picardy_nats::default(); ITEMS], detail());
        // SAFETY: all pointers are to what they say.
        let code = unsafe {
            let (at, out) = (x.as_ptr(), nats.as_mut_ptr());
            picardy_log_density(likelihood, denoiser, ptr::null(), at, ITEMS, out, &mut fault)
        };
        if code == 0 { Ok(nats) } else { Err(fault) }
    };
    let found = ask(&opened.denoiser(&told)).unwrap();
    let expected = with_core(&file, |network, _| {
        let mut behind_it = Behind { network, told: &told, scratch: vec![0.0; network.scratch_len(1)] };
        let context = ptr::from_mut(&mut behind_it).cast();
        ask(&picardy_denoiser { evaluate: Some(behind), context, ..NOTHING }).unwrap()
    });
    assert_eq!(found, expected);
    assert!(found.iter().all(|nats| nats.value.is_finite()));
    assert!(found[0] != found[1] && found[1] != found[2], "{found:?}");
    let one = ask(&opened.denoiser(&told[..5])).unwrap_err();
    assert_eq!((one.code, one.needed, one.given), (PICARDY_ERROR_CONDITION as i32, 15, 5));
}

#[test]
fn conditions_that_are_none_are_errors_of_their_own() {
    let mut opened = open(&navigate()).unwrap();
    let mut told = opened.told(BATCH);
    let sequential = picardy_sampler_sequential();
    let said = |opened: &Opened, denoiser: &picardy_denoiser| {
        let fault = opened.sample(denoiser, sequential).unwrap_err();
        (fault.code, name(&fault).to_owned(), fault)
    };
    let denoiser = opened.denoiser(&[]);
    let (code, _, fault) = said(&opened, &denoiser);
    assert_eq!((code, fault.needed), (PICARDY_ERROR_NO_CONDITION as i32, 106));
    for numbers in [1, 53, 105, 107] {
        let denoiser = picardy_denoiser { condition_floats: numbers, ..opened.denoiser(&told) };
        let (code, _, fault) = said(&opened, &denoiser);
        assert_eq!((code, fault.needed, fault.given), (PICARDY_ERROR_CONDITION as i32, 106, numbers));
    }
    let denoiser = picardy_denoiser { conditions: ptr::null(), ..opened.denoiser(&told) };
    let (code, what, _) = said(&opened, &denoiser);
    assert_eq!((code, what.as_str()), (PICARDY_ERROR_NULL as i32, "conditions"));
    let denoiser =
        picardy_denoiser { conditions: told.as_ptr().wrapping_byte_add(1), ..opened.denoiser(&told) };
    let (code, what, _) = said(&opened, &denoiser);
    assert_eq!((code, what.as_str()), (PICARDY_ERROR_MISALIGNED as i32, "conditions"));
    for value in [f32::NAN, f32::NEG_INFINITY] {
        let good = core::mem::replace(&mut told[60], value);
        let denoiser = opened.denoiser(&told);
        let (code, what, fault) = said(&opened, &denoiser);
        assert_eq!((code, what.as_str()), (PICARDY_ERROR_NUMBER as i32, "conditions"));
        assert_eq!((fault.index, fault.item), (60, 1));
        assert_eq!(fault.value.to_bits(), f64::from(value).to_bits());
        told[60] = good;
    }
    // In the scratch, which is written to.
    let denoiser = picardy_denoiser { conditions: opened.scratch.as_ptr(), ..opened.denoiser(&told) };
    let (code, what, _) = said(&opened, &denoiser);
    assert_eq!((code, what.as_str()), (PICARDY_ERROR_OVERLAP as i32, "conditions"));
    let denoiser = opened.denoiser(&told);
    assert!(opened.sample(&denoiser, sequential).is_ok());

    // Nobody who is told them.
    let mut without = open(&file(MLP, &[3], 0, UNCHANGED)).unwrap();
    let denoiser = without.denoiser(&told);
    let (code, _, fault) = said(&without, &denoiser);
    assert_eq!((code, fault.needed, fault.given), (PICARDY_ERROR_CONDITION as i32, 0, 106));
    let function = picardy_denoiser {
        evaluate: Some(behind),
        network: ptr::null(),
        context: ptr::null_mut(),
        ..opened.denoiser(&told)
    };
    assert_eq!(said(&opened, &function).0, PICARDY_ERROR_CONDITION as i32);
}

#[test]
fn a_program_is_the_network_s_memory() {
    let mut opened = open(&navigate()).unwrap();
    let told = opened.told(BATCH);
    // Beside a header it has a program.
    assert!(opened.bytes > PICARDY_NETWORK_BYTES);
    let (mut again, mut fault) = (ptr::null(), detail());
    let (at, length, bytes) = (opened.file.at(), opened.length, opened.bytes);
    // Scratch in the program, at its end.
    let end = opened.memory.at().wrapping_byte_add(bytes - 64).cast();
    let denoiser = picardy_denoiser { scratch: end, scratch_floats: 16, ..opened.denoiser(&told) };
    let refused = opened.sample(&denoiser, picardy_sampler_sequential()).unwrap_err();
    assert_eq!((refused.code, name(&refused)), (PICARDY_ERROR_OVERLAP as i32, "scratch"));
    // SAFETY: all pointers are to what they say.
    unsafe {
        picardy_network_open(at, length, opened.memory.at(), bytes - 1, &mut again, &mut fault);
    }
    assert_eq!((fault.code, fault.needed, fault.given), (PICARDY_ERROR_MEMORY as i32, bytes, bytes - 1));
    // Opened in vain, the network is none.
    let denoiser = opened.denoiser(&told);
    let refused = opened.sample(&denoiser, picardy_sampler_sequential()).unwrap_err();
    assert_eq!(refused.code, PICARDY_ERROR_NOT_A_NETWORK as i32);
}

#[test]
fn artifacts_that_no_network_can_be_are_named() {
    let card = |key: &'static str, value: &'static str| {
        file(unet1d(), &[8, 3], 5, &move |entries: &mut Vec<(String, String)>| {
            entries.iter_mut().filter(|(name, _)| name == key).for_each(|(_, old)| *old = value.to_owned());
        })
    };
    for (key, value, code, named) in [
        ("picardy.groups", "5", PICARDY_ERROR_CARD, "picardy.groups"),
        ("picardy.kernel", "4", PICARDY_ERROR_CARD, "picardy.kernel"),
        ("picardy.embedding", "7", PICARDY_ERROR_CARD, "picardy.embedding"),
        ("picardy.shape", "24,1", PICARDY_ERROR_TENSOR, "down.0.res1.1.conv.weight"),
        ("picardy.shape", "3,8", PICARDY_ERROR_CARD, "picardy.shape"),
        ("picardy.shape", "24", PICARDY_ERROR_CARD, "picardy.shape"),
        ("picardy.condition", "6", PICARDY_ERROR_TENSOR, "down.0.res1.film.weight"),
        ("picardy.widths", "8,32", PICARDY_ERROR_TENSOR, "down.1.res1.1.conv.weight"),
        ("picardy.model", "other", PICARDY_ERROR_MODEL, "other"),
    ] {
        let (found, name) = open(&card(key, value)).err().expect("no network");
        assert_eq!((found, name.as_str()), (code as i32, named), "{key} {value}");
    }
    // Without a card nobody says that an MLP takes a condition.
    let bare = file(MLP, &[3], 4, &|entries| entries.clear());
    assert_eq!(open(&bare).err(), Some((PICARDY_ERROR_CARD as i32, "picardy.version".to_owned())));
    let points = file(MLP, &[3], 0, &|entries| {
        entries.iter_mut().filter(|(key, _)| key == "picardy.model").for_each(|(_, model)| {
            *model = "exact-points".to_owned();
        });
    });
    assert_eq!(open(&points).err(), Some((PICARDY_ERROR_MODEL as i32, "exact-points".to_owned())));
    let (mut size, mut fault) = (0, detail());
    // SAFETY: pointers are null or to what they say.
    unsafe {
        picardy_network_size(ptr::null(), 8, &mut size, &mut fault);
        assert_eq!((fault.code, name(&fault)), (PICARDY_ERROR_NULL as i32, "bytes"));
        let mut opened = open(&navigate()).unwrap();
        let (at, length) = (opened.file.at(), opened.length);
        picardy_network_size(at, length, ptr::null_mut(), &mut fault);
        assert_eq!((fault.code, name(&fault)), (PICARDY_ERROR_NULL as i32, "size"));
    }
}

#[test]
fn a_spoiled_header_is_an_error_or_a_network_that_runs() {
    let mut opened_anyhow = 0;
    for good in [file(unet1d(), &[8, 3], 5, UNCHANGED), file(unet2d(), &[8, 4, 2], 4, UNCHANGED)] {
        let header = u64::from_le_bytes(good[..8].try_into().unwrap()) as usize;
        let mut state = 1u32;
        let mut random = |below: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as usize % below
        };
        let digits: Vec<usize> = (8..8 + header).filter(|at| good[*at].is_ascii_digit()).collect();
        for round in 0..1500 {
            let mut spoiled = good.clone();
            // A digit is what the sizes are made of.
            let at = if round % 3 == 0 { 8 + random(header) } else { digits[random(digits.len())] };
            spoiled[at] = if round % 3 == 0 { random(256) as u8 } else { b'0' + random(10) as u8 };
            let (mut bytes, mut network, mut dim, mut floats, none) = (0, ptr::null(), 0, 0, ptr::null_mut());
            let (mut at, mut fault) = (Memory::new(spoiled.len()), detail());
            // SAFETY: all pointers are to what they say.
            unsafe {
                at.at().cast::<u8>().copy_from(spoiled.as_ptr(), spoiled.len());
                let told = picardy_network_size(at.at(), spoiled.len(), &mut bytes, &mut fault);
                assert!(told != 0 || (1..1 << 20).contains(&bytes), "{bytes} bytes");
                let mut memory = Memory::new(if told == 0 { bytes } else { 1 << 16 });
                let room = if told == 0 { bytes } else { 1 << 16 };
                let code =
                    picardy_network_open(at.at(), spoiled.len(), memory.at(), room, &mut network, &mut fault);
                assert!(told == 0 || told == code);
                assert_ne!(code, PICARDY_ERROR_OTHER as i32);
                if code != 0 {
                    continue;
                }
                opened_anyhow += 1;
                assert_eq!(picardy_network_dim(network, &mut dim, none), 0);
                assert_eq!(picardy_network_scratch(network, 1, &mut floats, none), 0);
                assert!(floats < 1 << 20, "{floats} floats");
                let mut card = core::mem::zeroed::<picardy_card>();
                if picardy_network_card(network, &mut card, none) != 0 {
                    continue;
                }
                let scratch = vec![0.0; floats];
                let mut opened =
                    Opened { file: at, length: spoiled.len(), memory, bytes, network, card, scratch };
                let (told, sequential) = (opened.told(BATCH), picardy_sampler_sequential());
                let denoiser = opened.denoiser(&told);
                match opened.sample(&denoiser, sequential) {
                    Ok(x) => assert!(x.iter().all(|x| x.is_finite())),
                    Err(fault) => assert_ne!(fault.code, PICARDY_ERROR_OTHER as i32),
                }
            }
        }
    }
    assert!(opened_anyhow > 300, "{opened_anyhow}");
}
