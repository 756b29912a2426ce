//! Systems of a few equations.

/// Solves `(A + ridge I) x = b` for the first `n` unknowns, `A` symmetric positive semidefinite (its lower triangle is
/// read), `b` becoming `x`. False where `A` is 0 or not finite: `b` is then of no use.
pub(super) fn solve<const N: usize>(a: &mut [[f64; N]; N], b: &mut [f64; N], n: usize, ridge: f64) -> bool {
    let n = n.min(N);
    // Cholesky, in place.
    for i in 0..n {
        for j in 0..=i {
            let known: f64 = (0..j).map(|k| at(a, i, k) * at(a, j, k)).sum();
            let sum = at(a, i, j) - known + if i == j { ridge } else { 0.0 };
            if i == j && !(sum > 0.0 && sum.is_finite()) {
                return false;
            }
            let entry = if i == j { crate::math::sqrt(sum) } else { sum / at(a, j, j) };
            if let Some(place) = a.get_mut(i).and_then(|row| row.get_mut(j)) {
                *place = entry;
            }
        }
    }
    for i in 0..n {
        let known: f64 = b.iter().enumerate().take(i).map(|(k, b)| at(a, i, k) * b).sum();
        divide(b, i, known, at(a, i, i));
    }
    for i in (0..n).rev() {
        let known: f64 = b.iter().enumerate().take(n).skip(i + 1).map(|(k, b)| at(a, k, i) * b).sum();
        divide(b, i, known, at(a, i, i));
    }
    b.iter().take(n).all(|x| x.is_finite())
}

/// An entry of a matrix; there are no others. (Indices that a compiler cannot follow would leave a panic in the image.)
fn at<const N: usize>(a: &[[f64; N]; N], i: usize, j: usize) -> f64 {
    a.get(i).and_then(|row| row.get(j)).copied().unwrap_or_default()
}

/// `b_i <- (b_i - known) / pivot`
fn divide<const N: usize>(b: &mut [f64; N], i: usize, known: f64, pivot: f64) {
    if let Some(b) = b.get_mut(i) {
        *b = (*b - known) / pivot;
    }
}

#[cfg(test)]
mod tests {
    use super::solve;

    #[test]
    fn three_equations() {
        let full = [[4.0, 2.0, 0.4], [2.0, 3.0, 1.0], [0.4, 1.0, 2.0]];
        let x = [1.0, -2.0, 3.0];
        let mut b = [0.0; 3];
        for (b, row) in b.iter_mut().zip(&full) {
            *b = row.iter().zip(&x).map(|(a, x)| a * x).sum();
        }
        let (mut lower, mut short) = (full, b);
        assert!(solve(&mut lower, &mut b, 3, 0.0));
        assert!(b.iter().zip(&x).all(|(b, x)| (b - x).abs() < 1e-12), "{b:?}");
        lower = full;
        assert!(solve(&mut lower, &mut short, 1, 1.0));
        assert_eq!(short[0], (4.0 - 4.0 + 1.2) / 5.0);
        assert!(!solve(&mut [[0.0; 2]; 2], &mut [1.0; 2], 2, 0.0));
        assert!(!solve(&mut [[f64::NAN; 1]; 1], &mut [1.0; 1], 1, 1.0));
    }
}
