//! Every kind of network, from training to its files.

use super::*;
use picardy::nn::{Architecture, Artifact, ModelCard};

/// Trains a U-Net for some steps with evaluations, and gives the run's folder and what was said.
fn trained(folder: &Path, name: &str, settings: &[&str]) -> (std::path::PathBuf, String) {
    let run = folder.join(name);
    let sets = settings.iter().flat_map(|setting| ["--set", setting]);
    let common = ["train", "--loss", "standard", "--steps", "6", "--batch", "8", "--out", text(&run)];
    let more = ["run.evaluate-every=3", "run.samples=8", "run.sample-steps=3", "data.held-out=0.1"];
    let args: Vec<&str> =
        common.into_iter().chain(more.iter().flat_map(|s| ["--set", s])).chain(sets).collect();
    let said = done(&args);
    (run, said)
}

fn card_of(bytes: &[u8], check: impl FnOnce(ModelCard<'_>)) {
    let artifact = Artifact::parse(bytes).unwrap();
    check(ModelCard::from_lookup(|key| artifact.metadata(key)).unwrap());
}

#[test]
fn images_with_labels_are_learnt_by_a_u_net_and_shipped() {
    let folder = tempfile::tempdir().unwrap();
    let settings = [
        "data.source=digits",
        "data.labels=own",
        "network.kind=unet2d",
        "network.widths=[8, 16]",
        "network.embedding=8",
        "network.groups=4",
        "loss.condition-dropout=0.1",
        "loss.prediction=v",
    ];
    let (run, _) = trained(folder.path(), "images", &settings);
    card_of(&std::fs::read(run.join("model.safetensors")).unwrap(), |card| {
        assert!(matches!(card.architecture, Architecture::Unet2d(_)), "{card:?}");
        assert_eq!((card.condition, card.dim(), card.prediction), (10, 64, picardy::Prediction::V));
    });
    assert!(run.join("model.onnx").exists());
    let pictures =
        std::fs::read_dir(&run).unwrap().filter_map(|file| file.ok()?.file_name().into_string().ok());
    let pictures: Vec<_> = pictures.collect();
    assert!(pictures.iter().any(|name| name.contains("sample")), "{pictures:?}");
    for weights in ["f16", "int8"] {
        let out = folder.path().join(format!("{weights}.safetensors"));
        let said = done(&["export", text(&run), "--weights", weights, "--out", text(&out)]);
        assert!(said.contains("relative error"), "{said}");
        card_of(&std::fs::read(&out).unwrap(), |card| assert_eq!(card.weights.to_string(), weights));
    }
    let size = |weights| {
        let file = std::fs::read(folder.path().join(format!("{weights}.safetensors"))).unwrap();
        let header = u64::from_le_bytes(*file.first_chunk().unwrap()) as usize;
        file.len() - header
    };
    assert!(size("int8") * 5 < size("f16") * 4, "{} {}", size("int8"), size("f16"));
}

#[test]
fn series_are_learnt_by_a_u_net_and_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("series.npy");
    // [40, 8, 2] numbers as numpy writes them.
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (40, 8, 2), }";
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    let header = format!("{header:<117}\n");
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend((0..640).flat_map(|i: u32| ((i * 7919 % 1009) as f32 / 100.0).to_le_bytes()));
    std::fs::write(&data, bytes).unwrap();
    let source = format!("data.source={}", text(&data));
    let settings = [
        source.as_str(),
        "network.kind=unet1d",
        "network.widths=[8, 16]",
        "network.embedding=8",
        "network.groups=4",
    ];
    let (run, _) = trained(folder.path(), "series", &settings);
    let model = std::fs::read(run.join("model.safetensors")).unwrap();
    card_of(&model, |card| assert!(matches!(card.architecture, Architecture::Unet1d(_)), "{card:?}"));
    done(&["resume", text(&run)]);
    assert!(std::fs::read(run.join("model.safetensors")).unwrap() == model);
    // Places that no U-Net of this depth has.
    let said = refused(&[
        "train",
        "--overwrite",
        "--out",
        text(&run),
        "--set",
        &source,
        "--set",
        "network.kind=unet1d",
        "--set",
        "network.widths=[8, 8, 8, 8, 8]",
        "--set",
        "network.groups=4",
    ]);
    assert!(said.contains("`places` is 8"), "{said}");
}

/// Every process and EDM's network: pictures and MMD while training, a card in the file, smaller weights measured, figures of the run,
/// and weights to begin with that are refused by name where the task is another.
#[test]
fn every_process_is_evaluated_shrunk_and_shipped() {
    let folder = tempfile::tempdir().unwrap();
    let common = ["data.source=two-moons", "data.points=400", "network.width=16", "network.blocks=1"];
    let tasks: [(&str, &[&str], &str, &str); 3] = [
        ("flow", &["loss.process=flow", "loss.prediction=flow", "loss.shift=2"], "loss.shift=3", "2"),
        ("pinned", &["loss.process=pinned", "loss.prediction=sample"], "loss.variance=0.5", "1"),
        ("edm", &["loss.prediction=edm", "loss.sigma-data=0.7"], "loss.sigma-data=0.5", "0.7"),
    ];
    for (name, settings, other, theirs) in tasks {
        let settings = [&common[..], settings].concat();
        let (run, said) = trained(folder.path(), name, &settings);
        assert!(said.contains("mmd "), "{said}");
        let pictures =
            std::fs::read_dir(&run).unwrap().filter_map(|file| file.ok()?.file_name().into_string().ok());
        assert!(pictures.filter(|name| name.ends_with(".png")).count() > 0, "{name}");
        card_of(&read(&run, "model.safetensors"), |card| {
            let found = (card.schedule.process(), card.prediction.name());
            let want = if name == "edm" { ("vp", "edm") } else { (name, found.1) };
            assert_eq!(found, want);
        });
        for weights in ["f16", "int8"] {
            let out = folder.path().join(format!("{name}-{weights}.safetensors"));
            let said = done(&["export", text(&run), "--weights", weights, "--out", text(&out)]);
            assert!(said.contains("relative error") && !said.contains("NaN"), "{said}");
        }
        let few = ["--samples", "200", "--items", "20", "--draws", "16", "--steps", "10"];
        for solver in ["ddpm", "ddim"] {
            let said = done(&[&["eval", text(&run), "--solver", solver][..], &few].concat());
            assert!(said.contains("mmd ") && said.contains("nll ") && !said.contains("NaN"), "{said}");
        }
        let (from, out) = (run.join("model.safetensors"), folder.path().join("out"));
        let sets: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
        let begin =
            ["train", "--from", text(&from), "--loss", "standard", "--steps", "2", "--out", text(&out)];
        done(&[&begin[..], &sets].concat());
        std::fs::remove_dir_all(&out).unwrap();
        let said = refused(&[&begin[..], &sets, &["--set", other]].concat());
        let key = other.split('=').next().unwrap();
        assert!(said.contains(&format!("`{key}`")) && said.contains(&format!("{key}={theirs}")), "{said}");
    }
    let said = refused(&["train", "--set", "loss.process=flow", "--out", text(&folder.path().join("no"))]);
    assert!(said.contains("loss.prediction") && said.contains("flow, v, sample or edm"), "{said}");
}
