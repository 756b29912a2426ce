//! `picardy-ort sample` with models of others: names, conditions, guidance, little memory.

mod common;

use std::fs;

use common::command::{complaint, numbers, picardy_ort, said};
use picardy_ort::{ensure_runtime, output::write_npy};
use picardy_trainer::onnx::{Attribute, Element, Extent, GraphBuilder};

const N: Extent<'_> = Extent::Free("n");

/// `--prediction` and the schedule, for models without metadata.
const PROCESS: [&str; 4] = ["--prediction", "epsilon", "--schedule", "linear"];

/// eps = state / 2 + table[label] + text, of a latent `[2, w]` whose extent w is open, t second to last.
fn latent_model() -> Vec<u8> {
    let mut graph = GraphBuilder::new("latent");
    graph.input("label", Element::I64, &[N]);
    graph.input("text", Element::F16, &[N, Extent::Fixed(2), Extent::Fixed(1)]);
    graph.input("when", Element::I64, &[]);
    graph.input("state", Element::F32, &[N, Extent::Fixed(2), Extent::Free("w")]);
    graph.floats("table", &[3, 1, 1], &[0.5, -1.0, 2.0]).unwrap();
    graph.floats("half", &[1], &[0.5]).unwrap();
    let to = [("to", Attribute::Int(i64::from(Element::F32.code())))];
    graph.node("text32", "Cast", &["text"], &to);
    graph.node("class", "Gather", &["table", "label"], &[]);
    graph.node("c", "Add", &["class", "text32"], &[]);
    graph.node("x", "Mul", &["state", "half"], &[]);
    graph.node("other", "Mul", &["x", "half"], &[]);
    graph.node("eps", "Add", &["x", "c"], &[]);
    graph.output("other", &[N, Extent::Fixed(2), Extent::Free("w")]);
    graph.output("eps", &[N, Extent::Fixed(2), Extent::Free("w")]);
    graph.finish().unwrap()
}

#[test]
fn a_conditioned_latent_model_is_sampled_by_flags() {
    ensure_runtime().unwrap();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("latent.onnx"), latent_model()).unwrap();
    write_npy(&dir.path().join("text.npy"), &[2, 1], &[0.25, -0.25]).unwrap();
    write_npy(&dir.path().join("null.npy"), &[2, 1], &[0.0, 0.5]).unwrap();
    let names = ["--input", "state", "--time", "when", "--output", "eps", "--shape", "2,3"];
    let run = |out: &str, more: &[&str]| {
        let mut args = vec!["sample", "latent.onnx", "--batch", "3", "--steps", "10", "--out", out];
        args.extend(PROCESS.iter().chain(&names).chain(more));
        picardy_ort(dir.path(), &args)
    };
    let sample = |more: &[&str]| {
        said(&run("a.npy", more));
        let (shape, values) = numbers(&dir.path().join("a.npy"));
        assert_eq!(shape, [3, 2, 3]);
        assert!(values.iter().all(|v| v.is_finite()));
        values
    };
    let text = ["--condition", "text=text.npy"];
    let one = sample(&[&text[..], &["--condition", "label=1"]].concat());
    // Each item's own class: the first is as before, the others are not.
    let each = sample(&[&text[..], &["--condition", "label=1,2,0"]].concat());
    assert_eq!(one[..6], each[..6]);
    assert!(one[6..].iter().zip(&each[6..]).all(|(a, b)| (a - b).abs() > 0.1));
    // Picard sees the same model, whose t is one for a run.
    let picard = sample(
        &[&text[..], &["--condition", "label=1,2,0", "--method", "picard", "--tolerance", "0"]].concat(),
    );
    assert!(each.iter().zip(&picard).all(|(a, b)| (a - b).abs() <= 1e-3 * a.abs().max(1.0)));
    // eps = x / 2 + c: with weight 2, class 1 over class 0 is c = -1 - 1.5, and text over null is 0.5, -1.
    let guidance = ["--uncond", "label=0", "--uncond", "text=null.npy", "--guidance", "2"];
    let guided = sample(&[&text[..], &["--condition", "label=1"], &guidance].concat());
    write_npy(&dir.path().join("sum.npy"), &[2, 1], &[-2.5 + 0.5 - 0.5, -2.5 - 1.0 - 0.5]).unwrap();
    let want = sample(&["--condition", "text=sum.npy", "--condition", "label=0"]);
    assert!(
        guided.iter().zip(&want).all(|(a, b)| (a - b).abs() <= 1e-3 * b.abs().max(1.0)),
        "{guided:?} {want:?}"
    );
    let guided_picard = sample(
        &[&text[..], &["--condition", "label=1"], &guidance, &["--method", "picard", "--tolerance", "0"]]
            .concat(),
    );
    assert!(guided.iter().zip(&guided_picard).all(|(a, b)| (a - b).abs() <= 1e-3 * a.abs().max(1.0)));

    let label = ["--condition", "label=1"];
    let refused: [(&[&str], &str); 10] = [
        (&["--condition", "text=text.npy"], "takes `label: i64 [n]` too"),
        (&[&text[..], &["--condition", "label=1,2"]].concat(), "item 2 is asked for and 2 are bound"),
        (&[&text[..], &["--condition", "label=0.5"]].concat(), "0.5"),
        (&[&text[..], &["--condition", "label=7"]].concat(), "ONNX Runtime"),
        (&[&label[..], &["--condition", "text=missing.npy"]].concat(), "missing.npy"),
        (&[&label[..], &["--condition", "text=latent.onnx"]].concat(), "no .npy array"),
        (&[&label[..], &["--condition", "text=hello"]].concat(), "`hello` is neither numbers nor"),
        (&[&label[..], &text, &["--condition", "label=2"]].concat(), "`label` twice"),
        (&[&label[..], &text, &["--guidance", "2"]].concat(), "need a null for `label"),
        (&[&label[..], &text, &["--guidance", "NaN", "--uncond", "label=0"]].concat(), "weight NaN"),
    ];
    for (more, part) in refused {
        let said = complaint(&run("b.npy", more));
        assert!(said.contains(part), "{more:?}: {said}");
        assert!(!dir.path().join("b.npy").exists());
    }
    let info = said(&picardy_ort(dir.path(), &["info", "latent.onnx"]));
    assert!(info.contains("`state: f32 [n, 2, w]` is not known: give it, such as --shape 4,8,8"), "{info}");
}

