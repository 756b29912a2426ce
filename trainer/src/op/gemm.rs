//! Matrix products: through `matrixmultiply` for vectors' layers, through `gemm` for convolutions' patches.
//!
//! Both are single-threaded here, and the same for the same shapes.

use picardy::nn::Scalar;

/// A number type that matrices can have here: `f32`, or `f64` for the finite-difference checks.
pub trait Element: Scalar {
    /// `C = alpha A B + beta C` by `matrixmultiply`, over row-major C.
    ///
    /// The views and `c` must fit each other; [`gemm`] checks that, so call that one.
    #[doc(hidden)]
    fn product(alpha: Self, a: View<'_, Self>, b: View<'_, Self>, beta: Self, c: &mut [Self]);

    /// `C = A B`, or `C += A B`, by `gemm`; as [`Element::product`], call [`gemm_tall`].
    #[doc(hidden)]
    fn product_tall(a: View<'_, Self>, b: View<'_, Self>, add: bool, c: &mut [Self], stride: usize);
}

/// A matrix over a slice, with strides.
#[derive(Debug, Clone, Copy)]
pub struct View<'a, T> {
    data: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T> View<'a, T> {
    /// The row-major matrix [rows, columns] over `data`.
    ///
    /// # Panics
    ///
    /// Where `data` has another length.
    pub fn new(data: &'a [T], rows: usize, columns: usize) -> Self {
        assert_eq!(Some(data.len()), rows.checked_mul(columns), "a matrix of {rows} x {columns}");
        Self { data, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// The matrix [rows, columns] whose rows begin `stride` apart.
    ///
    /// # Panics
    ///
    /// Where `data` ends before the last row does, or rows overlap.
    pub fn strided(data: &'a [T], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(lie_in(data.len(), rows, columns, stride), "a matrix of {rows} x {columns}, {stride} apart");
        Self { data, rows, columns, row_stride: stride, column_stride: 1 }
    }

    /// The transposed matrix, over the same elements.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// Whether that many numbers hold all the rows.
fn lie_in(len: usize, rows: usize, columns: usize, stride: usize) -> bool {
    let last = rows.checked_sub(1).map_or(Some(0), |last| last.checked_mul(stride)?.checked_add(columns));
    stride >= columns && last.is_some_and(|end| end <= len)
}

/// `C = A B + beta C`: A [m, k], B [k, n], C [m, n] in rows.
///
/// # Panics
///
/// Where the shapes do not fit.
pub fn gemm<T: Element>(a: View<'_, T>, b: View<'_, T>, beta: T, c: &mut [T]) {
    T::product(T::ONE, a, b, beta, c);
}

/// `C = A B`, or `C += A B`, for many rows or long sums: A [m, k], B [k, n], C [m, n] in rows.
///
/// For the shapes of convolutions (hundreds of rows and inputs, tens of outputs) 1.1 to 2.5 times as fast as [`gemm`].
///
/// # Panics
///
/// Where the shapes do not fit.
pub fn gemm_tall<T: Element>(a: View<'_, T>, b: View<'_, T>, add: bool, c: &mut [T]) {
    let columns = b.columns;
    assert_eq!(Some(c.len()), a.rows.checked_mul(columns), "the result of a product");
    T::product_tall(a, b, add, c, columns);
}

/// `C += A B` as [`gemm_tall`], into rows of C that begin `stride` apart.
///
/// # Panics
///
/// Where the shapes do not fit, or C's rows overlap.
pub fn gemm_strided<T: Element>(a: View<'_, T>, b: View<'_, T>, c: &mut [T], stride: usize) {
    T::product_tall(a, b, true, c, stride);
}

macro_rules! element {
    ($type:ty, $gemm:path, $tall:path) => {
        impl Element for $type {
            #[allow(unsafe_code)]
            fn product(alpha: Self, a: View<'_, Self>, b: View<'_, Self>, beta: Self, c: &mut [Self]) {
                let (m, k, n) = (a.rows, a.columns, b.columns);
                assert_eq!(k, b.rows, "the inner dimensions of a product");
                assert_eq!(Some(c.len()), m.checked_mul(n), "the result of a product");
                // SAFETY: `View::new` and `View::strided` made sure that all rows lie in the slice, and
                // `transposed` swaps the two together, so every (i, j) of A and B lies in its slice; C is row-major
                // of just the length asserted above. C is borrowed mutably, so it overlaps neither.
                unsafe {
                    $gemm(
                        m,
                        k,
                        n,
                        alpha,
                        a.data.as_ptr(),
                        a.row_stride as isize,
                        a.column_stride as isize,
                        b.data.as_ptr(),
                        b.row_stride as isize,
                        b.column_stride as isize,
                        beta,
                        c.as_mut_ptr(),
                        n as isize,
                        1,
                    );
                }
            }

            #[allow(unsafe_code)]
            fn product_tall(a: View<'_, Self>, b: View<'_, Self>, add: bool, c: &mut [Self], stride: usize) {
                let (m, k, n) = (a.rows, a.columns, b.columns);
                assert_eq!(k, b.rows, "the inner dimensions of a product");
                assert!(lie_in(c.len(), m, n, stride), "the result of a product");
                // SAFETY: as above: both views lie in their slices, and C's rows in its own, apart from each other.
                unsafe {
                    $tall()(
                        n,
                        m,
                        k,
                        c.as_mut_ptr(),
                        stride as isize,
                        1,
                        add,
                        b.data.as_ptr(),
                        b.row_stride as isize,
                        b.column_stride as isize,
                        a.data.as_ptr(),
                        a.row_stride as isize,
                        a.column_stride as isize,
                        1.0,
                        1.0,
                        false,
                        false,
                        false,
                        gemm_common::Parallelism::None,
                    );
                }
            }
        }
    };
}

element!(f32, matrixmultiply::sgemm, gemm_f32::gemm::f32::get_gemm_fn);
element!(f64, matrixmultiply::dgemm, gemm_f64::gemm::f64::get_gemm_fn);

#[cfg(test)]
mod tests {
    use super::View;

    #[test]
    #[should_panic(expected = "a matrix of")]
    fn sizes_beyond_all_memory_are_no_matrix() {
        let _ = View::<f32>::new(&[], 1 << (usize::BITS / 2), 1 << (usize::BITS / 2));
    }

    #[test]
    #[should_panic(expected = "a matrix of")]
    fn rows_lie_apart() {
        let _ = View::strided(&[0.0f32; 8], 3, 3, 2);
    }
}
