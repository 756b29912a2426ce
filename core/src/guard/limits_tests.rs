//! What the limits promise.

use super::{Clamp, Guard, GuardError, Limits};
use crate::{Level, Real, Row, SliceFrames};

const CHANNELS: usize = 2;

fn at(item: usize) -> Row {
    Row { item, node: 0, level: Level::DATA, conditional: true }
}

fn apply<T: Real>(limits: &mut Limits<'_, T>, item: usize, x: &mut [T]) -> Result<(), GuardError> {
    let dim = x.len();
    limits.apply(
        &Row { item, node: 0, level: Level::DATA, conditional: true },
        &mut SliceFrames::new(x, dim),
        0,
    )
}

/// The largest velocity and acceleration, of the Euclidean length and of any channel, from place -1 on.
fn largest(x: &[f64], position: &[f64], velocity: &[f64]) -> ([f64; 2], [f64; 2]) {
    let (mut norm, mut each) = ([0.0f64; 2], [0.0f64; 2]);
    let (mut before, mut moved) = ([position[0], position[1]], [velocity[0], velocity[1]]);
    for place in x.chunks(CHANNELS) {
        let now = [place[0] - before[0], place[1] - before[1]];
        for (order, d) in [now, [now[0] - moved[0], now[1] - moved[1]]].into_iter().enumerate() {
            norm[order] = norm[order].max((d[0] * d[0] + d[1] * d[1]).sqrt());
            each[order] = each[order].max(d[0].abs()).max(d[1].abs());
        }
        (before, moved) = ([place[0], place[1]], now);
    }
    (norm, each)
}

fn wild(seed: usize, len: usize, out: &mut [f64]) {
    for (i, x) in out[..len].iter_mut().enumerate() {
        *x = ((i + 31 * seed) * 7919 % 1009) as f64 / 100.0 - 5.0;
    }
}

#[test]
fn limits_hold_whatever_comes() {
    let (position, velocity) = ([0.4, -0.2], [0.1, 0.15]);
    for seed in 0..50 {
        for (v, a) in [(0.3, 0.05), (0.2, 1.0), (f64::INFINITY, 0.1), (0.25, f64::INFINITY), (0.2, 0.0)] {
            let mut x = [0.0; 32];
            wild(seed, 32, &mut x);
            let mut limits = Limits::new(CHANNELS, v, a).unwrap().after(&position, &velocity).unwrap();
            apply(&mut limits, 0, &mut x).unwrap();
            let (norm, _) = largest(&x, &position, &velocity);
            assert!(norm[0] <= v + 1e-12 && norm[1] <= a + 1e-12, "{seed} {v} {a}: {norm:?}");
            wild(seed, 32, &mut x);
            let bounds = ([v; 2], [a; 2]);
            let mut limits = Limits::each(&bounds.0, &bounds.1).unwrap().after(&position, &velocity).unwrap();
            apply(&mut limits, 0, &mut x).unwrap();
            let (_, each) = largest(&x, &position, &velocity);
            assert!(each[0] <= v + 1e-12 && each[1] <= a + 1e-12, "{seed} {v} {a}: {each:?}");
        }
    }
}

#[test]
fn what_is_within_stays_to_the_bit() {
    let x: [f64; 16] = core::array::from_fn(|i| (i / 2) as f64 * 0.1);
    let mut same = x;
    apply(&mut Limits::new(CHANNELS, 0.15, 1e-9).unwrap(), 0, &mut same).unwrap();
    assert_eq!(x, same);
}

/// Swept first, a jump is spread over both its sides and ends up nearer than where it is caught up with from the front.
#[test]
fn sweeps_spread_a_mend() {
    let step: [f64; 12] = core::array::from_fn(|i| if i < 6 { 0.0 } else { 1.0 });
    let distance = |sweeps: usize| {
        let mut x = step;
        apply(&mut Limits::new(1, 0.3, f64::INFINITY).unwrap().sweeps(sweeps), 0, &mut x).unwrap();
        x.iter().zip(&step).map(|(a, b)| (a - b) * (a - b)).sum::<f64>()
    };
    assert!(distance(30) < 0.7 * distance(0), "{} {}", distance(30), distance(0));
}