/// eps = x / 2 + 0 * the mean of a table of `numbers` for each row.
fn hungry_model(numbers: usize) -> Vec<u8> {
    let mut graph = GraphBuilder::new("hungry");
    graph.input("x", Element::F32, &[N, Extent::Fixed(2)]);
    graph.input("t", Element::F32, &[N]);
    graph.floats("half", &[1], &[0.5]).unwrap();
    graph.floats("none", &[1], &[0.0]).unwrap();
    graph.floats("ones", &[1, numbers], &vec![1.0; numbers]).unwrap();
    graph.integers("axis", &[1]);
    graph.node("column", "Unsqueeze", &["t", "axis"], &[]);
    graph.node("wide", "Mul", &["column", "ones"], &[]);
    graph.node("sum", "ReduceSum", &["wide", "axis"], &[]);
    graph.node("zero", "Mul", &["sum", "none"], &[]);
    graph.node("x_half", "Mul", &["x", "half"], &[]);
    graph.node("eps", "Add", &["x_half", "zero"], &[]);
    graph.output("eps", &[N, Extent::Fixed(2)]);
    graph.finish().unwrap()
}

/// ONNX Runtime's own words for memory that ran out, under a limit that the shell sets.
#[cfg(target_os = "linux")]
#[test]
fn where_memory_runs_out_calls_are_halved_and_the_run_says_so() {
    ensure_runtime().unwrap();
    let dir = tempfile::tempdir().unwrap();
    // 16 MB a row: 64 rows are 1 GB.
    fs::write(dir.path().join("hungry.onnx"), hungry_model(4 << 20)).unwrap();
    let sample = |limit: &str, out: &str| {
        let command = format!(
            "ulimit -v {limit} && exec {} sample hungry.onnx {} --batch 64 --steps 3 --out {out}",
            env!("CARGO_BIN_EXE_picardy-ort"),
            PROCESS.join(" ")
        );
        std::process::Command::new("sh").args(["-c", &command]).current_dir(dir.path()).output().unwrap()
    };
    let plenty = said(&sample("unlimited", "a.npy"));
    assert!(!plenty.contains("out of memory"), "{plenty}");
    let little = said(&sample("800000", "b.npy"));
    assert!(little.contains("out of memory: calls were halved"), "{little}");
    assert_eq!(numbers(&dir.path().join("a.npy")), numbers(&dir.path().join("b.npy")));
}
