//! Systems of a few equations.

/// Solves `(A + ridge I) x = b` for the first `n` unknowns, `A` symmetric positive semidefinite (its lower triangle is
/// read), `b` becoming `x`. False where `A` is 0 or not finite: `b` is then of no use.
pub(super) fn solve<const N: usize>(a: &mut [[f64; N]; N], b: &mut [f64; N], n: usize, ridge: f64) -> bool {
    let n = n.min(N);
    // Cholesky, in place.
    for i in 0..n {
        for j in 0..=i {
            let known: f64 = (0..j).map(|k| a[i][k] * a[j][k]).sum();
            let sum = a[i][j] - known + if i == j { ridge } else { 0.0 };
            if i == j {
                if !(sum > 0.0 && sum.is_finite()) {
                    return false;
                }
                a[i][i] = crate::math::sqrt(sum);
            } else {
                a[i][j] = sum / a[j][j];
            }
        }
    }
    for i in 0..n {
        let known: f64 = (0..i).map(|k| a[i][k] * b[k]).sum();
        b[i] = (b[i] - known) / a[i][i];
    }
    for i in (0..n).rev() {
        let known: f64 = (i + 1..n).map(|k| a[k][i] * b[k]).sum();
        b[i] = (b[i] - known) / a[i][i];
    }
    b.iter().take(n).all(|x| x.is_finite())
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
