"""Stores a network's matrices narrower, for tests: `narrow.py f16|int8 IN.safetensors OUT.safetensors`.

int8 takes each row's largest weight for its scale; the trainer does it better, by what the outputs change. Rows of fewer than 16
inputs stay as they are.
"""
import json, struct, sys
from array import array

kind, source, target = sys.argv[1:]
file = open(source, "rb").read()
length = struct.unpack("<Q", file[:8])[0]
header, data = json.loads(file[8 : 8 + length]), file[8 + length :]
tensors = {}
for name, entry in header.items():
    if name == "__metadata__":
        continue
    assert entry["dtype"] == "F32" and sys.byteorder == "little", name
    start, end = entry["data_offsets"]
    numbers, shape = array("f", data[start:end]), entry["shape"]
    if len(shape) == 2 and kind == "f16":
        tensors[name] = ("F16", shape, struct.pack(f"<{len(numbers)}e", *numbers))
    elif len(shape) == 2 and kind == "int8" and shape[1] >= 16:
        rows = [numbers[i : i + shape[1]] for i in range(0, len(numbers), shape[1])]
        scales = array("f", (max(max(map(abs, row)), 1e-20) / 127 for row in rows))
        whole = [max(-127, min(127, round(x / scale))) for row, scale in zip(rows, scales) for x in row]
        tensors[name] = ("I8", shape, struct.pack(f"<{len(whole)}b", *whole))
        tensors[name.removesuffix("weight") + "scale"] = ("F32", [len(rows)], scales.tobytes())
    else:
        tensors[name] = ("F32", shape, numbers.tobytes())
assert any(dtype != "F32" for dtype, _, _ in tensors.values()), f"{kind}: f16 or int8, of a network with matrices"
# The widest first: each starts at a multiple of its size then.
order = sorted(tensors.items(), key=lambda tensor: ["F32", "F16", "I8"].index(tensor[1][0]))
entries, end = {"__metadata__": header["__metadata__"]}, 0
for name, (dtype, shape, numbers) in order:
    entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + len(numbers)]}
    end += len(numbers)
head = json.dumps(entries, separators=(",", ":")).encode()
head += b" " * (-len(head) % 8)
with open(target, "wb") as out:
    out.write(struct.pack("<Q", len(head)) + head + b"".join(numbers for _, (_, _, numbers) in order))
