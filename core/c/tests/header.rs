//! The header in the tree is the one that the sources make. `PICARDY_UPDATE=1` writes it anew.

use std::path::Path;

#[test]
fn the_header_is_that_of_the_sources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).unwrap();
    let bindings = cbindgen::Builder::new().with_crate(root).with_config(config).generate().unwrap();
    let mut written = Vec::new();
    bindings.write(&mut written);
    let written = without_safety(&String::from_utf8(written).unwrap());
    let path = root.join("include/picardy.h");
    if std::env::var_os("PICARDY_UPDATE").is_some() {
        std::fs::write(&path, &written).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap();
    assert!(
        there == written,
        "core/c/include/picardy.h is another: PICARDY_UPDATE=1 cargo test -p picardy-c --test header"
    );
}

/// Sections of safety are for Rust's callers: the header's front says it for C.
fn without_safety(header: &str) -> String {
    let (mut out, mut held, mut skips) = (String::new(), None, false);
    for line in header.lines() {
        skips = line == "// # Safety" || (skips && line.starts_with("//"));
        if let (false, Some(held)) = (skips, held.take()) {
            out.extend([held, "\n"]);
        }
        match skips {
            true => held = None,
            // The empty line before a section goes with it.
            false if line == "//" => held = Some(line),
            false => out.extend([line, "\n"]),
        }
    }
    out
}
