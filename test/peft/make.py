"""Numbers of PEFT for test/peft: a small network of linear maps, an adapter that PEFT has made and saved, and what both compute.

    pip install torch peft safetensors && python test/peft/make.py test/peft
"""

import sys
from pathlib import Path

import peft
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from torch import nn

torch.manual_seed(0)
out = Path(sys.argv[1])


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.q_proj = nn.Linear(24, 40, bias=False)
        self.down_proj = nn.Linear(40, 24, bias=True)

    def forward(self, x):
        return x + self.down_proj(torch.nn.functional.silu(self.q_proj(x)))


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([Layer(), Layer()])

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


network = Network()
base = {name: tensor.clone() for name, tensor in network.state_dict().items()}
config = LoraConfig(r=4, lora_alpha=12, target_modules=["q_proj", "layers.1.down_proj"], lora_dropout=0.0)
model = get_peft_model(network, config)
started = {n: p.clone() for n, p in model.state_dict().items() if "lora_A" in n}
with torch.no_grad():
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.normal_(0, 0.3)

x = torch.randn(5, 24)
weights = torch.randn(5, 24)
y = model(x)
(y * weights).sum().backward()
values = {"x": x, "weights": weights, "y": y.detach()}
for name, parameter in model.named_parameters():
    if parameter.grad is not None:
        values["grad." + name.replace(".default", "")] = parameter.grad
model.save_pretrained(str(out / "adapter"))
save_file(base, str(out / "weights.safetensors"))
merged = model.merge_and_unload()
values["merged"] = merged.state_dict()["layers.1.down_proj.weight"].clone()
values = {name: tensor.contiguous() for name, tensor in values.items()}
save_file(values, str(out / "outputs.safetensors"), {"torch": torch.__version__, "peft": peft.__version__})
for name, tensor in started.items():
    width = tensor.shape[1]
    print(name, float(tensor.abs().max()) * width**0.5)  # PEFT's A starts within 1 / sqrt(in)
