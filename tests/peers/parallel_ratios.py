"""Runs both sides of every row and prints their ratios: see parallel.sh."""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

MODELS = pathlib.Path("target/parallel-models")
PEER = pathlib.Path(__file__).parent / "parallel.py"
# The mean distance from the sequential sample that both sides must keep, in standard deviations of the data.
ERROR = 1e-3
TOLERANCES = {
    "paradigms": [0.5, 0.3, 0.2, 0.1, 0.05, 0.03, 0.02, 0.01, 0.003, 0.001],
    "auto": [1.0, 0.5, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03, 0.02, 0.01, 0.003],
}
# Model, solver, steps, batch.
ROWS = [
    (model, solver, steps, 8 if (model, steps) == ("exact-digits", 1000) else 16)
    for solver, steps in [("ddpm", 1000), ("ddpm", 100), ("ddim", 100)]
    for model in ["dino", "digits", "exact-dino", "exact-digits"]
]


def output(command):
    """The JSON lines a command prints."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{command[0]} failed: {done.stderr.strip()}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def loosest(run, tolerances):
    """The runs of all seeds at the loosest tolerance that keeps the error, and that tolerance."""
    for tolerance in tolerances:
        runs = run(tolerance)
        error = statistics.mean(one["mean_abs_diff"] for one in runs)
        if error <= ERROR:
            return tolerance, error, runs
    return None


def measure(args, row, folder):
    model, solver, steps, batch = row
    path = MODELS / f"{model}.onnx"
    common = ["--solver", solver, "--steps", steps, "--repeat", 1]
    tapes = [folder / f"{seed}.npz" for seed in range(args.seeds)]

    def paradigms(tolerance):
        peer = [sys.executable, PEER, path, *common, "--batch", batch, "--tolerance", tolerance]
        return [output([*peer, "--seeds", seed, "--save", tape])[0] for seed, tape in enumerate(tapes)]

    def auto(tolerance):
        ours = [args.bench, path, *common, "--method", "auto", "--tolerance", tolerance, *args.ours]
        return [output([*ours, "--noise", tape])[0] for tape in tapes]

    theirs = loosest(paradigms, TOLERANCES["paradigms"])
    ours = loosest(auto, TOLERANCES["auto"])
    if theirs is None or ours is None:
        side = "paradigms" if theirs is None else "picardy"
        return {"row": f"{model} {solver} {steps}", "missed": f"{side} kept no mean distance of {ERROR}"}

    def side(chosen):
        tolerance, error, runs = chosen
        mean = {key: statistics.mean(run[key] for run in runs) for key in ("rounds", "evaluations", "loop_s")}
        return {"tolerance": tolerance, "error": error, **mean}

    ours, theirs = side(ours), side(theirs)
    ratio = {key: ours[key] / theirs[key] for key in ("rounds", "evaluations", "loop_s")}
    return {"row": f"{model} {solver} {steps}", "ratio": ratio, "picardy": ours, "paradigms": theirs}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", help="rows to run, as 'dino ddpm 100'; all without")
    parser.add_argument("--bench", required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ours", type=str.split, default=[], help="more flags for parallel_bench, in one string")
    args = parser.parse_args()
    names = {f"{model} {solver} {steps}": (model, solver, steps, batch) for model, solver, steps, batch in ROWS}
    unknown = [name for name in args.rows if name not in names]
    if unknown:
        sys.exit(f"no row is called {unknown[0]!r}; there are {', '.join(names)}")
    results = []
    print("| row | rounds | evaluations | ratio of rounds | of evaluations | of the loop's time | tolerances | mean distances |")
    print("|---|---|---|---|---|---|---|---|")
    for name in args.rows or names:
        with tempfile.TemporaryDirectory() as folder:
            result = measure(args, names[name], pathlib.Path(folder))
        results.append(result)
        if "missed" in result:
            print(f"| {name} | {result['missed']} |", flush=True)
            continue
        ours, theirs, ratio = result["picardy"], result["paradigms"], result["ratio"]
        print(
            f"| {name} | {ours['rounds']:.1f} / {theirs['rounds']:.1f} | {ours['evaluations']:.0f} / {theirs['evaluations']:.0f} "
            f"| {ratio['rounds']:.2f} | {ratio['evaluations']:.3f} | {ratio['loop_s']:.2f} "
            f"| {ours['tolerance']:g} / {theirs['tolerance']:g} | {ours['error']:.1e} / {theirs['error']:.1e} |",
            flush=True,
        )
    print(json.dumps({"error": ERROR, "seeds": args.seeds, "rows": results}))


if __name__ == "__main__":
    main()
