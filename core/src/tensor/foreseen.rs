//! What a sampler will ask of the network's next answer.

/// What will be made of one row of the network's next answer, and asked of it: `m = state x + output out`.
///
/// See [`Tensor::foresee`](crate::Tensor::foresee).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Foreseen {
    /// The row of `x`.
    pub x: usize,
    /// The row that the network writes.
    pub out: usize,
    /// The row that will hold `m`; `out` where `m` is just what the network says.
    pub m: usize,
    /// The weight of `x`.
    pub state: f64,
    /// The weight of `out`.
    pub output: f64,
    /// The rows of `x` and `m` as they were before: the products of what changed are asked for. None where it is only asked
    /// whether `m` is finite.
    pub since: Option<(usize, usize)>,
}