#[test]
fn committed_places_are_kept() {
    let mut x = [0.0f64, 0.1, 0.2, 5.0, -5.0, 5.0];
    apply(&mut Limits::new(1, 0.2, 0.05).unwrap().keeping(3), 0, &mut x).unwrap();
    assert_eq!(x[..3], [0.0, 0.1, 0.2]);
    for i in 2..6 {
        let velocity = x[i] - x[i - 1];
        assert!(velocity.abs() <= 0.2 + 1e-12 && (velocity - (x[i - 1] - x[i - 2])).abs() <= 0.05 + 1e-12);
    }
    let all = x;
    apply(&mut Limits::new(1, 0.0, 0.0).unwrap().keeping(usize::MAX), 0, &mut x).unwrap();
    assert_eq!(x, all);
}

#[test]
fn each_item_has_its_own_past() {
    let (position, velocity) = ([0.0f32, 3.0], [0.0f32, 0.0]);
    let mut limits = Limits::new(1, 0.5, 0.5).unwrap().after(&position, &velocity).unwrap();
    let mut x = [9.0f32, 9.0];
    apply(&mut limits, 1, &mut x).unwrap();
    assert_eq!(x, [3.5, 4.0]);
    assert_eq!(apply(&mut limits, 2, &mut x), Err(GuardError::Length { values: 2, dim: 1, item: 2 }));
}

#[test]
fn what_makes_no_sense_is_refused() {
    for bad in [-0.1, f64::NAN] {
        assert!(matches!(Limits::<f32>::new(1, bad, 1.0), Err(GuardError::Limit(_))));
        assert!(matches!(Limits::<f32>::new(1, 1.0, bad), Err(GuardError::Limit(_))));
        assert!(matches!(Limits::each(&[1.0, bad], &[1.0, 1.0]), Err(GuardError::Limit(_))));
    }
    assert!(Limits::<f32>::new(0, 1.0, 1.0).is_err() && Limits::each(&[1.0], &[1.0, 2.0]).is_err());
    let limits = Limits::<f64>::new(2, 0.5, 1.0).unwrap();
    assert!(matches!(limits.after(&[0.0; 2], &[0.4, 0.4]), Err(GuardError::Speed { item: 0, .. })));
    assert!(limits.after(&[0.0; 2], &[0.3, 0.4]).is_ok());
    assert!(limits.after(&[0.0; 3], &[0.0; 3]).is_err() && limits.after(&[0.0; 2], &[0.0; 4]).is_err());
    assert!(limits.after(&[f64::NAN, 0.0], &[0.0; 2]).is_err() && limits.after(&[], &[]).is_err());
    let mut limits = limits;
    assert_eq!(apply(&mut limits, 0, &mut [0.0; 3]), Err(GuardError::Channels { channels: 2, given: 3 }));
}

#[test]
fn a_clamp_behind_it_keeps_the_velocity() {
    let (position, velocity) = ([0.0, 0.0], [0.1, 0.0]);
    for seed in 0..20 {
        let mut x = [0.0; 32];
        wild(seed, 32, &mut x);
        let limits = Limits::new(CHANNELS, 0.3, 0.05).unwrap().after(&position, &velocity).unwrap();
        let mut chain = (limits, Clamp::new(-0.5, 0.4).unwrap());
        chain.apply(&at(0), &mut SliceFrames::new(&mut x, 32), 0).unwrap();
        assert!(x.iter().all(|x| (-0.5..=0.4).contains(x)));
        let (norm, _) = largest(&x, &position, &velocity);
        assert!(norm[0] <= 0.3 + 1e-12, "{seed}: {norm:?}");
    }
}
