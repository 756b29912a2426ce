//! What can go wrong with CUDA, told apart: driver, device, libraries, the provider's file. Stand-ins for
//! the driver are compiled here.
//!
//! `tests/cuda.sh --errors` runs these tests; without it they are reported as ignored.
#![cfg(target_os = "linux")]

mod common;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use common::command::{complaint, models};
use picardy_ort::{Bundle, places};

/// A driver whose cuInit gives `init`, and which has so many devices; in a directory of its own.
fn driver(dir: &Path, init: i32, devices: i32) -> PathBuf {
    let place = dir.join(format!("driver-{init}-{devices}"));
    fs::create_dir(&place).unwrap();
    let source = format!(
        "int cuInit(unsigned f) {{ return {init}; }} int cuDeviceGetCount(int *n) {{ *n = {devices}; return 0; }}"
    );
    compile(&place, &source);
    place
}

fn compile(place: &Path, source: &str) {
    let mut compiler = Command::new("cc")
        .args(["-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-x", "c", "-", "-o"])
        .arg(place.join("libcuda.so.1"))
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    compiler.stdin.take().unwrap().write_all(source.as_bytes()).unwrap();
    assert!(compiler.wait().unwrap().success());
}

/// A home whose install of CUDA is the user's, linked file by file, so that files can be taken out.
fn home(dir: &Path, name: &str) -> PathBuf {
    let installed = places::cache_root().unwrap().join(Bundle::Cuda.directory());
    let place = dir.join(name).join("picardy").join(Bundle::Cuda.directory());
    fs::create_dir_all(&place).unwrap();
    for entry in fs::read_dir(installed).expect("run tests/cuda.sh --errors").flatten() {
        // Links would lead the loader back to the whole install; hard links need one file system.
        let to = place.join(entry.file_name());
        if fs::hard_link(entry.path(), &to).is_err() {
            fs::copy(entry.path(), &to).unwrap();
        }
    }
    place
}

fn refused(dir: &Path, home: Option<&Path>, driver: &Path, provider: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_picardy-ort"));
    command.current_dir(dir).args(["info", "card.onnx", "--provider", provider]);
    command.env_remove("ORT_DYLIB_PATH").env_remove("CUDA_VISIBLE_DEVICES").env("LD_LIBRARY_PATH", driver);
    if let Some(home) = home {
        command.env("XDG_CACHE_HOME", home);
    }
    complaint(&command.output().unwrap())
}

#[test]
#[ignore = "needs the install of CUDA: run tests/cuda.sh --errors"]
fn the_drivers_troubles_are_told_apart() {
    let dir = models();
    let path = dir.path();
    let none = driver(path, 100, 0);
    let (old, one) = (driver(path, 35, 0), driver(path, 0, 1));
    let bare = path.join("bare");
    fs::create_dir(&bare).unwrap();
    compile(&bare, "int x;");
    for (driver, provider, parts) in [
        (&none, "cuda", ["finds no device", "--gpus all"]),
        (&old, "cuda", ["no NVIDIA driver that works", "error 35"]),
        (&bare, "cuda", ["no NVIDIA driver that works", "lacks cuInit"]),
        (&one, "cuda:1", ["cuda:1", "give an index below 1"]),
        (&one, "tensorrt", ["libnvinfer.so.10, libnvonnxparser.so.10", "LD_LIBRARY_PATH"]),
        // All of the CUDA libraries were found without a search path, and the provider's file wants more of the driver.
        (&one, "cuda", ["ONNX Runtime refuses it", "undefined symbol: cu"]),
    ] {
        let complaint = refused(path, None, driver, provider);
        assert!(parts.iter().all(|part| complaint.contains(part)), "{parts:?} in {complaint}");
    }
}

#[test]
#[ignore = "needs the install of CUDA: run tests/cuda.sh --errors"]
fn libraries_that_are_missing_are_named() {
    let dir = models();
    let path = dir.path();
    let one = driver(path, 0, 1);
    let place = home(path, "home");
    let root = path.join("home");
    for name in ["libcublas.so.13", "libcudnn.so.9", "libcufft.so.12"] {
        fs::remove_file(place.join(name)).unwrap();
    }
    fs::write(place.join("libcufft.so.12"), vec![0x7f; 40]).unwrap();
    let complaint = refused(path, Some(&root), &one, "cuda");
    for part in ["libcublas.so.13", "libcudnn.so.9", "libcufft.so.12` was cut short", "install --gpu cuda"] {
        let part = part.replace("` was cut", "`: the file was cut");
        assert!(complaint.contains(&part), "{part} in {complaint}");
    }
    let shared = "libonnxruntime_providers_shared.so";
    fs::remove_file(place.join(shared)).unwrap();
    let complaint = refused(path, Some(&root), &one, "cuda");
    assert!(complaint.contains(shared) && complaint.contains("cannot be read"), "{complaint}");
}
