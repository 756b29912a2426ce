"""Writes MLServer's settings for an ONNX file: settings.py MODEL FOLDER PORT."""

import json
import pathlib
import sys

import onnxruntime

TYPES = {"tensor(float)": "FP32", "tensor(double)": "FP64", "tensor(int64)": "INT64", "tensor(int32)": "INT32"}


def ports(nodes):
    return [
        {
            "name": node.name,
            "datatype": TYPES[node.type],
            "shape": [extent if isinstance(extent, int) else -1 for extent in node.shape],
        }
        for node in nodes
    ]


def main():
    model, folder, port = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]), int(sys.argv[3])
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "settings.json").write_text(
        json.dumps(
            {
                "host": "127.0.0.1",
                "http_port": port,
                "grpc_port": port + 1,
                "metrics_port": port + 2,
                "parallel_workers": 0,
                "debug": False,
            }
        )
    )
    (folder / "model-settings.json").write_text(
        json.dumps(
            {
                "name": "digits",
                "implementation": "onnx_runtime.OnnxModel",
                "inputs": ports(session.get_inputs()),
                "outputs": ports(session.get_outputs()),
                "parameters": {"uri": str(model)},
            }
        )
    )


if __name__ == "__main__":
    main()
