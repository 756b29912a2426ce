//! The operations that networks are made of.

/// An elementwise function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x Phi(x)`, Phi the standard normal distribution function.
    Gelu,
    /// `x tanh(ln(1 + e^x))` (arXiv 1908.08681).
    Mish,
    /// `x / (1 + e^-x)`.
    Silu,
}

/// How the embedding's frequencies `10000^(-i / n)`, i = 0 .. half, are spaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spacing {
    /// n = half: the last frequency is above 1/10000.
    Open,
    /// n = half - 1: the last frequency is 1/10000, as Diffusion Policy has it.
    Closed,
}

/// Zeros around a value's places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Padding {
    /// Rows before the first.
    pub top: u8,
    /// Rows behind the last.
    pub bottom: u8,
    /// Places before the first of a row.
    pub left: u8,
    /// Places behind the last of a row.
    pub right: u8,
}

impl Padding {
    /// So much before and behind in each row, nothing above and below.
    pub const fn series(left: u8, right: u8) -> Self {
        Self { top: 0, bottom: 0, left, right }
    }

    /// So much on all four sides.
    pub const fn all(n: u8) -> Self {
        Self { top: n, bottom: n, left: n, right: n }
    }
}

/// What a step does with its inputs a and b; p is a place, c a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Op {
    /// `out[p, o] = bias[o] + sum over the places q of p's patch and channels i of weight[o, q, i] a[q, i]`, with zeros
    /// outside of a. A kernel of 1 x 1 is an affine map of each place, which of a vector is a linear layer.
    ///
    /// The weight is `[outputs, kernel height, kernel width, inputs]`, so that a patch is one row to multiply with.
    Conv {
        /// Height and width of a patch.
        kernel: [u8; 2],
        /// Places from a patch to the next, in both directions.
        stride: u8,
        /// Zeros around a.
        padding: Padding,
    },
    /// `(a - mean) / sqrt(var + 1e-5) weight[c] + bias[c]`, mean and variance those of each place.
    LayerNorm,
    /// The same with mean and variance of each group of channels, over all places (arXiv 1803.08494).
    GroupNorm {
        /// Groups, a divisor of the channels.
        groups: u16,
    },
    /// A function of each number.
    Activation(Activation),
    /// `(sin(t f_0), .., cos(t f_0), ..)` of the number that the network is told.
    Sinusoidal(Spacing),
    /// `a + b`; b is of a's shape, or a vector that is added at each place.
    #[default]
    Add,
    /// `b[c] a[p, c] + b[channels + c]`: a scale and a shift for each channel (FiLM, arXiv 1709.07871).
    Film,
    /// At each place a's channels and behind them b's.
    Concat,
    /// a's and b's places in turns: twice the width.
    Interleave,
    /// Each place four times: twice the height and width.
    Upsample,
    /// Attention of all places to all (arXiv 1706.03762). a's channels are query, key and value of a third each, each of so
    /// many heads: `softmax(q k^T / sqrt(channels of a head)) v`.
    Attention {
        /// Heads, a divisor of the output's channels.
        heads: u16,
    },
}

impl Op {
    /// Whether the second input is looked at.
    pub const fn is_binary(self) -> bool {
        matches!(self, Self::Add | Self::Film | Self::Concat | Self::Interleave)
    }
}
