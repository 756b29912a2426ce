#!/usr/bin/env python3
"""More reference cases, in the format of tests/CONFORMANCE.md: solvers and schedules that the public generator leaves out.

    python tests/peers/more_cases.py PATH/TO/generate.py --seed 0 > tests/data/more_cases.json

Needs diffusers, torch and scipy, and the public generate.py, whose runner it uses. Kinds: `lms`, `pndm`, `lcm`, `tcd` (eta),
`dpmsolver++single` (order); schedules: `exponential_sigmas`, `beta_sigmas`, `steps_offset`, `zero_snr`, `final_sigmas_type`.
"""
import argparse
import importlib.util
import json
import sys

import numpy as np
import torch
from diffusers import schedulers as S

p = argparse.ArgumentParser()
p.add_argument("generator")
p.add_argument("--seed", type=int, default=0)
a = p.parse_args()
spec = importlib.util.spec_from_file_location("generate", a.generator)
G = importlib.util.module_from_spec(spec)
spec.loader.exec_module(G)
rng = np.random.default_rng(a.seed)
out = []


def add(solver, sched, pred, steps, schedule, wrap=lambda s: s):
    dim, batch = int(rng.integers(1, 6)), int(rng.integers(1, 4))
    mix = G.Mixture(rng, dim)
    x = rng.normal(size=(batch, dim)) * float(sched.init_noise_sigma)
    got = G.run(wrap(sched), mix, pred, torch.tensor(x, dtype=G.F64), steps, rng, "vp")
    if got is None or not np.isfinite(np.asarray(got[3])).all():
        return print("no case:", solver, schedule, file=sys.stderr)
    traj, seen, noise, final = got
    out.append(dict(name=f"{solver['kind']}-{len(out)}", solver=solver, schedule=schedule, prediction=pred, steps=steps,
                    dim=dim, batch=batch, model=mix.to_json(), init=x.tolist(), noise=noise, levels=seen,
                    trajectory=traj, final=final))


for steps in (4, 10):
    for name, lo, hi in (("linear", 1e-4, 2e-2), ("scaled_linear", 0.00085, 0.012)):
        s = dict(kind="ddpm", train_steps=1000, beta_schedule=name, beta_start=lo, beta_end=hi)
        c = dict(num_train_timesteps=1000, beta_schedule=name, beta_start=lo, beta_end=hi)
        pred = str(rng.choice(["epsilon", "v_prediction"]))
        for spacing in ("trailing", "leading", "linspace"):
            sp = dict(s, spacing=spacing)
            add(dict(kind="lms", order=4), S.LMSDiscreteScheduler(**c, prediction_type=pred, timestep_spacing=spacing), pred, steps, sp)
        d = dict(s, spacing="distilled")
        add(dict(kind="lcm"), S.LCMScheduler(**c, prediction_type=pred, clip_sample=False), pred, steps, d)
        for eta in (0.0, 0.3, 1.0):
            add(dict(kind="tcd", eta=eta), S.TCDScheduler(**c, prediction_type=pred, clip_sample=False), pred, steps, d, lambda k: G.Eta(k, eta))
        for order, variant in ((2, "midpoint"), (3, "heun")):
            # always spaced so, whatever is asked
            add(dict(kind="dpmsolver++single", order=order),
                S.DPMSolverSinglestepScheduler(**c, prediction_type=pred, solver_order=order, solver_type=variant, lower_order_final=True), pred, steps,
                dict(s, spacing="linspace_open"))
        for curve in ("exponential", "beta"):
            kw = {f"use_{curve}_sigmas": True}
            sp = dict(s, spacing="trailing", **{f"{curve}_sigmas": True})
            add(dict(kind="euler"), S.EulerDiscreteScheduler(**c, **kw, prediction_type=pred, timestep_spacing="trailing"), pred, steps, sp)
            add(dict(kind="heun"), S.HeunDiscreteScheduler(**c, **kw, prediction_type=pred, timestep_spacing="trailing"), pred, steps, sp)
            add(dict(kind="dpmsolver++", order=2, variant="midpoint"),
                S.DPMSolverMultistepScheduler(**c, **kw, prediction_type=pred, timestep_spacing="trailing"), pred, steps, sp)
        sp = dict(s, spacing="leading", steps_offset=1)
        add(dict(kind="euler"), S.EulerDiscreteScheduler(**c, prediction_type=pred, timestep_spacing="leading", steps_offset=1), pred, steps, sp)
        add(dict(kind="unipc", order=2, variant="bh2"),
            S.UniPCMultistepScheduler(**c, prediction_type=pred, timestep_spacing="leading", steps_offset=1), pred, steps, sp)
        sp = dict(s, spacing="trailing", final_sigmas_type="sigma_min")
        for order in (2, 3):
            add(dict(kind="dpmsolver++", order=order, variant="midpoint"),
                S.DPMSolverMultistepScheduler(**c, prediction_type=pred, solver_order=order, timestep_spacing="trailing", final_sigmas_type="sigma_min"), pred, steps, sp)
        sp = dict(s, spacing="trailing", zero_snr=True)
        add(dict(kind="ddim", eta=0.0), G.Eta(S.DDIMScheduler(**c, prediction_type="v_prediction", clip_sample=False,
            timestep_spacing="trailing", rescale_betas_zero_snr=True), 0.0), "v_prediction", steps, sp)

