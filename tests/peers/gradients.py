"""Writes trainer/tests/data/gradients.safetensors: small networks of each kind with their outputs and gradients in PyTorch.

For each NAME: `NAME/p/...` the parameters under Picardy's names and in its layouts, `NAME/g/...` the gradients of
sum(out * up), `NAME/x`, `NAME/t`, `NAME/c`, `NAME/up`, `NAME/out`, and `NAME/dx`; computed in double precision, stored in single.
"""

import json
import pathlib

import torch
from safetensors.torch import save_file

from networks import ResidualMlp, Unet1d, Unet2d, to_picardy

MODELS = {
    "mlp": (
        lambda: ResidualMlp(3, 16, 2, 4),
        [3],
        {"kind": "residual-mlp", "width": 16, "blocks": 2},
    ),
    "unet1d": (
        lambda: Unet1d(3, (8, 16, 16), 8, 5, 4, True, 4),
        [16, 3],
        {"kind": "unet1d", "widths": [8, 16, 16], "embedding": 8, "kernel": 5, "groups": 4, "scale": True},
    ),
    "unet2d": (
        lambda: Unet2d(2, (8, 16), 8, 2, 4, 2, 4),
        [8, 4, 2],
        {"kind": "unet2d", "widths": [8, 16], "embedding": 8, "blocks": 2, "groups": 4, "heads": 2},
    ),
}


def main():
    torch.manual_seed(5)
    stored, kinds = {}, {}
    for name, (build, shape, kind) in MODELS.items():
        model = build().double()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_((parameter + 0.1 * torch.randn_like(parameter)).float())
        rows = 5
        x = torch.randn(rows, *shape).double().requires_grad_()
        t = torch.tensor([0.0, 3.0, 120.0, 500.0, 999.0]).double()
        c, up = torch.randn(rows, 4).double(), torch.randn(rows, *shape).double()
        out = model(x, t, c)
        (out * up).sum().backward()
        for key, value in (("x", x), ("t", t), ("c", c), ("up", up), ("out", out), ("dx", x.grad)):
            stored[f"{name}/{key}"] = value.detach().float().contiguous()
        for key, value in to_picardy(model).items():
            stored[f"{name}/p/{key}"] = value.float()
        gradients = to_picardy(model, lambda parameter: parameter.grad)
        for key, value in gradients.items():
            stored[f"{name}/g/{key}"] = value.float()
        kinds[name] = json.dumps({"shape": shape, "condition": 4, "network": kind})
    path = pathlib.Path(__file__).parents[2] / "trainer/tests/data/gradients.safetensors"
    path.parent.mkdir(exist_ok=True)
    save_file(stored, path, metadata=kinds)
    print(path, path.stat().st_size)


if __name__ == "__main__":
    main()
