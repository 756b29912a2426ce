"""The trainer's networks in PyTorch: residual MLP, temporal U-Net, 2-D U-Net.

`load` gives a network the parameters of a Picardy safetensors file, whose names and layouts differ (channels last, convolutions
as [outputs, patch, inputs], the doubling's transposed convolution as its even and odd halves).
"""

import math

import torch
from torch import nn
from torch.nn import functional as F


def sinusoidal(t, width, closed):
    """Half sines, half cosines of t f_i, f_i = 10000^(-i / n), n = half or, closed, half - 1."""
    half = width // 2
    gaps = half - 1 if closed else half
    f = torch.exp(-math.log(10000.0) * torch.arange(half, dtype=t.dtype, device=t.device) / gaps)
    phase = t[:, None] * f[None, :]
    return torch.cat([torch.sin(phase), torch.cos(phase)], dim=1)


class MlpBlock(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, width)
        self.fc2 = nn.Linear(width, width)

    def forward(self, h, e):
        return h + self.fc2(F.gelu(self.fc1(self.norm(h + e))))


class ResidualMlp(nn.Module):
    def __init__(self, dim, width, blocks, condition=0):
        super().__init__()
        self.width = width
        self.input = nn.Linear(dim, width)
        if condition:
            self.condition = nn.Linear(condition, width)
        self.blocks = nn.ModuleList(MlpBlock(width) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, dim)

    def forward(self, x, t, c=None):
        e = sinusoidal(t, self.width, closed=False)
        if c is not None:
            e = e + self.condition(c)
        h = self.input(x)
        for block in self.blocks:
            h = block(h, e)
        return self.output(self.norm(h))


class Block1d(nn.Module):
    """conv, group norm, mish"""

    def __init__(self, inputs, outputs, kernel, groups):
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2)
        self.norm = nn.GroupNorm(groups, outputs)

    def forward(self, h):
        return F.mish(self.norm(self.conv(h)))


class Residual1d(nn.Module):
    def __init__(self, inputs, outputs, told, kernel, groups, scale):
        super().__init__()
        self.first = Block1d(inputs, outputs, kernel, groups)
        self.film = nn.Linear(told, 2 * outputs if scale else outputs)
        self.second = Block1d(outputs, outputs, kernel, groups)
        self.past = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.scale = scale

    def forward(self, x, e):
        h = self.first(x)
        told = self.film(F.mish(e))[:, :, None]
        if self.scale:
            scale, shift = told.chunk(2, dim=1)
            h = scale * h + shift
        else:
            h = h + told
        return self.second(h) + self.past(x)


class Unet1d(nn.Module):
    """Diffusion Policy's temporal U-Net; x is [n, places, channels]."""

    def __init__(self, channels, widths, embedding, kernel, groups, scale, condition=0):
        super().__init__()
        self.embedding = embedding
        self.fc1 = nn.Linear(embedding, 4 * embedding)
        self.fc2 = nn.Linear(4 * embedding, embedding)
        told = embedding + condition
        res = lambda a, b: Residual1d(a, b, told, kernel, groups, scale)
        ins = [channels] + list(widths[:-1])
        self.down = nn.ModuleList(nn.ModuleList([res(a, b), res(b, b)]) for a, b in zip(ins, widths))
        self.halve = nn.ModuleList(nn.Conv1d(w, w, 3, 2, 1) for w in widths[:-1])
        self.mid = nn.ModuleList([res(widths[-1], widths[-1]) for _ in range(2)])
        self.up = nn.ModuleList(
            nn.ModuleList([res(2 * b, a), res(a, a)]) for a, b in zip(widths[:-1], widths[1:])
        )
        self.doubles = nn.ModuleList(nn.ConvTranspose1d(w, w, 4, 2, 1) for w in widths[:-1])
        self.output = Block1d(widths[0], widths[0], kernel, groups)
        self.last = nn.Conv1d(widths[0], channels, 1)

    def forward(self, x, t, c=None):
        e = self.fc2(F.mish(self.fc1(sinusoidal(t, self.embedding, closed=True))))
        if c is not None:
            e = torch.cat([e, c], dim=1)
        h = x.transpose(1, 2)
        kept = []
        for i, (first, second) in enumerate(self.down):
            h = second(first(h, e), e)
            kept.append(h)
            if i < len(self.halve):
                h = self.halve[i](h)
        for res in self.mid:
            h = res(h, e)
        for i in reversed(range(len(self.up))):
            h = torch.cat([h, kept[i + 1]], dim=1)
            for res in self.up[i]:
                h = res(h, e)
            h = self.doubles[i](h)
        return self.last(self.output(h)).transpose(1, 2)


class Residual2d(nn.Module):
    def __init__(self, inputs, outputs, told, groups):
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.told = nn.Linear(told, outputs)
        self.norm2 = nn.GroupNorm(groups, outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.past = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x, e):
        h = self.conv1(F.silu(self.norm1(x))) + self.told(e)[:, :, None, None]
        return self.conv2(F.silu(self.norm2(h))) + self.past(x)


