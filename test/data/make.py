"""Makes the files of training data that src/corpus is tested on, by the libraries that others use:

    pip install pyarrow pillow
    python make.py

Two Parquet files as the reference's training sets are stored (snappy and zstd, 3 rows to a group), one with images as the datasets
library stores them, and one WebDataset shard in GNU's and one in pax format, with names longer than a ustar header holds.
"""

import base64
import io
import json
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

COLOURS = {"red": (222, 38, 42), "green": (38, 160, 62), "blue": (38, 88, 222), "yellow": (246, 208, 24)}


def png(name):
    out = io.BytesIO()
    Image.new("RGB", (8, 6), COLOURS[name]).save(out, "PNG")
    return out.getvalue()


def reference_rows():
    for i, name in enumerate(COLOURS):
        images = {"a": base64.b64encode(png(name)).decode()}
        asked = [{"type": "image", "image": "a"}, {"type": "text", "text": "What colour is it?"}]
        yield {
            "messages": json.dumps([{"role": "user", "content": asked}, {"role": "assistant", "content": name}]),
            "segments": None,
            "images": json.dumps(images),
            "source": "colours",
            "uuid": str(i),
            "metadata": json.dumps({"images_info": {"a": {"height": 6, "width": 8}}}),
        }
    drawn = [{"type": "image_gen", "image": "a"}]
    yield {
        "messages": json.dumps([{"role": "user", "content": "Draw red."}, {"role": "assistant", "content": drawn}]),
        "segments": None,
        "images": json.dumps({"a": base64.b64encode(png("red")).decode()}),
        "source": "gen_colours",
        "uuid": "4",
        "metadata": None,
    }
    yield {
        "messages": None,
        "segments": json.dumps([{"type": "text", "text": "Colours are seen."}]),
        "images": None,
        "source": "text",
        "uuid": "5",
        "metadata": None,
    }


def write_parquet():
    table = pa.Table.from_pylist(list(reference_rows()))
    pq.write_table(table, "reference-snappy.parquet", compression="snappy", row_group_size=3)
    pq.write_table(table, "reference-zstd.parquet", compression="zstd", row_group_size=3)
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema([("image", image), ("text", pa.string())])
    rows = [{"image": {"bytes": png(name), "path": f"{name}.png"}, "text": f"all {name}"} for name in COLOURS]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), "pairs.parquet", compression="none")
    nested = pa.schema(
        [
            ("messages", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
        ]
    )
    chat = [{"messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Good day"}]}]
    pq.write_table(pa.Table.from_pylist(chat, schema=nested), "nested.parquet", compression="gzip")


def write_tar(path, format):
    with tarfile.open(path, "w", format=format) as tar:

        def add(name, data):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))

        for i, name in enumerate(COLOURS):
            folder = "a-long-folder-name/" * 16 if i == 1 else ""
            add(f"{folder}{i:04}.png", png(name))
            if i != 3:
                add(f"{folder}{i:04}.txt", f"all {name}\n".encode())
            else:
                add(f"{folder}{i:04}.json", json.dumps({"question": "What colour is it?", "answer": name}).encode())
            add(f"{folder}{i:04}.cls", b"0")
        link = tarfile.TarInfo("0009.png")
        link.type = tarfile.SYMTYPE
        link.linkname = "/etc/passwd"
        tar.addfile(link)
        add("0010.txt", "a text without an image".encode())


write_parquet()
write_tar("gnu.tar", tarfile.GNU_FORMAT)
write_tar("pax.tar", tarfile.PAX_FORMAT)
