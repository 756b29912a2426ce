"""The peer of a parallel run: ParaDiGMS as published, over an ONNX model.

ParaDiGMS (arXiv 2305.16317, algorithm 1) solves a run of DDPM or DDIM by Picard iteration in a sliding window. This
script runs it with diffusers' DDPMParallelScheduler and DDIMParallelScheduler and Python's onnxruntime, beside the plain
loop of steps on the same noise, and prints one JSON object a line: one for every seed and tolerance.

    rounds          batched calls of the model
    evaluations     evaluations per item: the sum of the rounds' window lengths
    sequential_s    seconds of the plain loop (the median of --repeat runs, as all seconds)
    parallel_s      seconds of the parallel run
    loop_s          the part of parallel_s outside of the model: all but the calls of onnxruntime and the conversion of
                    tensors to what it takes
    mean_abs_diff, max_abs_diff    the two results' distance, over items and coordinates

--save FILE.npz writes `init` [batch, dims], `noise` [steps, batch, dims] (unit normals in the order of their use),
`sequential` and `parallel` [batch, dims]: another program can run on the same noise. It takes one seed and one tolerance.

The model's first input is x [rows, dims] (float32), its second the timestep [rows] or [rows, 1] (float32 or int64), its
first output the predicted noise.

    pip install torch diffusers onnxruntime numpy
    python parallel.py MODEL.onnx --solver ddpm --steps 1000 --tolerance 0.1,0.05 --window 64 --seeds 0,1,2
"""

import argparse
import json
import statistics
import sys
import time

import numpy as np
import onnxruntime
import torch
from diffusers import DDIMParallelScheduler, DDPMParallelScheduler

TRAIN_STEPS = 1000


class Model:
    """The ONNX model, and the seconds spent in it."""

    def __init__(self, path, threads, provider):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(path, options, providers=[provider])
        inputs = self.session.get_inputs()
        if len(inputs) < 2:
            sys.exit(f"{path} has {len(inputs)} input(s); give a model of x and t")
        self.x, self.t = inputs[0], inputs[1]
        self.item = list(self.x.shape[1:])
        free = [extent for extent in self.item if not isinstance(extent, int)]
        if free:
            sys.exit(f"{path}: the extents {free} of `{self.x.name}` are free; export the model with fixed ones")
        self.time_type = np.int64 if self.t.type == "tensor(int64)" else np.float32
        self.seconds = 0.0

    def __call__(self, x, t):
        """eps [rows, dims] at x [rows, dims] and t [rows], as tensors."""
        begin = time.perf_counter()
        times = t.numpy().astype(self.time_type)
        if len(self.t.shape) == 2:
            times = times[:, None]
        (eps, *_) = self.session.run(None, {self.x.name: x.numpy().astype(np.float32), self.t.name: times})
        eps = torch.from_numpy(eps)
        self.seconds += time.perf_counter() - begin
        return eps


class Problem:
    """A solver's steps and one draw of noise: what both loops solve."""

    def __init__(self, model, args, seed):
        self.model = model
        stochastic = args.solver == "ddpm"
        scheduler = DDPMParallelScheduler if stochastic else DDIMParallelScheduler
        self.scheduler = scheduler(
            num_train_timesteps=TRAIN_STEPS,
            beta_schedule=args.beta_schedule,
            clip_sample=False,
            timestep_spacing="trailing",
        )
        self.scheduler.set_timesteps(args.steps)
        self.timesteps = self.scheduler.timesteps
        self.steps, self.batch = len(self.timesteps), args.batch
        if stochastic:
            variances = [self.scheduler._get_variance(t) for t in self.timesteps]
        else:
            stride = TRAIN_STEPS // args.steps
            variances = [self.scheduler._get_variance(t, t - stride) for t in self.timesteps]
        # The tolerance is in units of the step's noise: DDIM has none, and takes the noise that eta = 1 would add.
        self.variances = torch.tensor([float(variance) for variance in variances])
        torch.manual_seed(seed)
        self.init = torch.randn(self.batch, *model.item)
        self.noise = torch.randn(self.steps, self.batch, *model.item)
        deviations = self.variances.sqrt() if stochastic else torch.zeros(self.steps)
        self.added = self.noise * deviations.reshape(-1, *[1] * self.init.dim())

    def step(self, first, states):
        """The states after one step each, without noise: states [n, batch, dims] stand at steps first .. first + n."""
        n = len(states)
        rows = states.flatten(0, 1)
        times = self.timesteps[first : first + n].repeat_interleave(self.batch)
        eps = self.model(rows, times)
        after = self.scheduler.batch_step_no_noise(model_output=eps, timesteps=times, sample=rows)
        return after.reshape(states.shape)

    def sequential(self):
        x = self.init
        for i in range(self.steps):
            x = self.step(i, x[None])[0] + self.added[i]
        return x

    def parallel(self, tolerance, window):
        """The sample, the rounds and the evaluations per item."""
        steps, window = self.steps, min(window or self.steps, self.steps)
        # path[i] is the guess of the state before step i.
        path = self.init.repeat(steps + 1, *[1] * self.init.dim())
        # State i is judged by the variance of step i, the one that leaves it. No step leaves the last state: its weight is
        # infinite, which changes nothing, because the run ends with it.
        weights = 1.0 / torch.cat([self.variances, torch.zeros(1)]) / self.init[0].numel()
        begin, rounds, evaluations = 0, 0, 0
        while begin < steps:
            end = min(begin + window, steps)
            old = path[begin:end]
            drift = self.step(begin, old) - old
            new = path[begin] + (drift.cumsum(0) + self.added[begin:end].cumsum(0))
            change = (new - path[begin + 1 : end + 1]).flatten(2).norm(dim=-1).square()
            errors = change * weights[begin + 1 : end + 1, None]
            unsettled = (errors > tolerance**2).any(1).tolist() + [True]
            # The first unsettled state has come from settled ones: it is right, and the next window begins there.
            advance = min(1 + unsettled.index(True), window)
            path[begin + 1 : end + 1] = new
            begin = begin + advance
            # States that come into the window are guessed to be its last.
            path[end : min(begin + window, steps) + 1] = path[end].clone()
            rounds, evaluations = rounds + 1, evaluations + len(old)
        return path[-1], rounds, evaluations


