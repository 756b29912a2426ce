"""What a step of diffusers' schedulers costs outside of the model: batch 1, 50 steps, one thread.

The model, the schedule and the start are those of `step_overhead` in picardy-tests. Prints one JSON object: for each
solver the median microseconds per step, and the first numbers of what the run gave.
"""

import argparse
import json
import statistics
import time

import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler

STEPS = 50


def measure(scheduler, dim, runs):
    abar = scheduler.alphas_cumprod.double()
    a2, s2 = abar.tolist(), (1 - abar).tolist()
    start = ((torch.arange(dim) % 16).float() - 7.5) / 8
    micros = []
    for run in range(runs + 3):
        scheduler.set_timesteps(STEPS)
        timesteps = scheduler.timesteps
        x = start[None].clone()
        inside = 0.0
        begin = time.perf_counter()
        for t in timesteps:
            shown = scheduler.scale_model_input(x, t)
            enter = time.perf_counter()
            i = int(t)
            eps = shown * (s2[i] ** 0.5 / (a2[i] + s2[i]))
            inside += time.perf_counter() - enter
            x = scheduler.step(eps, t, x).prev_sample
        total = time.perf_counter() - begin
        if run >= 3:
            micros.append((total - inside) * 1e6 / len(timesteps))
    return {"microseconds": statistics.median(micros), "sample": x[0, :4].tolist()}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dim", type=int, default=16)
    parser.add_argument("--runs", type=int, default=20)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    common = {"timestep_spacing": "trailing"}
    with torch.no_grad():
        result = {
            "ddim": measure(DDIMScheduler(clip_sample=False, **common), args.dim, args.runs),
            "ddpm": measure(DDPMScheduler(clip_sample=False, **common), args.dim, args.runs),
            "dpmsolver++": measure(DPMSolverMultistepScheduler(**common), args.dim, args.runs),
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
