"""One training step in PyTorch: forward, backward and Adam.

The networks, the loss and the optimiser are the ones of `train_step_bench` in picardy-trainer. Prints one JSON
object: the median microseconds of a step over `--steps` steps, after `--warmup` steps.
"""

import argparse
import json
import statistics
import time

import torch

from networks import ResidualMlp, Unet1d, Unet2d

# name: the network, an item's shape, the batch, numbers of the condition.
MODELS = {
    "mlp": (lambda: ResidualMlp(2, 128, 2), (2,), 128, 0),
    "unet1d": (lambda: Unet1d(2, (64, 128, 256), 64, 5, 8, True, 20), (16, 2), 64, 20),
    "unet2d": (lambda: Unet2d(1, (32, 64), 64, 1, 8, 4, 10), (8, 8, 1), 128, 10),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=MODELS, default="mlp")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--warmup", type=int, default=100)
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    build, shape, batch, condition = MODELS[args.model]
    model = build()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    betas = torch.linspace(1e-4, 2e-2, 1000, dtype=torch.float64)
    abar = torch.cumprod(1 - betas, 0)
    root_abar, root_one_minus_abar = abar.sqrt().float(), (1 - abar).sqrt().float()
    data = torch.randn(4096, *shape)
    c = torch.randn(batch, condition) if condition else None
    level = (slice(None),) + (None,) * len(shape)

    times = []
    for step in range(args.warmup + args.steps):
        start = time.perf_counter()
        x0 = data[torch.randint(0, data.shape[0], (batch,))]
        t = torch.randint(0, 1000, (batch,))
        eps = torch.randn(batch, *shape)
        z = root_abar[t][level] * x0 + root_one_minus_abar[t][level] * eps
        loss = ((model(z, t.float(), c) - eps) ** 2).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        if step >= args.warmup:
            times.append((time.perf_counter() - start) * 1e6)
    print(json.dumps({"microseconds": statistics.median(times), "loss": float(loss.detach())}))


if __name__ == "__main__":
    main()
