//! What the remote denoiser's tests share.

#[path = "server.rs"]
pub(crate) mod server;

use std::time::Duration;

use picardy_ort::remote::{RemoteDenoiser, RemoteError, RemoteOptions};
use server::Server;

pub(crate) const TRITON: [&str; 2] = ["classification", "binary_tensor_data"];

pub(crate) fn quick() -> RemoteOptions {
    RemoteOptions {
        timeout: Duration::from_secs(5),
        backoff: Duration::from_millis(1),
        backoff_most: Duration::from_millis(20),
        ..RemoteOptions::default()
    }
}

pub(crate) fn connect(servers: &[&Server], options: RemoteOptions) -> Result<RemoteDenoiser, RemoteError> {
    let urls: Vec<String> = servers.iter().map(|server| server.url()).collect();
    RemoteDenoiser::connect(&urls, options)
}

/// States, times, and what the toy model makes of them.
pub(crate) fn rows(n: usize) -> (Vec<f32>, Vec<f64>, Vec<f32>) {
    let x: Vec<f32> = (0..2 * n).map(|i| (i as f32 * 0.37).sin() / 3.0).collect();
    let t: Vec<f64> = (0..n).map(|i| (i * 7 % 11) as f64).collect();
    let want = x.iter().enumerate().map(|(i, x)| x * (1.0 + t[i / 2] as f32)).collect();
    (x, t, want)
}

pub(crate) fn run(denoiser: &RemoteDenoiser, n: usize) -> Result<Vec<f32>, RemoteError> {
    let (x, t, _) = rows(n);
    let mut out = vec![0.0; x.len()];
    denoiser.run(&x, t.into_iter(), &mut out).map(|()| out)
}
