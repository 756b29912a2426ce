//! Stationary flow through a porous medium.

use super::Residual;
use picardy::Real;

/// Darcy's law with a source, `r = -div(K grad p) - f`, on the unit square without flow through its border.
///
/// An item is `size` by `size` cells, row by row, of two numbers each: the pressure p and the permeability K. It is an image with two
/// channels, [size, size, 2], as the 2-D U-Net takes it. Cell (i, j) has its centre at ((i + 1/2) h, (j + 1/2) h), h = 1/size. With the flux through the face between
/// neighbouring cells a and b
///
/// ```text
/// q_ab = (K_a + K_b)/2 (p_a - p_b)/h,        r_a = 1/h sum_b q_ab - f_a        (no face at the border)
/// ```
///
/// which are central differences about the faces, of second order. What the generator [`DarcyData`](super::DarcyData) solves is
/// the same equation, so its fields have no residual but rounding. Pressures are known up to a constant, which r does not see.
///
/// The source is that of the physics-informed loss's paper (arXiv 2403.14404): `f = rate` in the corner square of width 1/8 at
/// the origin, `-rate` in the opposite one, 0 elsewhere; rate is 10.
#[derive(Debug, Clone, PartialEq)]
pub struct Darcy {
    size: usize,
    source: Vec<f64>,
}

/// Why there are no Darcy fields.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DarcyError {
    /// A grid without room for the source, or too large for the solver's indices.
    #[error("fields of {0} x {0} cells: the size must be from {min} to {max}", min = Darcy::MIN_SIZE, max = Darcy::MAX_SIZE)]
    Size(usize),
    /// Items whose coordinates are not two square fields.
    #[error(
        "items of {0} coordinates are not two square fields; give rows of n n 2 numbers, each cell's pressure and permeability"
    )]
    Dim(usize),
    /// A setting of the random medium out of range.
    #[error("the medium's `{name}` is {value}; it must be {expected}")]
    Medium {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: f64,
        /// What it may be.
        expected: &'static str,
    },
    /// More numbers than there is memory for, or none.
    #[error("cannot make {count} samples of {size} x {size} cells: ask for 1 to {most}")]
    Count {
        /// The samples asked for.
        count: usize,
        /// Cells a side.
        size: usize,
        /// The most.
        most: usize,
    },
    /// The solver's matrix is not positive definite in double precision.
    #[error(
        "sample {sample}: the permeabilities run from {least:e} to {most:e}, too far apart for the solver; lower the medium's contrast"
    )]
    Solve {
        /// Which sample.
        sample: usize,
        /// Its least permeability.
        least: f64,
        /// Its largest.
        most: f64,
    },
}

impl Darcy {
    /// The fewest cells a side: the source's corner has one then.
    pub const MIN_SIZE: usize = 4;
    /// The most cells a side.
    pub const MAX_SIZE: usize = 1024;
    /// The rate of the source.
    const RATE: f64 = 10.0;
    /// The width of its corners.
    const WIDTH: f64 = 0.125;

    /// The equation on `size` by `size` cells; the paper's size is 64.
    ///
    /// # Errors
    ///
    /// [`DarcyError::Size`] unless the size is 4 to 1024.
    pub fn new(size: usize) -> Result<Self, DarcyError> {
        if !(Self::MIN_SIZE..=Self::MAX_SIZE).contains(&size) {
            return Err(DarcyError::Size(size));
        }
        let h = 1.0 / size as f64;
        let centre = |i: usize| (i as f64 + 0.5) * h;
        // A cell whose centre lies on the edge belongs to the corner, on both sides.
        let near = |i: usize| centre(i) <= Self::WIDTH + 1e-12;
        let far = |i: usize| centre(i) >= 1.0 - Self::WIDTH - 1e-12;
        let source = (0..size * size)
            .map(|cell| match (cell / size, cell % size) {
                (i, j) if near(i) && near(j) => Self::RATE,
                (i, j) if far(i) && far(j) => -Self::RATE,
                _ => 0.0,
            })
            .collect();
        Ok(Self { size, source })
    }

    /// The equation for items of `dim` coordinates.
    ///
    /// # Errors
    ///
    /// [`DarcyError::Dim`] where they are not two square fields, [`DarcyError::Size`].
    pub fn for_dim(dim: usize) -> Result<Self, DarcyError> {
        let size = (dim / 2).isqrt();
        if dim == 0 || size.checked_mul(size).and_then(|n| n.checked_mul(2)) != Some(dim) {
            return Err(DarcyError::Dim(dim));
        }
        Self::new(size)
    }

    /// Cells a side.
    pub const fn size(&self) -> usize {
        self.size
    }

