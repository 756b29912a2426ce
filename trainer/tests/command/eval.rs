//! `eval` and `export`.

use super::weights::replaced;
use super::*;

#[test]
fn eval_and_export_work_on_a_run_and_on_its_model() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    assert!(train(&run, &["--steps", "50"]).status.success());
    let few = ["--samples", "200", "--items", "20", "--draws", "8", "--steps", "10", "--solver", "ddim"];
    let by_run = picardy_train(&[&["eval", run.to_str().unwrap()], &few[..]].concat());
    let model = run.join("model.safetensors");
    let by_file =
        picardy_train(&[&["eval", model.to_str().unwrap(), "--data", "two-moons"], &few[..]].concat());
    for output in [&by_run, &by_file] {
        assert!(output.status.success(), "{}", said(output));
        assert!(said(output).contains("mmd 0.") && said(output).contains("nats"), "{}", said(output));
    }
    assert_eq!(said(&by_run), said(&by_file));

    let half = folder.path().join("half");
    let output = picardy_train(&[
        "export",
        run.to_str().unwrap(),
        "--out",
        half.to_str().unwrap(),
        "--weights",
        "f16",
    ]);
    assert!(output.status.success() && said(&output).contains("f16: relative error"), "{}", said(&output));
    assert!(read(&half, "model.safetensors").len() < read(&run, "model.safetensors").len() * 2 / 3);
    assert!(read(&half, "model.onnx") == read(&run, "model.onnx"));

    // One file, which is evaluated as any other.
    let int8 = folder.path().join("new/int8.safetensors");
    let file = int8.to_str().unwrap();
    let output = picardy_train(&["export", run.to_str().unwrap(), "--weights", "int8", "--out", file]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("int8: relative error") && said(&output).contains("distance of samples"));
    assert!(std::fs::read(&int8).unwrap().len() < read(&half, "model.safetensors").len() * 3 / 4);
    assert_eq!(std::fs::read_dir(folder.path().join("new")).unwrap().count(), 1);
    let output = picardy_train(&[&["eval", file, "--data", "two-moons"], &few[..]].concat());
    assert!(output.status.success() && said(&output).contains("mmd 0."), "{}", said(&output));
    let output = picardy_train(&["export", run.to_str().unwrap(), "--weights", "int4"]);
    assert!(!output.status.success() && said(&output).contains("f32, f16 or int8"), "{}", said(&output));

    let again = train(&run, &["--steps", "50"]);
    assert!(!again.status.success() && said(&again).contains("resume"), "{}", said(&again));
    assert!(train(&run, &["--steps", "50", "--overwrite"]).status.success());
}

