//! `config`, `train --config` and `--set`.

use super::*;

#[test]
fn what_config_prints_trains_as_nothing_said_and_flags_override_it() {
    let folder = tempfile::tempdir().unwrap();
    let (file, text_of) = (folder.path().join("run.toml"), done(&["config"]));
    for part in
        ["[data]", "[network]", "[loss]", "[optimiser]", "[run]", "# the highest learning rate\nrate = 0.001"]
    {
        assert!(text_of.contains(part), "{part}: {text_of}");
    }
    std::fs::write(&file, &text_of).unwrap();
    let (plain, by_file) = (folder.path().join("plain"), folder.path().join("file"));
    done(&[&["train", "--out", text(&plain)], &TINY[..]].concat());
    done(&[&["train", "--config", text(&file), "--out", text(&by_file)], &TINY[..]].concat());
    for name in ["model.safetensors", "log.jsonl", "config.toml"] {
        assert!(read(&plain, name) == read(&by_file, name), "{name} differs");
    }
    // The configuration that was used trains the same again.
    let (used, again) = (plain.join("config.toml"), folder.path().join("again"));
    done(&["train", "--config", text(&used), "--out", text(&again)]);
    assert!(read(&plain, "model.safetensors") == read(&again, "model.safetensors"));
    let used = String::from_utf8(read(&plain, "config.toml")).unwrap();
    assert!(used.contains("source = \"two-moons\"") && used.contains("steps = 300"), "{used}");

    std::fs::write(&file, "[run]\nsteps = 5\nseed = 3\n[network]\nwidth = 8\n").unwrap();
    let set = folder.path().join("set");
    let args = ["--config", text(&file), "--width", "4", "--set", "optimiser.schedule=one-cycle"];
    done(&[&["train", "--out", text(&set), "--batch", "8", "--loss", "standard"], &args[..]].concat());
    let used = String::from_utf8(read(&set, "config.toml")).unwrap();
    for part in ["steps = 5\n", "seed = 3\n", "width = 4\n", "schedule = \"one-cycle\"\n"] {
        assert!(used.contains(part), "{part}: {used}");
    }
}

#[test]
fn a_wrong_file_is_one_clear_line() {
    let folder = tempfile::tempdir().unwrap();
    let (file, out) = (folder.path().join("run.toml"), folder.path().join("out"));
    for (written, named) in [
        ("[optimizer]\nrate = 1.0\n", "there is no key `optimizer.rate`; did you mean `optimiser.rate`?"),
        ("[run]\nlearning_rate = 1.0\n", "optimiser.rate"),
        ("[run]\nsteps = 'all'\n", "`run.steps` is \"all\"; it must be a whole number"),
        ("[run]\nsteps = 0\n", "`run.steps` is 0; it must be 1 to"),
        ("[optimiser]\nema = 'mean'\n", "`optimiser.ema` is \"mean\""),
        ("[network]\nkind = 'transformer'\n", "residual-mlp"),
        ("[run\n", "no TOML"),
    ] {
        std::fs::write(&file, written).unwrap();
        let said = refused(&["train", "--config", text(&file), "--out", text(&out)]);
        assert!(said.contains(named), "{written}: {said}");
        assert!(!out.exists(), "{written}");
    }
}

/// Adam's schedules and averages by name: each trains, and to another end.
#[test]
fn every_schedule_and_average_is_another_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut ends = Vec::new();
    let schedules =
        ["constant", "cosine", "linear", "one-cycle", "step"].map(|s| format!("optimiser.schedule={s}"));
    let averages = ["none", "constant", "half-life", "power"].map(|s| format!("optimiser.ema={s}"));
    for (at, set) in schedules.iter().chain(&averages).enumerate() {
        let run = folder.path().join(at.to_string());
        let more =
            ["--set", set, "--set", "optimiser.step-every=3", "--set", "optimiser.warmup=2", "--steps", "12"];
        let fixed = ["--data", "two-moons", "--points", "50", "--width", "4", "--loss", "standard"];
        done(&[&["train", "--out", text(&run)], &fixed[..], &more[..]].concat());
        let model = read(&run, "model.safetensors");
        assert!(!ends.contains(&model), "{set}");
        ends.push(model);
    }
}

#[test]
fn a_loss_that_its_weight_contradicts_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    for (more, named) in [
        (
            ["--loss", "standard", "--contrastive-weight", "0.1"],
            "weight` is 0.1, which makes it the contrastive loss",
        ),
        (
            ["--loss", "contrastive", "--contrastive-weight", "0"],
            "weight` is 0, which makes it the standard loss",
        ),
        (["--loss", "standard", "--set", "loss.contrastive.weight=2"], "weight` is 2"),
    ] {
        let said = refused(&[&["train", "--out", text(&out)], &TINY[..], &more[..]].concat());
        assert!(said.contains(named) && !out.exists(), "{said}");
    }
    let agreed = ["--loss", "contrastive", "--contrastive-weight", "0.2", "--steps", "2"];
    done(&[&["train", "--out", text(&out)], &TINY[..], &agreed[..]].concat());
}
