"""A diffusion policy at random weights as a folder (config.json, model.safetensors), and what diffusers samples with it.

    python policy.py FOLDER [--naming lerobot|original] [--horizon 16] [--widths 64,128,256] [--actions 2] [--condition 20]
        [--batch 2] [--embedding 64] [--groups 8]

FOLDER/reference.safetensors holds the start, the condition and, for DDIM of 10 and 16 steps and DDPM of all 100, the noise that the
scheduler drew and its samples.
"""

import argparse
import json
from pathlib import Path

import torch
from diffusers import DDIMScheduler, DDPMScheduler
from safetensors.torch import save_file

from policy_layout import build, state_dict


@torch.no_grad()
def sample(model, scheduler, steps, start, condition, seed):
    """What the scheduler samples, and the noise it drew, [steps, batch, horizon, actions]."""
    scheduler.set_timesteps(steps)
    generator, same = (torch.Generator().manual_seed(seed) for _ in range(2))
    x, drawn = start.clone(), []
    for t in scheduler.timesteps:
        out = model(x, torch.full((len(x),), float(t)), condition)
        # The last step draws none; what is kept for it is not used.
        drawn.append(torch.randn(x.shape, generator=same))
        x = scheduler.step(out, t, x, generator=generator).prev_sample
    return x, torch.stack(drawn)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--naming", choices=["lerobot", "original"], default="lerobot")
    parser.add_argument("--horizon", type=int, default=16)
    parser.add_argument("--widths", default="64,128,256")
    parser.add_argument("--actions", type=int, default=2)
    parser.add_argument("--condition", type=int, default=20)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--embedding", type=int, default=64)
    parser.add_argument("--groups", type=int, default=8)
    args = parser.parse_args()
    schedule = dict(num_train_timesteps=100, beta_schedule="squaredcos_cap_v2", beta_start=1e-4, beta_end=0.02,
                    prediction_type="epsilon", clip_sample=True, clip_sample_range=1.0)
    config = dict(type="diffusion", horizon=args.horizon, n_obs_steps=2, n_action_steps=args.horizon // 2,
                  down_dims=[int(w) for w in args.widths.split(",")], kernel_size=5, n_groups=args.groups,
                  diffusion_step_embed_dim=args.embedding, use_film_scale_modulation=True,
                  noise_scheduler_type="DDIM", num_inference_steps=10, **schedule)
    args.folder.mkdir(parents=True, exist_ok=True)
    (args.folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    model = build(config, args.actions, args.condition)
    prefix = "diffusion.unet." if args.naming == "lerobot" else "model."
    save_file(state_dict(model, args.naming, prefix), args.folder / "model.safetensors")

    torch.manual_seed(1)
    start = torch.randn(args.batch, args.horizon, args.actions)
    condition = torch.randn(args.batch, args.condition)
    found = {"start": start, "condition": condition}
    for name, scheduler, steps in (("ddim10", DDIMScheduler, 10), ("ddim16", DDIMScheduler, 16),
                                   ("ddpm10", DDPMScheduler, 10), ("ddpm16", DDPMScheduler, 16), ("ddpm100", DDPMScheduler, 100)):
        found[name], noise = sample(model, scheduler(**schedule), steps, start, condition, 2)
        if name.startswith("ddpm"):
            found[f"{name}.noise"] = noise
    save_file({name: tensor.contiguous() for name, tensor in found.items()}, args.folder / "reference.safetensors")


if __name__ == "__main__":
    main()
