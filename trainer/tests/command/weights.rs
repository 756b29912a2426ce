//! `train --from`: weights to begin with.

use super::*;

#[test]
fn a_run_begins_with_an_artifacts_weights() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    done(&[&["train", "--out", text(&first)], &TINY[..]].concat());
    let model = first.join("model.safetensors");
    // A rate of next to nothing: what comes out is what went in.
    let still = ["--rate", "1e-300", "--from", text(&model), "--seed", "9", "--loss", "standard"];
    done(&[&["train", "--out", text(&second)], &TINY[..], &still[..], &["--steps", "3"]].concat());
    let weights = |run: &Path| {
        let bytes = read(run, "model.safetensors");
        let length = 8 + u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
        bytes[length..].to_vec()
    };
    assert!(weights(&first) == weights(&second));
    let wide = ["--from", text(&model), "--width", "8"];
    let out = folder.path().join("wide");
    let said = refused(&[&["train", "--out", text(&out)], &TINY[..], &wide[..]].concat());
    assert!(said.contains("`input.weight` has the shape [4, 2], and [8, 2] belongs there"), "{said}");
    assert!(said.contains("`blocks.1.fc2.weight`") && !out.exists(), "{said}");
    // A resumed run does not ask for the file again.
    std::fs::remove_file(&model).unwrap();
    done(&["resume", text(&second)]);
}

#[test]
fn pytorchs_names_are_mapped() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    done(&[&["train", "--out", text(&run)], &TINY[..]].concat());
    // The same weights under another name of the same length.
    let bytes = replaced(&read(&run, "model.safetensors"), b"input.weight", b"first.weight");
    let (theirs, map) = (folder.path().join("theirs.safetensors"), folder.path().join("map.toml"));
    std::fs::write(&theirs, bytes).unwrap();
    let go = |more: &[&str]| {
        let out = folder.path().join("mapped");
        let from = ["train", "--overwrite", "--out", text(&out), "--from", text(&theirs), "--rate", "1e-300"];
        let output = picardy_train(&[&from[..], &TINY[..], more].concat());
        (output.status.success(), said(&output))
    };
    let (good, without) = go(&[]);
    assert!(!good && without.contains("`input.weight` is missing"), "{without}");
    assert!(without.contains("`first.weight` is left over"), "{without}");
    std::fs::write(&map, "[tensors]\n\"input.weight\" = \"first.weight\"\n").unwrap();
    let (good, with) = go(&["--name-map", text(&map)]);
    assert!(good, "{with}");
    std::fs::write(&map, "[tensors]\n\"input.weight\" = 3\n").unwrap();
    let (good, bad) = go(&["--name-map", text(&map)]);
    assert!(!good && bad.contains("map.toml"), "{bad}");
}

/// `bytes` with one word put for another of its length.
pub(super) fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let at = bytes.windows(old.len()).position(|window| window == old).expect("it is there");
    [&bytes[..at], new, &bytes[at + old.len()..]].concat()
}

#[test]
fn an_artifact_of_another_task_is_refused_by_its_card() {
    let folder = tempfile::tempdir().unwrap();
    let (first, out) = (folder.path().join("first"), folder.path().join("out"));
    done(&[&["train", "--out", text(&first)], &TINY[..], &["--steps", "3"]].concat());
    let model = first.join("model.safetensors");
    let from = ["train", "--out", text(&out), "--from", text(&model)];
    for (other, named) in [
        (
            &["--set", "loss.prediction=v"][..],
            &["`loss.prediction` is v", "--set loss.prediction=epsilon"][..],
        ),
        (&["--set", "loss.process=pinned"], &["`loss.process` is pinned", "--set loss.process=vp"]),
        (
            &["--set", "loss.process=flow", "--set", "loss.prediction=flow"],
            &["`loss.process` is flow", "`loss.prediction` is flow"],
        ),
        (&["--set", "loss.prediction=edm"], &["`loss.prediction` is edm", "--set loss.prediction=epsilon"]),
        (&["--schedule", "cosine"], &["`noise.kind` is cosine", "--set noise.kind=linear"]),
        (&["--train-steps", "500"], &["`noise.train-steps` is 500", "the card says 1000"]),
        (&["--beta-end", "0.03"], &["`noise.beta-end` is 0.03", "the card says 0.02"]),
        (&["--scaling", "overall"], &["`data.scaling`", "--set data.scaling=per-column"]),
        (&["--data", "swiss-roll"], &["`data.scaling`: coordinate "]),
    ] {
        let said = refused(&[&from[..], &TINY[..], other].concat());
        assert!(named.iter().all(|part| said.contains(part)), "{other:?}: {said}");
        assert!(said.contains("run.ignore-card") && !out.exists(), "{said}");
        let meant = ["--overwrite", "--steps", "2", "--set", "run.ignore-card=true"];
        done(&[&from[..], &TINY[..], other, &meant].concat());
        std::fs::remove_dir_all(&out).unwrap();
    }
    // Told labels, which the artifact was not: before the tensors' shapes say so.
    let (points, labels) = (folder.path().join("points.csv"), folder.path().join("labels.csv"));
    std::fs::write(&points, "0,1\n2,5\n3,3\n").unwrap();
    std::fs::write(&labels, "0\n1\n0\n").unwrap();
    let told =
        ["--data", text(&points), "--set", &format!("data.labels={}", text(&labels))].map(str::to_owned);
    let told: Vec<_> = told.iter().map(String::as_str).collect();
    let said = refused(&[&from[..], &TINY[..], &told].concat());
    assert!(said.contains("the condition has 2 numbers and the card says 0"), "{said}");
    // A card that is damaged is no foreign file.
    std::fs::write(&model, replaced(&read(&first, "model.safetensors"), b"picardy.seed", b"picardy.sead"))
        .unwrap();
    let said = refused(&[&from[..], &TINY[..]].concat());
    assert!(said.contains("its card is damaged") && said.contains("seed"), "{said}");
}
