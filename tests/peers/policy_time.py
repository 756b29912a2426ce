"""The time of diffusers' DDIM with a diffusion policy's U-Net in PyTorch, batch 1, one thread.

    python policy_time.py POLICY [--runs 50] [--steps 10]

The counterpart of `policy_bench` in picardy-tests: POLICY is a folder that policy.py made with --batch 1. Prints one JSON object: milliseconds of a
run, the median on the clock and the mean on the core, and the plan.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import torch
from diffusers import DDIMScheduler
from safetensors.torch import load_file

from policy_layout import build

SCHEDULE = ("num_train_timesteps", "beta_schedule", "beta_start", "beta_end", "prediction_type", "clip_sample",
            "clip_sample_range")


@torch.inference_mode()
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("policy", type=Path)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--steps", type=int, default=10)
    args = parser.parse_args()
    torch.set_num_threads(1)
    config = json.loads((args.policy / "config.json").read_text())
    reference = load_file(args.policy / "reference.safetensors")
    start, condition = reference["start"], reference["condition"]
    # The same weights: policy.py draws them from this seed, in this order.
    model = build(config, start.shape[-1], condition.shape[-1])
    scheduler = DDIMScheduler(**{key: config[key] for key in SCHEDULE})

    def run():
        scheduler.set_timesteps(args.steps)
        x = start
        for t in scheduler.timesteps:
            x = scheduler.step(model(x, torch.full((1,), float(t)), condition), t, x).prev_sample
        return x

    for _ in range(-(-args.runs // 10)):
        run()
    walls, before = [], time.thread_time()
    for _ in range(args.runs):
        began = time.perf_counter()
        plan = run()
        walls.append((time.perf_counter() - began) * 1e3)
    core = (time.thread_time() - before) * 1e3 / args.runs
    result = {"wall": statistics.median(walls), "core": core, "plan": plan.flatten().tolist(),
              "parameters": sum(p.numel() for p in model.parameters())}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
