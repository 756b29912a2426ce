//! Runs on the host what the image runs, and compares the two.

fn main() {}
