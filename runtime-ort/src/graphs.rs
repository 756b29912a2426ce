//! Whether a GPU's runs are captured and repeated as one.

use std::{fmt, str::FromStr};

/// Whether runs over rows on a device ([`ResidentFrames`](crate::ResidentFrames)) are captured once their shapes have come often
/// enough, and then repeated with one command for all of their kernels: CUDA graphs on CUDA, the plugin's captured commands on WebGPU.
///
/// By name: `off`, `on` or the number of [`After`](Self::After).
///
/// ```
/// use picardy_ort::{GpuGraphs, Options, Provider};
///
/// let graphs: GpuGraphs = "on".parse()?;
/// let options = Options { provider: Provider::Cuda { device: 0 }, graphs, ..Options::default() };
/// assert_eq!("12".parse(), Ok(GpuGraphs::After(12)));
/// # Ok::<(), picardy_ort::graphs::UnknownGraphs>(())
/// ```
///
/// What a captured run reads and writes lies at fixed addresses; what the host tells it is packed into one tensor and copied there. A
/// capture is trusted only after it has given an ordinary run's numbers for other inputs than those it was captured with: on the plugin of
/// WebGPU copies between tensors are not captured, and a model with such a copy would answer with old numbers. What fails that, a model
/// with nodes on the processor or with control flow, and all under TensorRT and on the processor run as with [`Off`](Self::Off);
/// [`Counter::uncaptured`](crate::resident::Counter::uncaptured) says why, and
/// [`Traffic::captured`](crate::resident::Traffic::captured) counts the runs that were repeated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GpuGraphs {
    /// Every run is an ordinary one.
    #[default]
    Off,
    /// Those whose shapes came this often before are captured. 0 counts as 1: memory is settled in ordinary runs.
    After(u32),
}

impl GpuGraphs {
    /// After as many ordinary runs as a capture and its proof cost, within a factor of two.
    pub const ON: Self = Self::After(8);

    /// How often a shape comes before it is captured.
    pub(crate) fn after(self) -> Option<u32> {
        match self {
            Self::Off => None,
            Self::After(times) => Some(times.max(1)),
        }
    }
}

/// A text that is none of [`GpuGraphs`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no way to capture runs is called `{0}`: give off, on, or after how many runs of a shape, as in 8")]
pub struct UnknownGraphs(String);

impl FromStr for GpuGraphs {
    type Err = UnknownGraphs;

    fn from_str(text: &str) -> Result<Self, UnknownGraphs> {
        match text {
            "off" => Ok(Self::Off),
            "on" => Ok(Self::ON),
            // `+8` is a number to Rust's parser.
            _ if text.starts_with('+') => Err(UnknownGraphs(text.to_owned())),
            _ => text.parse().map(Self::After).map_err(|_| UnknownGraphs(text.to_owned())),
        }
    }
}

impl fmt::Display for GpuGraphs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.pad("off"),
            &Self::ON => f.pad("on"),
            Self::After(times) => times.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for graphs in [GpuGraphs::Off, GpuGraphs::ON, GpuGraphs::After(1), GpuGraphs::After(u32::MAX)] {
            assert_eq!(graphs.to_string().parse(), Ok(graphs));
        }
        for text in ["", "yes", "-1", "+1", "1.5", "4294967296"] {
            let said = text.parse::<GpuGraphs>().unwrap_err().to_string();
            assert!(said.contains(&format!("`{text}`")) && said.contains("give off, on"), "{said}");
        }
        assert_eq!((GpuGraphs::Off.after(), GpuGraphs::After(0).after()), (None, Some(1)));
    }
}