# After the cases above, whose random numbers so stay as they were: DDIM where n does not divide T and under linspace, where
# diffusers steps to t - T // n and not to the next timestep; DDPM with the large variance, which draws in its last step
# unless that starts at timestep 0.
for steps, spacing in ((15, "trailing"), (33, "trailing"), (3, "trailing"), (7, "trailing"), (10, "linspace"), (25, "linspace"),
                       (15, "leading")):
    for name, lo, hi in (("linear", 1e-4, 2e-2), ("scaled_linear", 0.00085, 0.012)):
        last_one, offset = bool(rng.integers(2)), int(spacing == "leading")
        # leading with an offset not below T // n: the last step goes to timestep 0
        T = 20 if spacing == "leading" else 1000
        pred, eta = str(rng.choice(["epsilon", "sample", "v_prediction"])), float(rng.choice([0.0, 0.5, 1.0]))
        s = dict(kind="ddpm", train_steps=T, beta_schedule=name, beta_start=lo, beta_end=hi, spacing=spacing, steps_offset=offset,
                 final_alpha_one=last_one)
        c = dict(num_train_timesteps=T, beta_schedule=name, beta_start=lo, beta_end=hi)
        add(dict(kind="ddim", eta=eta), G.Eta(S.DDIMScheduler(**c, prediction_type=pred, clip_sample=False, timestep_spacing=spacing,
            steps_offset=offset, set_alpha_to_one=last_one), eta), pred, steps, s)
for steps, spacing, offset in ((10, "trailing", 0), (7, "trailing", 0), (10, "leading", 0), (10, "leading", 1), (10, "linspace", 0)):
    pred = str(rng.choice(["epsilon", "sample", "v_prediction"]))
    s = dict(kind="ddpm", train_steps=1000, beta_schedule="linear", beta_start=1e-4, beta_end=2e-2, spacing=spacing, steps_offset=offset)
    add(dict(kind="ddpm", variance="fixed_large"), S.DDPMScheduler(prediction_type=pred, clip_sample=False, variance_type="fixed_large",
        timestep_spacing=spacing, steps_offset=offset), pred, steps, s)

# Zero terminal SNR where the oracle keeps alpha_bar at 2^-24, with and without Karras' curve.
for kind, cls, kw in (("euler", S.EulerDiscreteScheduler, {}), ("euler_ancestral", S.EulerAncestralDiscreteScheduler, {}),
                      ("dpmsolver++", S.DPMSolverMultistepScheduler, dict(order=2, variant="midpoint")),
                      ("sde-dpmsolver++", S.DPMSolverMultistepScheduler, dict(order=2, variant="midpoint")),
                      ("unipc", S.UniPCMultistepScheduler, dict(order=2, variant="bh2"))):
    for karras in (False, True):
        if karras and kind == "euler_ancestral":
            continue
        s = dict(kind="ddpm", train_steps=1000, beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, spacing="trailing",
                 zero_snr=True)
        c = dict(num_train_timesteps=1000, beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012,
                 timestep_spacing="trailing", rescale_betas_zero_snr=True, prediction_type="v_prediction")
        if karras:
            s["karras_sigmas"] = c["use_karras_sigmas"] = True
        if kind == "sde-dpmsolver++":
            c["algorithm_type"] = kind
        add(dict(kind=kind, **kw), cls(**c), "v_prediction", 10, s)


class Twice:
    """PNDM visits a timestep twice on purpose; the generator lets Heun do that."""

    def __init__(self, inner):
        self.__dict__["inner"] = inner

    def __getattr__(self, name):
        return getattr(self.inner, name)

    @property
    def __class__(self):
        return S.HeunDiscreteScheduler


for steps, spacing in ((1, "leading"), (2, "leading"), (3, "leading"), (4, "leading"), (20, "leading"), (10, "trailing"), (7, "trailing"),
                       (10, "linspace")):
    offset, last_one = int(spacing == "leading"), bool(rng.integers(2))
    s = dict(kind="ddpm", train_steps=1000, beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, spacing=spacing,
             steps_offset=offset, final_alpha_one=last_one)
    c = dict(num_train_timesteps=1000, beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
    add(dict(kind="pndm"), Twice(S.PNDMScheduler(**c, skip_prk_steps=True, set_alpha_to_one=last_one, steps_offset=offset,
        timestep_spacing=spacing)), "epsilon", steps, s)

json.dump(dict(version=1, oracle=f"diffusers {G.diffusers.__version__}", cases=out), sys.stdout)
