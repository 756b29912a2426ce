//! Whether two samples have one law.

/// The largest difference of two samples' distribution functions (Kolmogorov and Smirnov). Sorts both.
pub fn ks(a: &mut [f64], b: &mut [f64]) -> f64 {
    a.sort_unstable_by(f64::total_cmp);
    b.sort_unstable_by(f64::total_cmp);
    let (mut i, mut j, mut most) = (0, 0, 0.0f64);
    while i < a.len() && j < b.len() {
        let x = a[i].min(b[j]);
        while i < a.len() && a[i] <= x {
            i += 1;
        }
        while j < b.len() && b[j] <= x {
            j += 1;
        }
        most = most.max((i as f64 / a.len() as f64 - j as f64 / b.len() as f64).abs());
    }
    most
}

/// What [`ks`] of two samples of `n` and `m` from one law exceeds with probability 0.001 (Smirnov's limit, which is on the safe
/// side for finite samples).
pub fn ks_limit(n: usize, m: usize) -> f64 {
    let (n, m) = (n as f64, m as f64);
    1.9495 * (1.0 / n + 1.0 / m).sqrt()
}

/// The distance of two laws' distribution functions that a test against [`ks_limit`] finds with probability 0.99 at least: at
/// the point of that distance the samples' difference is normal, of a variance of at most `(1/n + 1/m)/4`.
pub fn ks_detects(n: usize, m: usize) -> f64 {
    ks_limit(n, m) + 2.3264 * 0.5 * (1.0 / n as f64 + 1.0 / m as f64).sqrt()
}

/// The chi-square statistic (one degree of freedom; 10.83 is exceeded with probability 0.001) of how many of two samples lie
/// above 0.
pub fn chi_square_of_signs(a: &[f64], b: &[f64]) -> f64 {
    let above = |x: &[f64]| x.iter().filter(|x| **x > 0.0).count() as f64;
    let (n, m, p, q) = (a.len() as f64, b.len() as f64, above(a), above(b));
    let share = (p + q) / (n + m);
    (p / n - q / m).powi(2) / (share * (1.0 - share) * (1.0 / n + 1.0 / m))
}
