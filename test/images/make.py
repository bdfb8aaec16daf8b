# Writes small images of the kinds that decoders read differently, and pixels.safetensors: their RGB bytes [height, width, 3] by
# Pillow's convert("RGB"), `on-white` where an alpha channel was first pasted on white. Made with Pillow 13.0.0, numpy 2.4.6.
#   pip install Pillow numpy safetensors && python make.py
import struct
from os.path import dirname, join

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

here = dirname(__file__)
H, W = 23, 37
y, x = np.mgrid[0:H, 0:W]
rgb = np.stack([x * 7, y * 11, (x + y) * 5], -1).astype(np.uint8)
alpha = (x * 9).astype(np.uint8)[..., None]
opaque = np.full_like(alpha, 255)
cmyk = Image.fromarray(np.concatenate([rgb, (x * 3 + y).astype(np.uint8)[..., None]], -1), "CMYK")


def path(name):
    return join(here, name)


def edit(name, source, change):
    with open(path(source), "rb") as file:
        data = bytearray(file.read())
    with open(path(name), "wb") as file:
        file.write(change(data, data.index(b"Adobe")))


cmyk.save(path("cmyk.jpg"), quality=90)
cmyk.save(path("cmyk-progressive.jpg"), quality=60, progressive=True, subsampling=2)
edit("cmyk-without-marker.jpg", "cmyk.jpg", lambda data, at: data[: at - 4] + data[at - 2 + struct.unpack(">H", data[at - 2 : at])[0] :])
edit("ycck.jpg", "cmyk.jpg", lambda data, at: data[: at + 11] + b"\2" + data[at + 12 :])
Image.fromarray(rgb).save(path("odd-420-progressive.jpg"), quality=80, progressive=True, subsampling=2)
# Around 255, where Pillow cuts off, and over all 16 bits.
Image.fromarray(((x * 3 + y * 5) * 2).astype(np.uint16)).save(path("grey16.png"))
Image.fromarray(((x * 1771 + y * 37) % 65536).astype(np.uint16)).save(path("grey16-wide.png"))
Image.fromarray(np.concatenate([rgb[..., :1], opaque], -1), "LA").save(path("grey-alpha-opaque.png"))
Image.fromarray(np.concatenate([rgb[..., :1], alpha], -1), "LA").save(path("grey-alpha.png"))
Image.fromarray(np.concatenate([rgb, alpha], -1)).save(path("alpha.png"))
Image.fromarray(rgb).quantize(16).save(path("palette.png"), transparency=bytes([0, 128, 255]))

pixels = {}
for name in (
    "cmyk.jpg",
    "cmyk-progressive.jpg",
    "cmyk-without-marker.jpg",
    "ycck.jpg",
    "odd-420-progressive.jpg",
    "grey16.png",
    "grey16-wide.png",
    "grey-alpha-opaque.png",
):
    pixels[name] = np.asarray(Image.open(path(name)).convert("RGB"))
for name in ("grey-alpha.png", "alpha.png", "palette.png"):
    image = Image.open(path(name)).convert("RGBA")
    white = Image.new("RGB", image.size, (255, 255, 255))
    white.paste(image, mask=image.split()[3])
    pixels[f"on-white {name}"] = np.asarray(white)
save_file({name: np.ascontiguousarray(value) for name, value in pixels.items()}, path("pixels.safetensors"))
