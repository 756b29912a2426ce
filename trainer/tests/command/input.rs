//! What is refused, and how.

use super::*;

#[test]
fn wrong_input_is_one_clear_line_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let nan = file("nan.csv", "1,2\n3,nan\n5,6\n");
    let empty = file("empty.csv", "");
    let ragged = file("ragged.tsv", "1\t2\n3\n4\t5\n");
    let constant = file("constant.csv", "1,2\n1,3\n1,4\n");
    let words = file("words.csv", "a,b\n1,two\n2,3\n");
    let npy = file("bad.npy", "not an array");
    let out = folder.path().join("out");
    let few = file("few.csv", "1,2\n3,5\n");
    let same = file("same.csv", "1,2\n2,4\n3,6\n4,8\n");
    let far = file("far.csv", "1e300,2\n2e300,4\n3e300,5\n");
    let cases: [(&[&str], &str); 34] = [
        (
            &["--data", &few],
            "few.csv: the covariance of 2 rows of 2 columns is singular: give at least 3 rows",
        ),
        (&["--data", &same], "same.csv: the covariance has the eigenvalue"),
        (&["--data", &far], "far.csv: column 1"),
        (&["--width", "18446744073709551614"], "`network.width` is \"18446744073709551614\""),
        (&["--width", "65536", "--batch", "16777216"], "GB of memory"),
        (
            &["--contrastive-items", "99999999999", "--contrastive-draws", "99999999999"],
            "99999999999 items x 99999999999 draws",
        ),
        (&["--batch", "99999999999999"], "`run.batch` is 99999999999999"),
        (&["--blocks", "18446744073709551615"], "`network.blocks` is \"18446744073709551615\""),
        (&["--points", "18446744073709551615"], "cannot draw 18446744073709551615 points"),
        (&["--steps", "18446744073709551615"], "`run.steps` is 18446744073709551615"),
        (&["--train-steps", "18446744073709551615"], "`noise.train-steps` is 18446744073709551615"),
        (&["--train-steps", "0"], "`noise.train-steps` is 0"),
        (&["--beta-start=-1"], "beta -1 at timestep 0"),
        (&["--data", &nan], "nan"),
        (&["--data", &empty], "empty"),
        (&["--data", &ragged], "ragged.tsv"),
        (&["--data", &constant], "constant"),
        (&["--data", &words], "two"),
        (&["--data", &npy], "bad.npy"),
        (&["--data", "absent.csv"], "absent.csv"),
        (&["--data", "dyno"], "swiss-roll"),
        (&["--steps", "0"], "steps"),
        (&["--rate", "nan"], "rate"),
        (&["--ema", "1.5"], "1.5"),
        (&["--schedule", "quadratic"], "sigmoid"),
        (&["--beta-end", "1.5"], "1.5"),
        (&["--width", "0"], "width"),
        (&["--contrastive-draws", "0"], "draws"),
        (&["--set", "run.step=3"], "did you mean `run.steps`?"),
        (&["--set", "optimiser.ema=power", "--set", "optimiser.ema-sigma-rel=0.5"], "at most 0.2886"),
        (&["--set", "data.held-out=1.5"], "cannot hold out 1.5"),
        (&["--set", "run.patience=1"], "evaluate-every"),
        (&["--config", "absent.toml"], "absent.toml"),
        (&["--from", "absent.safetensors"], "absent.safetensors"),
    ];
    for (args, named) in cases {
        let output = picardy_train(&[&["train", "--out", out.to_str().unwrap()], args].concat());
        let said = said(&output);
        assert!(!output.status.success(), "{args:?} was taken");
        assert!(said.contains(named), "{args:?}: {said}");
        assert!(!said.contains("panicked"), "{args:?}: {said}");
        assert!(said.matches("lies outside").count() <= 1 && !said.contains('{'), "{args:?}: {said}");
        assert!(!out.exists(), "{args:?} left {}", out.display());
    }
    for (args, named) in [
        (
            &["resume", "nowhere"][..],
            "there is no checkpoint nowhere/checkpoint.safetensors: name the folder",
        ),
        (&["export", "nowhere"], "there is no checkpoint"),
        (&["eval", "nowhere.safetensors"], "nowhere.safetensors"),
        (&["eval", &nan, "--data", "dino"], "nan.csv"),
        (&["eval", "nowhere", "--items", "1"], "--items 1: a mean and its error take at least 2"),
    ] {
        let output = picardy_train(args);
        assert!(!output.status.success() && !said(&output).contains("panicked"), "{}", said(&output));
        assert!(said(&output).contains(named), "{args:?}: {}", said(&output));
    }
}