    /// The source f, [size, size].
    pub fn source(&self) -> &[f64] {
        &self.source
    }

    /// Calls `each` with every pair of neighbouring cells, once.
    pub(super) fn faces(&self, mut each: impl FnMut(usize, usize)) {
        let n = self.size;
        for row in 0..n {
            (row * n..row * n + n - 1).for_each(|cell| each(cell, cell + 1));
        }
        (0..n * (n - 1)).for_each(|cell| each(cell, cell + n));
    }
}

impl<T: Real> Residual<T> for Darcy {
    fn len(&self, dim: usize) -> Option<usize> {
        (dim == 2 * self.source.len()).then_some(self.source.len())
    }

    fn residual(&self, x: &[T], r: &mut [T]) {
        for (r, &f) in r.iter_mut().zip(&self.source) {
            *r = T::from_f64(-f);
        }
        let (cells, _) = x.as_chunks::<2>();
        // 1/2 of the mean permeability and both 1/h.
        let scale = T::from_f64(0.5 * (self.size * self.size) as f64);
        self.faces(|a, b| {
            let ([p_a, k_a], [p_b, k_b]) = (cells[a], cells[b]);
            let flux = scale * (k_a + k_b) * (p_a - p_b);
            r[a] += flux;
            r[b] -= flux;
        });
    }

    fn pull_back(&self, x: &[T], dr: &[T], dx: &mut [T]) {
        let ((cells, _), (slopes, _)) = (x.as_chunks::<2>(), dx.as_chunks_mut::<2>());
        let scale = T::from_f64(0.5 * (self.size * self.size) as f64);
        self.faces(|a, b| {
            let ([p_a, k_a], [p_b, k_b]) = (cells[a], cells[b]);
            let dflux = scale * (dr[a] - dr[b]);
            let (through, drop) = (dflux * (k_a + k_b), dflux * (p_a - p_b));
            slopes[a][0] += through;
            slopes[b][0] -= through;
            slopes[a][1] += drop;
            slopes[b][1] += drop;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::testing::values;
    use crate::physics::check_pull_back;

    #[test]
    fn the_adjoint_is_the_slope() {
        let darcy = Darcy::new(5).unwrap();
        assert!(check_pull_back(&darcy, &values(50, 1)) < 1e-6);
    }

    #[test]
    fn a_parabola_has_a_constant_divergence() {
        // K = 1 + x, p = x^2: -div(K grad p) = -(2 + 4x), and central differences are exact for it away from the border.
        let darcy = Darcy::new(8).unwrap();
        let centre = |i: usize| (i as f64 + 0.5) / 8.0;
        let x: Vec<f64> =
            (0..64).flat_map(|cell| [centre(cell / 8).powi(2), 1.0 + centre(cell / 8)]).collect();
        let mut r = vec![0.0; 64];
        darcy.residual(&x, &mut r);
        for cell in (0..64).filter(|cell| (1..7).contains(&(cell / 8))) {
            let want = -(2.0 + 4.0 * centre(cell / 8)) - darcy.source()[cell];
            assert!((r[cell] - want).abs() < 1e-10, "cell {cell}: {} where {want}", r[cell]);
        }
        // What leaves one cell enters the next: all that is left over is the source's, which is 0 in sum.
        assert!(r.iter().sum::<f64>().abs() < 1e-10);
    }

    #[test]
    fn the_source_is_two_corners_that_cancel() {
        let darcy = Darcy::new(64).unwrap();
        assert_eq!(darcy.source().iter().filter(|f| **f == 10.0).count(), 64);
        assert_eq!(darcy.source().iter().sum::<f64>(), 0.0);
        assert_eq!((darcy.source()[0], darcy.source()[4095]), (10.0, -10.0));
        for size in Darcy::MIN_SIZE..40 {
            let darcy = Darcy::new(size).unwrap();
            assert!(darcy.source()[0] == 10.0 && darcy.source().iter().sum::<f64>() == 0.0, "{size}");
        }
    }

    #[test]
    fn sizes_that_are_none_are_errors() {
        for size in [0, 3, 1025, usize::MAX] {
            assert!(Darcy::new(size).unwrap_err().to_string().contains(&size.to_string()));
        }
        for dim in [0, 1, 7, 33, usize::MAX] {
            assert!(Darcy::for_dim(dim).unwrap_err().to_string().contains(&dim.to_string()));
        }
        assert_eq!(Darcy::for_dim(8192).unwrap().size(), 64);
        assert_eq!(Residual::<f64>::len(&Darcy::new(4).unwrap(), 31), None);
    }
}
