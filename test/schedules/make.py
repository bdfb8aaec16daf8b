# Writes whole-timesteps.safetensors: what a model that drops the fraction of its timesteps is told in Euler schedules, by diffusers'
# own FlowMatchEulerDiscreteScheduler. `demo.shift3` is for sigmas = linspace(1, 1/n, n), `default.shift3` for none; the rows of
# n = 1, 2, .. steps lie one after the other. Exact. Made with diffusers 0.42.1, torch 2.15.0, numpy 2.4.6.
#   pip install diffusers torch numpy safetensors && python make.py
from os.path import dirname, join

import numpy as np
from diffusers import FlowMatchEulerDiscreteScheduler
from safetensors.numpy import save_file


def rows(shift, most, is_demo):
    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
    for n in range(1, most + 1):
        if is_demo:
            scheduler.set_timesteps(sigmas=np.linspace(1.0, 1.0 / n, n))
        else:
            scheduler.set_timesteps(n)
        assert len(scheduler.timesteps) == n
        yield scheduler.timesteps.trunc().numpy().astype(np.uint16)


tensors = {
    "demo.shift3": (3.0, 200, True),
    "default.shift3": (3.0, 200, False),
    "demo.shift2.5": (2.5, 60, True),
    "default.shift2.5": (2.5, 60, False),
}
save_file(
    {name: np.concatenate(list(rows(*what))) for name, what in tensors.items()},
    join(dirname(__file__), "whole-timesteps.safetensors"),
)
