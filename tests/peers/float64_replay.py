#!/usr/bin/env python3
"""Replays cases of DEIS, DPM-Solver++ and UniPC by diffusers' own code, with float64 in place of some or all of its float32.

    python tests/peers/float64_replay.py PATH/TO/generate.py CASES.json [--write OUT.json] [NAME ...]

One line a case: name, then the largest distance from the case's trajectory, divided by the state's largest magnitude, of

  as is      the oracle unchanged: 0, or the digits of the file; else the case is not reproduced
  first      float32 kept only in the first step
  convert    float32 kept only where the network's output is converted
  update     float32 kept only in the update of the state
  steps      float64 in all arithmetic of the steps; sigmas as the oracle's float32 tables have them
  all        float64 in the tables too

and the first step at which `steps` is more than 2e-4 off. Without names: all cases of these solvers. `--write` gives the cases
with the trajectory of `all` as the expected one: the conformance program on that file compares ours with diffusers in float64.

Needs diffusers and torch, and the public generate.py, whose runner it uses; takes cases as that writes them (not those of
more_cases.py). tests/CONFORMANCE.md has what it found.
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
p.add_argument("cases")
p.add_argument("names", nargs="*")
p.add_argument("--write")
a = p.parse_intermixed_args()
spec = importlib.util.spec_from_file_location("generate", a.generator)
G = importlib.util.module_from_spec(spec)
spec.loader.exec_module(G)

CLASSES = {"deis": S.DEISMultistepScheduler, "unipc": S.UniPCMultistepScheduler,
           "dpmsolver++": S.DPMSolverMultistepScheduler, "sde-dpmsolver++": S.DPMSolverMultistepScheduler}
TOLERANCE = 2e-4


class Double:
    """A module whose float32 is its float64."""

    def __init__(self, of):
        self.of = of

    def __getattr__(self, name):
        return getattr(self.of, "float64" if name == "float32" else name)


class Recorded:
    """Stands in for the generator's random numbers: the case's noise again."""

    def __init__(self, noise):
        self.noise = iter(noise)

    def normal(self, size):
        return np.asarray(next(self.noise)).reshape(size)


def mixture(model):
    mix = G.Mixture.__new__(G.Mixture)
    mix.means, mix.weights, mix.std = np.asarray(model["means"]), np.asarray(model["weights"]), model["std"]
    return mix


def scheduler(case):
    s, v = case["schedule"], case["solver"]
    kw = dict(num_train_timesteps=s["train_steps"], beta_schedule=s["beta_schedule"], beta_start=s["beta_start"],
              beta_end=s["beta_end"], timestep_spacing=s["spacing"], use_karras_sigmas=s["karras_sigmas"],
              prediction_type=case["prediction"], solver_order=v["order"])
    if v["kind"] != "deis":
        kw["solver_type"] = v["variant"]
    if v["kind"].endswith("dpmsolver++"):
        kw["algorithm_type"] = v["kind"]
    return CLASSES[v["kind"]](**kw)


def float32_where(sched, method, here):
    """`method` of `sched` computes in float32, as it does in the oracle, in the steps of which `here` says so."""
    plain = getattr(sched, method)

    def wrapped(*args, **kw):
        if not here(sched.step_index):
            return plain(*args, **kw)
        kept, sched.sigmas = sched.sigmas, sched.sigmas.float()
        torch.set_default_dtype(torch.float32)
        try:
            return plain(*args, **kw)
        finally:
            sched.sigmas = kept
            torch.set_default_dtype(torch.float64)

    setattr(sched, method, wrapped)


def replay(case, mode):
    module = sys.modules[CLASSES[case["solver"]["kind"]].__module__]
    try:
        if mode != "as is":
            torch.set_default_dtype(torch.float64)
        if mode == "all":
            module.torch, module.np = Double(torch), Double(np)
        sched = scheduler(case)
        if mode not in ("as is", "all"):
            plain = sched.set_timesteps

            def set_timesteps(*args, **kw):
                plain(*args, **kw)
                sched.sigmas = sched.sigmas.double()
                module.torch = Double(torch)  # DPM-Solver++ casts the state to float32 in each step

            sched.set_timesteps = set_timesteps
        updates = [method for method in dir(sched) if method.endswith("_update")]
        for method in ["convert_model_output"] * (mode in ("first", "convert")) + updates * (mode in ("first", "update")):
            float32_where(sched, method, lambda step: mode != "first" or step == 0)
        x = torch.tensor(case["init"], dtype=torch.float64)
        got = G.run(sched, mixture(case["model"]), case["prediction"], x, case["steps"], Recorded(case["noise"]), "vp")
        if got is None:
            sys.exit(f"{case['name']}: in the mode {mode} two nodes have one timestep")
        return np.asarray(got[0]), got[1]
    finally:
        module.torch, module.np = torch, np
        torch.set_default_dtype(torch.float32)


file = json.load(open(a.cases))
cases = [c for c in file["cases"] if c["solver"]["kind"] in CLASSES and (not a.names or c["name"] in a.names)]
missing = set(a.names) - {c["name"] for c in cases}
if missing:
    sys.exit(f"no such cases of DEIS, DPM-Solver++ or UniPC: {sorted(missing)}")
modes = ["as is", "first", "convert", "update", "steps", "all"]
print(f"{'case':<20}" + "".join(f"{mode:>10}" for mode in modes) + "  first step off")
for case in cases:
    expected = np.asarray(case["trajectory"])
    scale = max(np.abs(expected).max(), np.abs(case["init"]).max())
    runs = {mode: replay(case, mode) for mode in modes}
    error = {mode: np.abs(run[0] - expected).max(axis=(1, 2)) / scale for mode, run in runs.items()}
    off = next((f"{i + 1} of {case['steps']}" for i, e in enumerate(error["steps"]) if e > TOLERANCE), "none")
    print(f"{case['name']:<20}" + "".join(f"{error[mode].max():>10.1e}" for mode in modes) + f"  {off}")
    trajectory, seen = runs["all"]
    case.update(trajectory=trajectory.tolist(), final=trajectory[-1].tolist(), levels=seen)
if a.write:
    json.dump(dict(file, cases=cases), open(a.write, "w"))