class Unet2d(nn.Module):
    """x is [n, height, width, channels]."""

    def __init__(self, channels, widths, embedding, blocks, groups, heads, condition=0):
        super().__init__()
        self.embedding, self.heads = embedding, heads
        told = 4 * embedding
        self.fc1 = nn.Linear(embedding, told)
        self.fc2 = nn.Linear(told, told)
        if condition:
            self.condition = nn.Linear(condition, told)
        res = lambda a, b: Residual2d(a, b, told, groups)
        stack = lambda a, b: nn.ModuleList([res(a if k == 0 else b, b) for k in range(blocks)])
        self.input = nn.Conv2d(channels, widths[0], 3, padding=1)
        self.down = nn.ModuleList(stack(a, b) for a, b in zip([widths[0]] + list(widths[:-1]), widths))
        self.halve = nn.ModuleList(nn.Conv2d(w, w, 3, 2, 1) for w in widths[:-1])
        last = widths[-1]
        self.mid = nn.ModuleList([res(last, last), res(last, last)])
        self.norm = nn.GroupNorm(groups, last)
        self.qkv = nn.Conv2d(last, 3 * last, 1)
        self.out = nn.Conv2d(last, last, 1)
        # Going up, level i gets what level i + 1 left (the middle at the last) and level i's own.
        self.up = nn.ModuleList(stack(w + above, w) for w, above in zip(widths, list(widths[1:]) + [last]))
        self.doubles = nn.ModuleList(nn.Conv2d(w, w, 3, padding=1) for w in widths[1:])
        self.last_norm = nn.GroupNorm(groups, widths[0])
        self.last = nn.Conv2d(widths[0], channels, 3, padding=1)

    def attend(self, h):
        n, channels, height, width = h.shape
        qkv = self.qkv(self.norm(h)).view(n, 3, self.heads, channels // self.heads, height * width)
        q, k, v = (part.transpose(2, 3) for part in qkv.unbind(1))
        seen = F.scaled_dot_product_attention(q, k, v)
        return h + self.out(seen.transpose(2, 3).reshape(n, channels, height, width))

    def forward(self, x, t, c=None):
        e = self.fc2(F.silu(self.fc1(sinusoidal(t, self.embedding, closed=True))))
        if c is not None:
            e = e + self.condition(c)
        e = F.silu(e)
        h = self.input(x.permute(0, 3, 1, 2))
        kept = []
        for i, stack in enumerate(self.down):
            for res in stack:
                h = res(h, e)
            kept.append(h)
            if i < len(self.halve):
                h = self.halve[i](h)
        h = self.mid[1](self.attend(self.mid[0](h, e)), e)
        for i in reversed(range(len(self.up))):
            h = torch.cat([h, kept[i]], dim=1)
            for res in self.up[i]:
                h = res(h, e)
            if i > 0:
                h = self.doubles[i - 1](F.interpolate(h, scale_factor=2, mode="nearest"))
        return self.last(F.silu(self.last_norm(h))).permute(0, 2, 3, 1)


def names(model):
    """Picardy's name of each of the network's modules."""
    pairs = {}
    if isinstance(model, ResidualMlp):
        for name, module in model.named_modules():
            pairs[name] = module
        return pairs
    pairs["embedding.fc1"], pairs["embedding.fc2"] = model.fc1, model.fc2
    if isinstance(model, Unet1d):

        def residual(prefix, res):
            for i, block in (("1", res.first), ("2", res.second)):
                pairs[f"{prefix}.{i}.conv"], pairs[f"{prefix}.{i}.norm"] = block.conv, block.norm
            pairs[f"{prefix}.film"], pairs[f"{prefix}.past"] = res.film, res.past

        for i, pair in enumerate(model.down):
            for k, res in enumerate(pair):
                residual(f"down.{i}.res{k + 1}", res)
        for i, module in enumerate(model.halve):
            pairs[f"down.{i}.halve"] = module
        for k, res in enumerate(model.mid):
            residual(f"mid.res{k + 1}", res)
        for i, pair in enumerate(model.up):
            for k, res in enumerate(pair):
                residual(f"up.{i}.res{k + 1}", res)
            pairs[f"up.{i}.double"] = model.doubles[i]
        pairs["output.conv"], pairs["output.norm"] = model.output.conv, model.output.norm
        pairs["output.last"] = model.last
        return pairs

    def residual(prefix, res):
        for name in ("norm1", "conv1", "told", "norm2", "conv2", "past"):
            pairs[f"{prefix}.{name}"] = getattr(res, name)

    if hasattr(model, "condition"):
        pairs["condition"] = model.condition
    pairs["input"] = model.input
    for side, stacks in (("down", model.down), ("up", model.up)):
        for i, stack in enumerate(stacks):
            for k, res in enumerate(stack):
                residual(f"{side}.{i}.res{k}", res)
    for i, module in enumerate(model.halve):
        pairs[f"down.{i}.halve"] = module
    for i, module in enumerate(model.doubles):
        pairs[f"up.{i + 1}.double"] = module
    residual("mid.res1", model.mid[0])
    residual("mid.res2", model.mid[1])
    pairs["mid.norm"], pairs["mid.qkv"], pairs["mid.out"] = model.norm, model.qkv, model.out
    pairs["output.norm"], pairs["output.conv"] = model.last_norm, model.last
    return pairs


def to_picardy(model, of=lambda parameter: parameter.detach()):
    """The parameters (or, by `of`, their gradients) under Picardy's names and in its layouts."""
    found = {}
    for name, module in names(model).items():
        if isinstance(module, nn.ConvTranspose1d):
            # [inputs, outputs, 4] with padding 1: even places see taps 3 and 1, odd ones 2 and 0.
            w = of(module.weight).permute(1, 2, 0)
            found[f"{name}.even.weight"], found[f"{name}.odd.weight"] = w[:, [3, 1]], w[:, [2, 0]]
        elif isinstance(module, (nn.Conv1d, nn.Conv2d)):
            w = of(module.weight).movedim(1, -1)
            found[f"{name}.weight"] = w.reshape(w.shape[0], -1) if w.shape[1:-1].numel() == 1 else w
        elif isinstance(module, (nn.Linear, nn.LayerNorm, nn.GroupNorm)):
            found[f"{name}.weight"] = of(module.weight)
        else:
            continue
        found[f"{name}.bias"] = of(module.bias)
    return {name: tensor.contiguous() for name, tensor in found.items()}