def timed(model, repeat, run):
    """What the run gives, its median seconds, and the median of those outside of the model."""
    whole, outside = [], []
    for _ in range(repeat):
        model.seconds = 0.0
        begin = time.perf_counter()
        result = run()
        whole.append(time.perf_counter() - begin)
        outside.append(whole[-1] - model.seconds)
    return result, statistics.median(whole), statistics.median(outside)


def several(kind):
    """The parser of a list with commas."""
    return lambda text: [kind(part) for part in text.split(",")]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--solver", choices=["ddpm", "ddim"], default="ddpm")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--tolerance", type=several(float), default=[0.1], help="one, or several with commas")
    parser.add_argument("--window", type=int, default=0, help="steps in a round; 0 is all of them")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seed", "--seeds", type=several(int), default=[0], help="one, or several with commas")
    parser.add_argument("--threads", type=int, default=1, help="of onnxruntime and of PyTorch")
    parser.add_argument("--provider", default="CPUExecutionProvider")
    parser.add_argument("--beta-schedule", default="linear")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--save", default="", metavar="FILE.npz")
    args = parser.parse_args()
    if args.save and len(args.seed) * len(args.tolerance) != 1:
        parser.error(f"--save with {len(args.seed)} seeds and {len(args.tolerance)} tolerances: give one of each")
    for name in ("steps", "batch", "repeat"):
        if getattr(args, name) < 1:
            parser.error(f"--{name} {getattr(args, name)}: give at least 1")
    if args.window < 0 or args.steps > TRAIN_STEPS:
        parser.error(f"--window {args.window} --steps {args.steps}: give 0 or more, and at most {TRAIN_STEPS}")
    return args


def main():
    args = arguments()
    torch.set_num_threads(max(args.threads, 1))
    torch.set_grad_enabled(False)
    model = Model(args.model, args.threads, args.provider)
    for seed in args.seed:
        problem = Problem(model, args, seed)
        sequential, sequential_s, _ = timed(model, args.repeat, problem.sequential)
        for tolerance in args.tolerance:
            run = lambda: problem.parallel(tolerance, args.window)
            (sample, rounds, evaluations), parallel_s, loop_s = timed(model, args.repeat, run)
            distance = (sample - sequential).abs()
            row = {
                "solver": args.solver,
                "steps": problem.steps,
                "tolerance": tolerance,
                "window": args.window or problem.steps,
                "batch": args.batch,
                "seed": seed,
                "rounds": rounds,
                "evaluations": evaluations,
                "sequential_s": sequential_s,
                "parallel_s": parallel_s,
                "loop_s": loop_s,
                "mean_abs_diff": distance.mean().item(),
                "max_abs_diff": distance.max().item(),
            }
            print(json.dumps(row), flush=True)
    if args.save:
        arrays = {"init": problem.init, "noise": problem.noise, "sequential": sequential, "parallel": sample}
        np.savez(args.save, **{name: array.numpy() for name, array in arrays.items()})


if __name__ == "__main__":
    main()
