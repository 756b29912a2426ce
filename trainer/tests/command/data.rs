//! What is trained on: images, labels, held-out items.

use super::*;

#[test]
fn the_digits_are_trained_on_with_an_overall_scale_and_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let (run, data) = (folder.path().join("run"), concat!(env!("CARGO_MANIFEST_DIR"), "/data/digits.npy"));
    let begin = |more: &[&str]| {
        let out = run.to_str().unwrap();
        let common =
            ["train", "--data", data, "--loss", "standard", "--width", "16", "--steps", "20", "--out", out];
        picardy_train(&[&common[..], more].concat())
    };
    let output = begin(&[]);
    assert!(!output.status.success() && said(&output).contains("column 1 is 0"), "{}", said(&output));
    let output = begin(&["--scaling", "overall"]);
    assert!(output.status.success(), "{}", said(&output));
    let model = read(&run, "model.onnx");
    // The checkpoint knows the scaling: without it, the data would be refused.
    let output = picardy_train(&["resume", run.to_str().unwrap()]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(read(&run, "model.onnx") == model);
    let few = ["--samples", "100", "--steps", "5", "--solver", "ddim"];
    for more in [&[][..], &["--data", data]] {
        let model = if more.is_empty() { run.clone() } else { run.join("model.safetensors") };
        let output = picardy_train(&[&["eval", model.to_str().unwrap()], more, &few[..]].concat());
        // Some pixels are constant: there are distances of the samples, and no density.
        assert!(
            said(&output).contains("mmd 0.") && said(&output).contains("covariance"),
            "{}",
            said(&output)
        );
    }
}

fn image(path: &Path, width: u32, height: u32, colour: png::ColorType, ink: u8) {
    let mut encoder = png::Encoder::new(std::fs::File::create(path).unwrap(), width, height);
    encoder.set_color(colour);
    let mut writer = encoder.write_header().unwrap();
    let pixels = vec![ink; width as usize * height as usize * colour.samples()];
    writer.write_image_data(&pixels).unwrap();
}

#[test]
fn a_folder_of_images_is_trained_on_and_mixed_sizes_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (images, run) = (folder.path().join("images"), folder.path().join("run"));
    std::fs::create_dir(&images).unwrap();
    let go = |more: &[&str]| {
        let fixed = ["--loss", "standard", "--width", "8", "--steps", "3", "--batch", "4", "--overwrite"];
        let from = ["train", "--out", text(&run), "--data", text(&images)];
        picardy_train(&[&from[..], &fixed[..], more].concat())
    };
    let output = go(&[]);
    assert!(said(&output).contains("there are 0 .png files"), "{}", said(&output));
    for (at, ink) in [3, 200, 90].into_iter().enumerate() {
        image(&images.join(format!("{at}.png")), 4, 3, png::ColorType::Rgb, ink);
    }
    std::fs::write(images.join("notes.txt"), "not an image").unwrap();
    let output =
        go(&["--set", "data.flip=true", "--set", "run.evaluate-every=3", "--set", "data.stored=f16"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(read(&run, "samples-00000003.png").starts_with(b"\x89PNG"));
    done(&["resume", text(&run)]);

    image(&images.join("wide.png"), 5, 3, png::ColorType::Rgb, 1);
    let complaint = said(&go(&[]));
    for part in
        ["0.png is 3 x 4 pixels of 3 channel(s)", "wide.png is 3 x 5 pixels of 3 channel(s)", "rescale"]
    {
        assert!(complaint.contains(part), "{complaint}");
    }
    image(&images.join("wide.png"), 4, 3, png::ColorType::Grayscale, 1);
    assert!(said(&go(&[])).contains("wide.png is 3 x 4 pixels of 1 channel(s)"));
    std::fs::write(images.join("wide.png"), "no image").unwrap();
    assert!(said(&go(&[])).contains("wide.png: not a readable PNG image"));
}

#[test]
fn labels_and_shapes_that_do_not_fit_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, written: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, written).unwrap();
        text(&path).to_owned()
    };
    let points = file("points.csv", "0,1,0\n2,5,2\n4,4,1\n7,7,3\n");
    let good = file("labels.csv", "0\n1\n2\n1\n");
    let out = folder.path().join("out");
    let go = |more: &[&str]| {
        let from = ["train", "--out", text(&out), "--data", &points, "--loss", "standard"];
        let said = refused(&[&from[..], more].concat());
        assert!(!out.exists(), "{said}");
        said
    };
    let set = |key: &str, value: &str| format!("data.{key}={value}");
    let labels = |name: &str, written: &str| set("labels", &file(name, written));
    for (keys, parts) in [
        (
            vec![labels("high.csv", "0\n1\n5\n1\n"), set("classes", "3")],
            ["high.csv: item 2 has the label 5", "3 classes"],
        ),
        (vec![labels("half.csv", "0\n1\n0.5\n1\n")], ["item 2 has the label 0.5", "whole numbers"]),
        (vec![labels("below.csv", "0\n-1\n0\n1\n")], ["item 1 has the label -1", "whole numbers"]),
        (vec![labels("few.csv", "0\n1\n2\n")], ["few.csv: 3 conditions for 4 items", "points.csv"]),
        (vec![set("label-column", "3"), set("classes", "3")], ["item 3 has the label 3", "3 classes"]),
        (vec![set("label-column", "4")], ["`data.label-column` is 4", "3 column(s)"]),
        (vec![set("labels", "own")], ["points.csv has no labels of its own", "digits"]),
        (
            vec![set("labels", &good), set("label-column", "3")],
            ["`data.labels` and `data.label-column`", "leave one"],
        ),
        (vec![set("observations", "absent.npy")], ["absent.npy", "no such file"]),
        (vec![set("shape", "[2, 2]")], ["`data.shape` is [2, 2]", "product is 3"]),
        (vec![set("flip", "true")], ["`data.flip`", "shape [3]"]),
        (vec![set("classes", "99999999"), set("labels", &good)], ["`data.classes` is 99999999", "65536"]),
    ] {
        let more: Vec<&str> = keys.iter().flat_map(|key| ["--set", key]).collect();
        let said = go(&more);
        assert!(parts.iter().all(|part| said.contains(part)), "{keys:?}: {said}");
    }
}
