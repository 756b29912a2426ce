"""What a call of an ONNX model costs in Python, and a whole run of diffusers' DDIM 50, batch 1, one thread.

The counterpart of `onnx_sampling` in picardy-tests: the same model, grid and start. Prints one JSON object: medians in
microseconds, and the run's sample. `call` is `InferenceSession.run` on arrays that are there already; `call_bound` the
same through `run_with_iobinding`, inputs bound anew and the output's memory kept.
"""

import argparse
import json
import statistics
import time

import numpy as np
import onnxruntime
import torch
from diffusers import DDIMScheduler

STEPS = 50


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--calls", type=int, default=4000)
    parser.add_argument("--runs", type=int, default=100)
    args = parser.parse_args()
    torch.set_num_threads(1)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(args.model, options, providers=["CPUExecutionProvider"])
    x_name, t_name = (port.name for port in session.get_inputs())
    out_name = session.get_outputs()[0].name
    dim = session.get_inputs()[0].shape[1]
    start = ((torch.arange(dim) % 16).float() - 7.5)[None] / 8

    def micros(function, count):
        seconds = []
        for i in range(count + count // 10):
            begin = time.perf_counter()
            function(i)
            seconds.append(time.perf_counter() - begin)
        return statistics.median(seconds[count // 10 :]) * 1e6

    x = start.numpy()
    times = [np.array([20 * i % 1000], dtype=np.float32) for i in range(50)]
    outs = [out_name]

    def call(i):
        session.run(outs, {x_name: x, t_name: times[i % 50]})

    binding = session.io_binding()
    out = onnxruntime.OrtValue.ortvalue_from_shape_and_type([1, dim], np.float32)
    binding.bind_ortvalue_output(out_name, out)

    def call_bound(i):
        binding.bind_cpu_input(x_name, x)
        binding.bind_cpu_input(t_name, times[i % 50])
        session.run_with_iobinding(binding)
        return out.numpy()

    scheduler = DDIMScheduler(clip_sample=False, timestep_spacing="trailing")

    def run(_):
        scheduler.set_timesteps(STEPS)
        x = start.clone()
        for t in scheduler.timesteps:
            feed = {x_name: x.numpy(), t_name: t.numpy().astype(np.float32)[None]}
            (eps,) = session.run(outs, feed)
            x = scheduler.step(torch.from_numpy(eps), t, x).prev_sample
        return x

    with torch.no_grad():
        result = {
            "call": micros(call, args.calls),
            "call_bound": micros(call_bound, args.calls),
            "run": micros(run, args.runs),
            "sample": run(0)[0, :4].tolist(),
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
