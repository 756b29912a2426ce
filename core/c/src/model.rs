//! The networks that an artifact can hold: what the C border opens.

use crate::error::picardy_error as code;
use crate::fault::Fault;
use crate::memory::{self, Size};
use picardy::nn::{
    Architecture, Artifact, ArtifactError, CardError, ModelCard, Network, ResidualMlp, Shape, Step, Weights,
    key,
};

/// A network, its weights where the artifact's bytes are.
#[expect(
    clippy::large_enum_variant,
    reason = "it lies in the caller's memory, of a size that is told before"
)]
#[derive(Debug)]
pub(crate) enum Model {
    /// A residual MLP without a condition, by hand.
    Mlp(ResidualMlp<'static>),
    /// Any other, by its program.
    Program(Network<'static, 'static>, Architecture),
}

impl Model {
    /// Numbers of a state.
    pub(crate) fn dim(&self) -> usize {
        match self {
            Self::Mlp(model) => model.dim(),
            Self::Program(network, _) => network.dim(),
        }
    }

    /// Numbers of an item's condition.
    pub(crate) fn condition(&self) -> usize {
        match self {
            Self::Mlp(_) => 0,
            Self::Program(network, _) => network.condition(),
        }
    }

    /// Rows, places in a row and channels of an item.
    pub(crate) fn shape(&self) -> [usize; 3] {
        match self {
            Self::Mlp(model) => [1, 1, model.dim()],
            Self::Program(network, _) => {
                let Shape { height, width, channels } = network.item();
                [height, width, channels]
            }
        }
    }

    /// An MLP's width and blocks.
    pub(crate) fn width_and_blocks(&self) -> (usize, usize) {
        match self {
            Self::Mlp(model) => (model.width(), model.blocks()),
            Self::Program(_, Architecture::ResidualMlp { width, blocks }) => (*width, *blocks),
            Self::Program(..) => (0, 0),
        }
    }

    /// Floats of scratch for so many rows.
    pub(crate) fn scratch_len(&self, rows: usize) -> usize {
        match self {
            Self::Mlp(model) => model.scratch_len(rows),
            Self::Program(network, _) => network.scratch_len(rows),
        }
    }
}

/// An artifact that holds a network.
pub(crate) struct Found<'a> {
    artifact: Artifact<'a>,
    /// None where another maker wrote it: the caller says what it was trained for.
    card: Option<ModelCard<'a>>,
}

impl<'a> Found<'a> {
    /// # Safety
    /// Where they are not null and aligned, the bytes are `length` ones, which nothing writes to as long as `'a` lasts.
    pub(crate) unsafe fn new(bytes: *const u8, length: usize) -> Result<Self, Fault> {
        // SAFETY: the caller's promise.
        let artifact = Artifact::parse(unsafe { memory::slice(bytes, length, "bytes") }?)?;
        let unknown =
            || Fault::new(code::PICARDY_ERROR_MODEL).name(artifact.metadata(key::MODEL).unwrap_or_default());
        let card = match ModelCard::from_lookup(|key| artifact.metadata(key)) {
            Ok(card) => Some(card),
            // Without a card a network is taken for an MLP, whose tensors tell its sizes; but not one with a condition,
            // which would not be told.
            Err(CardError::Missing { key: key::VERSION })
                if matches!(artifact.tensor("condition.weight"), Err(ArtifactError::Missing)) =>
            {
                None
            }
            Err(CardError::Invalid { key: key::MODEL, .. }) => return Err(unknown()),
            Err(error) => return Err(error.into()),
        };
        if card.is_some_and(|card| matches!(card.architecture, Architecture::ExactPoints { .. })) {
            return Err(unknown());
        }
        Ok(Self { artifact, card })
    }

    /// The steps of its program; none of an MLP by hand.
    pub(crate) fn steps(&self) -> usize {
        match self.program() {
            // No more than the card's reader lets through.
            Some(card) => card.architecture.steps(card.condition),
            None => 0,
        }
    }

    /// The bytes of a network behind a header.
    pub(crate) fn size<T>(&self) -> Result<Size, Fault> {
        Size::of::<T>().and::<Step<Weights<'static>>>(self.steps())
    }

    /// The card of a network that goes by its program.
    fn program(&self) -> Option<&ModelCard<'a>> {
        let by_hand = |card: &ModelCard<'_>| {
            card.condition == 0 && matches!(card.architecture, Architecture::ResidualMlp { .. })
        };
        self.card.as_ref().filter(|card| !by_hand(card))
    }
}

impl Found<'static> {
    /// The network, its program in as many `steps` as it has.
    pub(crate) fn open(
        &self,
        steps: &'static mut [Step<Weights<'static>>],
    ) -> Result<(Model, Option<ModelCard<'static>>), Fault> {
        if let Some(card) = self.program() {
            let network = Network::from_artifact(&self.artifact, card, steps)?;
            return Ok((Model::Program(network, card.architecture), self.card));
        }
        let model = ResidualMlp::from_artifact(&self.artifact)?;
        if self.card.is_some() {
            // That it speaks of these tensors.
            model.card(&self.artifact)?;
        }
        Ok((Model::Mlp(model), self.card))
    }
}
