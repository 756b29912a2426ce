"""The U-Net over actions of a diffusion policy, with LeRobot's or Diffusion Policy's own names, at random weights.

Only the layout is theirs: which module has which name and shape. The network itself is networks.py's, whose parameters are given
those names.
"""

import sys
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))
from networks import Unet1d  # noqa: E402


def residual(block, naming, prefix):
    """(their name, module) of a residual block."""
    for which, part in ((1, block.first), (2, block.second)):
        stem = f"{prefix}.conv{which}.block" if naming == "lerobot" else f"{prefix}.blocks.{which - 1}.block"
        yield f"{stem}.0", part.conv
        yield f"{stem}.1", part.norm
    yield f"{prefix}.cond_encoder.1", block.film
    if not isinstance(block.past, nn.Identity):
        yield f"{prefix}.residual_conv", block.past


def state_dict(model: Unet1d, naming: str, prefix: str):
    """The parameters under their names."""
    resized = "2" if naming == "lerobot" else "2.conv"
    pairs = [("diffusion_step_encoder.1", model.fc1), ("diffusion_step_encoder.3", model.fc2)]
    for i, blocks in enumerate(model.down):
        for k, block in enumerate(blocks):
            pairs += residual(block, naming, f"down_modules.{i}.{k}")
        if i < len(model.halve):
            pairs.append((f"down_modules.{i}.{resized}", model.halve[i]))
    for k, block in enumerate(model.mid):
        pairs += residual(block, naming, f"mid_modules.{k}")
    for j, i in enumerate(reversed(range(len(model.up)))):
        for k, block in enumerate(model.up[i]):
            pairs += residual(block, naming, f"up_modules.{j}.{k}")
        pairs.append((f"up_modules.{j}.{resized}", model.doubles[i]))
    pairs += [("final_conv.0.block.0", model.output.conv), ("final_conv.0.block.1", model.output.norm)]
    pairs.append(("final_conv.1", model.last))
    found = {}
    for name, module in pairs:
        for which in ("weight", "bias"):
            found[f"{prefix}{name}.{which}"] = getattr(module, which).detach().clone().contiguous()
    assert len(found) == len(list(model.parameters()))
    return found


def build(config, actions, condition, seed=0):
    """A network of a config.json's sizes, with weights that do not vanish in the norms."""
    torch.manual_seed(seed)
    model = Unet1d(
        actions,
        config["down_dims"],
        config["diffusion_step_embed_dim"],
        config["kernel_size"],
        config["n_groups"],
        config["use_film_scale_modulation"],
        condition,
    )
    for parameter in model.parameters():
        if parameter.dim() == 1:
            nn.init.normal_(parameter, mean=float((parameter == 1).all()), std=0.1)
    return model.eval()
