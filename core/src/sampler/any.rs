//! A sampler chosen at run time.

use super::{
    Bound, Need, Parareal, PararealRun, Picard, PicardRun, Report, Round, Run, SampleError, Sampler,
    Sequential, SequentialRun, SetupError, Speculative, SpeculativeRun, Workspace,
};
use crate::{Denoiser, Noise, Plan, Tensor};

/// Any of the samplers: an enum, no box. [`Auto`](super::Auto) chooses one.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum AnySampler {
    /// [`Sequential`].
    Sequential(Sequential),
    /// [`Picard`].
    Picard(Picard),
    /// [`Parareal`].
    Parareal(Parareal),
    /// [`Speculative`].
    Speculative(Speculative),
}

/// A run of [`AnySampler`].
#[derive(Debug)]
#[non_exhaustive]
pub enum AnyRun<'r, F: Tensor> {
    /// [`Sequential`]'s.
    Sequential(SequentialRun<'r, F>),
    /// [`Picard`]'s.
    Picard(PicardRun<'r, F>),
    /// [`Parareal`]'s.
    Parareal(PararealRun<'r, F>),
    /// [`Speculative`]'s.
    Speculative(SpeculativeRun<'r, F>),
}

macro_rules! each {
    ($any:ident, $of:expr, $inner:ident => $then:expr) => {
        match $of {
            $any::Sequential($inner) => $then,
            $any::Picard($inner) => $then,
            $any::Parareal($inner) => $then,
            $any::Speculative($inner) => $then,
        }
    };
}

impl Sampler for AnySampler {
    type Run<'r, F: Tensor + 'r> = AnyRun<'r, F>;

    fn need(&self, plan: &Plan<'_>, batch: usize) -> Need {
        each!(AnySampler, self, sampler => sampler.need(plan, batch))
    }

    fn bound(&self, plan: &Plan<'_>, batch: usize) -> Bound {
        each!(AnySampler, self, sampler => sampler.bound(plan, batch))
    }

    fn begin<'r, F: Tensor>(
        &self,
        plan: &'r Plan<'r>,
        noise: &'r Noise<'r>,
        x: &[F::Scalar],
        workspace: &'r mut Workspace<'_, F>,
    ) -> Result<Self::Run<'r, F>, SetupError> {
        Ok(match self {
            Self::Sequential(sampler) => AnyRun::Sequential(sampler.begin(plan, noise, x, workspace)?),
            Self::Picard(sampler) => AnyRun::Picard(sampler.begin(plan, noise, x, workspace)?),
            Self::Parareal(sampler) => AnyRun::Parareal(sampler.begin(plan, noise, x, workspace)?),
            Self::Speculative(sampler) => AnyRun::Speculative(sampler.begin(plan, noise, x, workspace)?),
        })
    }
}

impl<F: Tensor> Run<F> for AnyRun<'_, F> {
    fn round<D: Denoiser<F> + ?Sized>(
        &mut self,
        denoiser: &mut D,
    ) -> Result<Option<Round>, SampleError<D::Error>> {
        each!(AnyRun, self, run => run.round(denoiser))
    }

    fn best(&mut self, x: &mut [F::Scalar]) {
        each!(AnyRun, self, run => run.best(x));
    }

    fn report(&self) -> Report {
        each!(AnyRun, self, run => run.report())
    }
}
