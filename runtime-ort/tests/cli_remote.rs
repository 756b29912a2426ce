//! `picardy-ort sample --remote`, where no server answers.

mod common;

use common::command::{models, picardy_ort};

#[test]
fn a_server_that_is_not_there_is_named() {
    let dir = models();
    let args = ["sample", "card.onnx", "--steps", "5", "--out", "a.npy"];
    for (url, says) in [("http://127.0.0.1:1/card", "127.0.0.1:1"), ("nonsense", "nonsense")] {
        let output = picardy_ort(dir.path(), &[&args[..], &["--remote", url]].concat());
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(says), "{stderr}");
        assert!(!dir.path().join("a.npy").exists());
    }
    // A server is not told conditions.
    let output = picardy_ort(
        dir.path(),
        &[&args[..], &["--remote", "http://127.0.0.1:1/card", "--condition", "c=1"]].concat(),
    );
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && stderr.contains("--condition"), "{stderr}");
}
