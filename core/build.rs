//! Says what a Cortex-M has: the compiler keeps that to itself on its stable channel.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-check-cfg=cfg(cortex_m, cortex_m_fp, cortex_m_dsp)");
    let target = std::env::var("TARGET").unwrap_or_default();
    // Not `target_arch = "arm"` or `thumb`: that is a Cortex-A too, which has vectors.
    if ["thumbv6m-", "thumbv7m-", "thumbv7em-", "thumbv8m."].iter().any(|name| target.starts_with(name)) {
        println!("cargo:rustc-cfg=cortex_m");
    }
    // Single precision with 32 registers and conversions of half precision.
    if matches!(target.as_str(), "thumbv7em-none-eabihf" | "thumbv8m.main-none-eabihf") {
        println!("cargo:rustc-cfg=cortex_m_fp");
    }
    // A Cortex-M33 may lack it.
    if target.starts_with("thumbv7em-none") {
        println!("cargo:rustc-cfg=cortex_m_dsp");
    }
}
