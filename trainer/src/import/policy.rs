//! A diffusion policy (arXiv 2303.04137): its U-Net over actions.

use super::policy_weights::Weights;
use super::{ImportError, PolicyConfig};
use crate::model::{Network, NetworkConfig, NetworkKind};
use crate::train::WeightsError;
use picardy::nn::{ModelCard, Numbers, WeightFormat};
use safetensors::SafeTensors;
use std::path::Path;

/// The U-Net of a trained diffusion policy, ready to run, to export and to train on.
///
/// It takes a plan of normalised actions [horizon, action], the timestep and the observation's features, which are the
/// condition: what the policy's own encoders make of cameras and joints, over all its observed steps, in its order. Those encoders
/// and the normalisation of actions stay where they are.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The U-Net.
    pub network: Network<f32>,
    /// The configuration it came with.
    pub config: PolicyConfig,
    /// What both of its files say of it, [`ModelCard`]'s entries.
    pub metadata: Vec<(String, String)>,
}

impl Policy {
    /// Reads a folder with `config.json` and `model.safetensors`, as LeRobot saves a policy. The tensors may have LeRobot's names
    /// or Diffusion Policy's own, any prefix before them, and other networks' beside them.
    ///
    /// # Errors
    /// [`ImportError`], which names the file and the mend, and every tensor that is missing, left over, of another shape or not finite.
    pub fn read(folder: &Path) -> Result<Self, ImportError> {
        let path = folder.join("config.json");
        let config = PolicyConfig::read(&path)?;
        let (schedule, prediction) = (config.schedule(&path)?, config.prediction(&path)?);
        let path = folder.join("model.safetensors");
        let bytes = std::fs::read(&path).map_err(|error| WeightsError::File { path: path.clone(), error })?;
        let format = |reason: String| WeightsError::Format { path: path.clone(), reason };
        let file = SafeTensors::deserialize(&bytes).map_err(|error| {
            format(format!(
                "it is no safetensors file ({error}); convert it with safetensors.torch.save_file"
            ))
        })?;
        let mut weights = Weights::find(&file).ok_or_else(|| {
            format(
                "it holds no tensor named `..diffusion_step_encoder.1.weight`: give the weights of a diffusion policy \
                 whose network is the U-Net over actions"
                    .to_owned(),
            )
        })?;
        // What the configuration does not say is in the shapes.
        let rank_of = |name: &str, rank: usize| match weights.shape(name) {
            Some(shape) if shape.len() == rank => Ok(shape),
            _ => Err(format(format!("`{name}` is missing or has not {rank} axes"))),
        };
        let actions = rank_of("final_conv.1.weight", 3)?[0];
        let told = rank_of("mid_modules.0.cond_encoder.1.weight", 2)?[1];
        let condition = told.checked_sub(config.diffusion_step_embed_dim).ok_or_else(|| {
            let embedding = config.diffusion_step_embed_dim;
            format(format!(
                "a block is told {told} numbers, and diffusion_step_embed_dim alone is {embedding}"
            ))
        })?;
        let kind = NetworkKind::Unet1d {
            widths: config.down_dims.clone(),
            embedding: config.diffusion_step_embed_dim,
            kernel: config.kernel_size,
            groups: config.n_groups,
            scale: config.use_film_scale_modulation,
        };
        let shape = vec![config.horizon, actions];
        let architecture = kind.architecture()?;
        let mut network =
            Network::<f32>::new(NetworkConfig { shape: shape.clone(), condition, architecture }, 1, 0)?;

        let mut wrong = Vec::new();
        let layout = network.layout().to_vec();
        for parameter in &layout {
            let out = &mut network.parameters_mut()[parameter.range.clone()];
            let read = match weights.source(&parameter.name, config.down_dims.len()) {
                Some(source) => weights.read(&source, &parameter.shape, out),
                None => Err(format!("nothing is known to become `{}`", parameter.name)),
            };
            wrong.extend(read.err());
        }
        wrong.extend(weights.left().into_iter().map(|name| format!("`{name}` is left over")));
        wrong.dedup();
        if !wrong.is_empty() {
            return Err(WeightsError::Tensors { path, wrong }.into());
        }

        let list = |value: &str| vec![value; config.horizon * actions].join(",");
        let (shape, mean, scale) = (format!("{},{actions}", config.horizon), list("0"), list("1"));
        let (Some(shape), Some(data_mean), Some(data_scale)) =
            (Numbers::new(&shape), Numbers::new(&mean), Numbers::new(&scale))
        else {
            return Err(format(format!(
                "plans of the shape {shape} have no description: they have too many axes or numbers"
            ))
            .into());
        };
        let card = ModelCard {
            architecture,
            condition,
            schedule: schedule.into(),
            prediction,
            shape,
            loss: "standard",
            seed: 0,
            data_mean,
            data_scale,
            data_variance: 1.0,
            weights: WeightFormat::F32,
        };
        let mut metadata = Vec::new();
        card.entries(|key, value| metadata.push((key.to_owned(), value.to_string())));
        Ok(Self { network, config, metadata })
    }
}