#[test]
fn eval_says_when_it_compares_with_the_training_points() {
    let folder = tempfile::tempdir().unwrap();
    let table = |name: &str, shift: f64| {
        let rows = (0..60).map(|i| format!("{},{}\n", f64::from(i) * 0.7 + shift, f64::from(i * i % 17)));
        let path = folder.path().join(name);
        std::fs::write(&path, rows.collect::<String>()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (own, other) = (table("own.csv", 0.0), table("other.csv", 0.3));
    let run = folder.path().join("run");
    let small = ["--steps", "10", "--width", "8", "--batch", "8", "--data", &own];
    let output = picardy_train(&[&["train", "--out", run.to_str().unwrap()], &small[..]].concat());
    assert!(output.status.success(), "{}", said(&output));
    let model = run.join("model.safetensors");
    let eval = |model: &Path, data: &[&str]| {
        let few = ["--samples", "50", "--items", "5", "--draws", "4", "--steps", "5"];
        picardy_train(&[&["eval", model.to_str().unwrap()], &few[..], data].concat())
    };
    let note = "the set's own points, which it was trained on";
    for (output, noted) in [
        (eval(&run, &[]), true),
        (eval(&model, &["--data", &own]), true),
        (eval(&model, &["--data", &other]), false),
        (eval(&run, &["--data", &other]), false),
    ] {
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(said(&output).contains(note), noted, "{}", said(&output));
    }
    for (flag, value) in
        [("--samples", "18446744073709551615"), ("--samples", "0"), ("--steps", "18446744073709551615")]
    {
        let output = picardy_train(&["eval", model.to_str().unwrap(), "--data", &own, flag, value]);
        let complaint = said(&output);
        assert!(!output.status.success() && !complaint.contains("panicked"), "{complaint}");
        assert!(complaint.contains(value), "{complaint}");
    }
    // A damaged model is named.
    let damaged = folder.path().join("damaged.safetensors");
    let good = std::fs::read(&model).unwrap();
    let renamed = replaced(&good, b"picardy.seed", b"picardy.sead");
    for bytes in [&good[..good.len() / 2], &good[..3], b"", &renamed] {
        std::fs::write(&damaged, bytes).unwrap();
        let complaint = said(&eval(&damaged, &["--data", &own]));
        assert!(complaint.contains("damaged.safetensors"), "{complaint}");
        assert!(!complaint.contains("name the prediction"), "{complaint}");
    }
}

/// A network that is told labels is judged with the data's, of a run and of a file.
#[test]
fn eval_tells_the_network_what_the_data_say() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    // Two classes, far apart; the label is the last column.
    let point = |i: i32| [f64::from(i % 2 * 20) + f64::from(i * 7 % 11) * 0.1, f64::from(i * 5 % 13) * 0.1];
    let write = |name: &str, row: &dyn Fn(i32) -> String| {
        std::fs::write(path(name), (0..200).map(row).collect::<String>()).unwrap();
        path(name)
    };
    let labelled = write("labelled.csv", &|i| format!("{},{},{}\n", point(i)[0], point(i)[1], i % 2));
    let bare = write("bare.csv", &|i| format!("{},{}\n", point(i)[0], point(i)[1]));
    let labels = write("labels.csv", &|i| format!("{}\n", i % 2));
    let run = folder.path().join("run");
    let small = ["--steps", "150", "--width", "16", "--batch", "64", "--data", &labelled];
    done(&[&["train", "--out", text(&run), "--set", "data.label-column=3"], &small[..]].concat());
    let few = ["--samples", "100", "--items", "50", "--draws", "8", "--steps", "10", "--solver", "ddim"];
    let model = path("run/model.safetensors");
    let eval = |args: &[&str]| done(&[&["eval"], args, &few[..]].concat());
    let figures = |said: &str| said.lines().take(2).map(str::to_owned).collect::<Vec<_>>();
    let by_run = eval(&[text(&run)]);
    assert!(!by_run.contains("without one"), "{by_run}");
    let told = [
        eval(&[text(&run), "--data", &labelled]),
        eval(&[&model, "--data", &labelled, "--label-column", "3"]),
        eval(&[&model, "--data", &bare, "--labels", &labels]),
    ];
    assert!(told.iter().all(|said| figures(said) == figures(&by_run)), "{by_run}{told:?}");
    let untold = eval(&[&model, "--data", &bare]);
    assert!(untold.contains("figures are without one") && untold.contains("--labels"), "{untold}");
    for (told, untold) in figures(&by_run).iter().zip(&figures(&untold)) {
        assert_ne!(told, untold);
    }
    let high = write("high.csv", &|i| format!("{}\n", i % 3));
    let complaint = refused(&["eval", &model, "--data", &bare, "--labels", &high]);
    assert!(complaint.contains("label 2") && complaint.contains("2 classes"), "{complaint}");
    let complaint = refused(&["eval", &model, "--data", &bare, "--observations", &bare]);
    assert!(complaint.contains("told 2 numbers") && complaint.contains("have 3"), "{complaint}");
    let complaint = refused(&["eval", text(&run), "--labels", &labels]);
    assert!(complaint.contains("--data"), "{complaint}");
}

/// A run's own rows: without the column of labels, and those that are held out.
#[test]
fn eval_reads_a_runs_data_as_the_run_does() {
    let folder = tempfile::tempdir().unwrap();
    let (run, table) = (folder.path().join("run"), folder.path().join("points.csv"));
    let rows = |shift: f64| -> String {
        let row = |i: i32| format!("{},{},{}\n", f64::from(i) * 0.7 + shift, i % 2, f64::from(i * i % 17));
        (0..60).map(row).collect()
    };
    std::fs::write(&table, rows(0.0)).unwrap();
    let small =
        ["--steps", "10", "--width", "8", "--batch", "8", "--loss", "standard", "--data", text(&table)];
    let label = ["--set", "data.label-column=2"];
    done(&[&["train", "--out", text(&run)], &small[..], &label[..]].concat());
    let few = ["--samples", "50", "--items", "5", "--draws", "4", "--steps", "5"];
    let eval = |more: &[&str]| done(&[&["eval", text(&run)], &few[..], more].concat());
    let said = eval(&[]);
    assert!(said.contains("against 60 points") && said.contains("which it was trained on"), "{said}");
    let other = folder.path().join("other.csv");
    std::fs::write(&other, rows(0.3)).unwrap();
    let said = eval(&["--data", text(&other)]);
    assert!(said.contains("against 60 points") && !said.contains("trained on"), "{said}");

    let held = ["--overwrite", "--set", "data.held-out=0.25"];
    done(&[&["train", "--out", text(&run)], &small[..], &label[..], &held[..]].concat());
    let said = eval(&[]);
    assert!(said.contains("against 15 points") && said.contains("the 15 held-out items"), "{said}");
}
