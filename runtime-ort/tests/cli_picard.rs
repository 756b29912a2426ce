//! Picard's flags of `picardy-ort sample`.

mod common;

use common::command::{models, picardy_ort, said};

/// (rounds, evaluations)
fn cost(said: &str) -> (usize, usize) {
    let numbers: Vec<usize> = said.split(' ').filter_map(|word| word.parse().ok()).take(2).collect();
    (numbers[0], numbers[1])
}

#[test]
fn picards_flags_do_what_they_say() {
    let dir = models();
    let picard = |flags: &str| {
        let args = "sample card.onnx --solver ddpm --steps 100 --batch 4 --method picard --out a.npy";
        let args: Vec<&str> =
            args.split(' ').chain(flags.split(' ').filter(|flag| !flag.is_empty())).collect();
        cost(&said(&picardy_ort(dir.path(), &args)))
    };
    let standard = picard("");
    assert_eq!(
        standard,
        picard("--slope secant --start gaussian --stride 3 --anderson 0 --criterion change --tolerance 0.01")
    );
    let (rounds, evaluations) = picard("--rows 40");
    assert!(evaluations <= 40 * rounds && rounds > standard.0, "{rounds} {evaluations}");
    assert!(picard("--tolerance 0.0001").1 > standard.1);
    // Each evaluation of a coarse start is a round.
    assert!(picard("--start coarse:99 --stride 100").0 > standard.0);
    let published = "--slope identity --start constant --criterion step-variance";
    assert_eq!(picard(published), picard(&format!("{published} --tolerance 0.1")));
    assert_ne!(picard(published), picard(&format!("{published} --tolerance 0.01")));
    // As published, every node is evaluated.
    assert_eq!(picard(published), picard(&format!("{published} --stride 1")));
}

#[test]
fn the_other_samplers_run_by_name() {
    let dir = models();
    let sample = |flags: &str| {
        let args = "sample card.onnx --solver ddpm --steps 100 --batch 4 --out a.npy --method";
        let args: Vec<&str> = args.split(' ').chain(flags.split(' ')).collect();
        picardy_ort(dir.path(), &args)
    };
    let rounds = |flags: &str| cost(&said(&sample(flags))).0;
    assert_eq!(rounds("sequential"), 100);
    for flags in ["parareal", "parareal --tolerance 0.1", "speculative", "speculative --window 30"] {
        assert!((2..100).contains(&rounds(flags)), "{flags}");
    }
    // One row at a time is a sequential run; a wide device is worth a parallel one.
    assert_eq!(rounds("auto"), 100);
    assert!(rounds("auto --rows 1000") < 30);
    for (flags, says) in [
        ("parareal --window 5", "--window"),
        ("speculative --tolerance 0.1", "--tolerance"),
        ("auto --slope secant", "--slope"),
        ("auto --rows 0", "at least 1"),
    ] {
        let output = sample(flags);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && stderr.contains(says), "{flags}: {stderr}");
    }
}

#[test]
fn wrong_names_of_slopes_and_starts_are_told_the_right_ones() {
    let dir = models();
    for (flag, value, mend) in [
        ("--slope", "multisecant5", "multisecant4"),
        ("--slope", "multisecant0", "multisecant1"),
        ("--slope", "multisecant", "multisecant1"),
        ("--start", "coarse", "coarse:K"),
        ("--start", "coarse:0", "K at least 1"),
        ("--start", "coarse:-1", "K at least 1"),
        ("--start", "warm", "gaussian"),
        ("--criterion", "variance", "step-variance"),
    ] {
        let output = picardy_ort(dir.path(), &["sample", "card.onnx", "--method", "picard", flag, value]);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(&format!("'{value}'")) && stderr.contains(mend), "{stderr}");
    }
}
