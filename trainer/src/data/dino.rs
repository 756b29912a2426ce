//! The datasaurus: a point of the 142, jittered.
//!
//! The public dino set of tiny-diffusion and of the contrastive diffusion loss's authors jitters the points in
//! their published coordinates, which run from 0 to 100, by 0.15 and scales afterwards. So does this one: the
//! jitter is normal, its standard deviation 0.15 of those units, about 0.009 and 0.006 after scaling.

use std::sync::LazyLock;

use super::Dataset;
use super::builtin::Moments;
use crate::rng::Rng;

/// The jitter's standard deviation, in the published coordinates.
const JITTER: f64 = 0.15;

/// The points in their published coordinates.
static POINTS: LazyLock<Vec<[f64; 2]>> = LazyLock::new(|| {
    let number = |text: Option<&str>| text.and_then(|cell| cell.trim().parse().ok());
    let row = |line: &str| {
        let mut cells = line.split(',');
        Some([number(cells.next())?, number(cells.next())?])
    };
    // The header is the one line that is no pair of numbers.
    include_str!("../../data/dino.csv").lines().filter_map(row).collect()
});

/// A jittered point, in the published coordinates.
pub(super) fn point(rng: &mut Rng) -> [f64; 2] {
    let [x, y] = POINTS[rng.below(POINTS.len())];
    let (dx, dy) = rng.normal_pair();
    [x + JITTER * dx, y + JITTER * dy]
}

/// The 142 points' mean and population variance, the jitter's variance added.
pub(super) fn moments() -> [Moments; 2] {
    let n = POINTS.len() as f64;
    [0, 1].map(|axis| {
        let mean = POINTS.iter().map(|p| p[axis]).sum::<f64>() / n;
        let spread = POINTS.iter().map(|p| (p[axis] - mean).powi(2)).sum::<f64>() / n;
        Moments { mean, variance: spread + JITTER * JITTER }
    })
}

/// The datasaurus' 142 points without jitter, `[142, 2]`, in the coordinates of
/// [`Builtin::Dino`](super::Builtin::Dino)'s draws.
///
/// # Examples
///
/// ```
/// let points = picardy_trainer::data::dino_points();
/// assert_eq!((points.len(), points.dim()), (142, 2));
/// ```
pub fn dino_points() -> Dataset {
    let moments = moments();
    let mean = moments.iter().map(|m| m.mean).collect();
    let scale = moments.iter().map(|m| m.variance.sqrt()).collect();
    Dataset::standardised("dino".to_owned(), POINTS.as_flattened(), mean, scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_points_are_read() {
        assert_eq!(POINTS.len(), 142);
        assert_eq!(POINTS[0], [55.3846, 97.1795]);
        let [x, y] = moments();
        assert!((x.mean - 54.263_273_24).abs() < 1e-6 && (y.mean - 47.832_252_82).abs() < 1e-6);
        assert!((x.variance.sqrt() - 16.706_68).abs() < 1e-4, "{}", x.variance.sqrt());
    }
}
