"""One training step of the residual MLP in PyTorch: forward, backward and Adam, one thread.

The network, the loss and the optimiser are the ones of `train_step_bench` in picardy-trainer. Prints one JSON
object: the median microseconds of a step over `--steps` steps, after `--warmup` steps.
"""

import argparse
import json
import math
import statistics
import time

import torch
from torch import nn


def sinusoidal(t, width):
    """Half sines, half cosines of t f_i, f_i = 10000^(-i / half)."""
    half = width // 2
    frequencies = torch.exp(-math.log(10000.0) * torch.arange(half, dtype=torch.float32) / half)
    phase = t[:, None] * frequencies[None, :]
    return torch.cat([torch.sin(phase), torch.cos(phase)], dim=1)


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, width)
        self.fc2 = nn.Linear(width, width)

    def forward(self, h, e):
        return h + self.fc2(nn.functional.gelu(self.fc1(self.norm(h + e))))


class ResidualMlp(nn.Module):
    def __init__(self, dim, width, blocks):
        super().__init__()
        self.width = width
        self.input = nn.Linear(dim, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, dim)

    def forward(self, x, t):
        e = sinusoidal(t, self.width)
        h = self.input(x)
        for block in self.blocks:
            h = block(h, e)
        return self.output(self.norm(h))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--dim", type=int, default=2)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--blocks", type=int, default=2)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--warmup", type=int, default=100)
    args = parser.parse_args()

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = ResidualMlp(args.dim, args.width, args.blocks)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    betas = torch.linspace(1e-4, 2e-2, 1000, dtype=torch.float64)
    abar = torch.cumprod(1 - betas, 0)
    root_abar, root_one_minus_abar = abar.sqrt().float(), (1 - abar).sqrt().float()
    data = torch.randn(4096, args.dim)

    times = []
    for step in range(args.warmup + args.steps):
        start = time.perf_counter()
        x0 = data[torch.randint(0, data.shape[0], (args.batch,))]
        t = torch.randint(0, 1000, (args.batch,))
        eps = torch.randn(args.batch, args.dim)
        z = root_abar[t, None] * x0 + root_one_minus_abar[t, None] * eps
        loss = ((model(z, t.float()) - eps) ** 2).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        if step >= args.warmup:
            times.append((time.perf_counter() - start) * 1e6)
    print(json.dumps({"microseconds": statistics.median(times), "loss": float(loss.detach())}))


if __name__ == "__main__":
    main()
