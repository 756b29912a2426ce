//! What a model was trained for, as its metadata says.

use picardy::nn::{CardError, ModelCard, key};

use crate::{denoiser::OrtDenoiser, session::Model};

/// Why a model's metadata cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// A key is missing or wrong.
    #[error(transparent)]
    Card(#[from] CardError),
    /// The metadata and the graph disagree.
    #[error(
        "the metadata says that an item has the shape {card:?}, and the graph takes {graph:?}: export the model again"
    )]
    Shape {
        /// The metadata's.
        card: Vec<usize>,
        /// The graph's.
        graph: Vec<usize>,
    },
}

impl Model {
    /// The card in the model's metadata; `None` where it has none, as a model of another's making.
    ///
    /// # Errors
    /// [`CardError`]: there is a card and it is wrong.
    pub fn card(&self) -> Result<Option<ModelCard<'_>>, CardError> {
        match ModelCard::from_lookup(|key| self.metadata().get(key).map(String::as_str)) {
            Ok(card) => Ok(Some(card)),
            Err(CardError::Missing { key: key::VERSION }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl OrtDenoiser {
    /// The model's [card](Model::card), which agrees with the graph about the shape of an item.
    ///
    /// # Errors
    /// [`MetadataError`].
    pub fn card(&self) -> Result<Option<ModelCard<'_>>, MetadataError> {
        let Some(card) = self.model().card()? else { return Ok(None) };
        let shape: Vec<usize> = card.shape.iter().map(|extent| extent as usize).collect();
        // A vector of 12 and an image of 3 by 4 hold the same numbers, but no two exports of one model.
        if shape != self.item_shape() {
            return Err(MetadataError::Shape { card: shape, graph: self.item_shape().to_vec() });
        }
        Ok(Some(card))
    }
}
