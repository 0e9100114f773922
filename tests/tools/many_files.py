"""A base of many small files: an image that is pushed while it is made, a layer at a time.

Its texts compress about as well as programs and their documentation do, no two files are alike, and
it is the same whenever it is made.
"""

import json
import random

import layers
from layers import Image, Layer, digest

# No more of the image is in memory at once.
LAYER = 96 << 20
TEXT, NOISE = 4 << 20, 2 << 20
FOLDER = 100


def push(registry, name, files, size):
    """Pushes an image of so many files with so many bytes altogether as NAME:latest."""
    base = layers.busybox()
    image = Image([base], layers.PLAIN)
    for blob, data in image.blobs.items():
        registry.push_blob(name, blob, data)
    manifest = json.loads(image.manifest)
    diff_ids = [digest(base)]
    for tar in tars(files, size):
        how, data = Image.pack(tar, "gzip")
        registry.push_blob(name, digest(data), data)
        manifest["layers"].append({"mediaType": layers.OCI + "layer.v1.tar+" + how,
                                   "digest": digest(data), "size": len(data)})
        diff_ids.append(digest(tar))
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": layers.PLAIN,
                         "rootfs": {"type": "layers", "diff_ids": diff_ids}}).encode()
    registry.push_blob(name, digest(config), config)
    manifest["config"] |= {"digest": digest(config), "size": len(config)}
    registry.call("PUT", f"/v2/{name}/manifests/latest", json.dumps(manifest).encode(), image.type)


def tars(files, size):
    """The files, in layers."""
    chance = random.Random(1)
    words = [bytes(chance.choices(b"abcdefghijklmnopqrstuvwxyz_", k=chance.randint(2, 11)))
             for _ in range(4000)]
    text = b" ".join(chance.choices(words, k=TEXT // 7))
    noise = chance.randbytes(NOISE)
    layer, length = Layer().folder("opt").folder("opt/files"), 0
    for number in range(files):
        for level in (FOLDER * FOLDER, FOLDER):
            if number % level == 0:
                layer.folder(folder_of(number, level))
        content = one_file(chance, (text, noise), number, size // files)
        layer.file(f"{folder_of(number, FOLDER)}/{number}", content, mode=0o644 if number % 10 else 0o755)
        length += len(content)
        if length > LAYER:
            yield layer.done()
            layer, length = Layer(), 0
    yield layer.done()


def folder_of(number, level):
    """Folders hold a hundred files, or a hundred folders."""
    outer = f"opt/files/{number // FOLDER // FOLDER}"
    return outer if level > FOLDER else f"{outer}/{number // FOLDER}"


def one_file(chance, pools, number, mean):
    """Mostly text, a quarter of it noise; most files are shorter than the mean."""
    length = int(mean * min(chance.expovariate(1), 8))
    parts = [b"file %d\n" % number]
    for pool, share in zip(pools, (0.75, 0.25)):
        part = min(int(length * share), len(pool) // 2)
        start = chance.randrange(len(pool) - part)
        parts.append(pool[start:start + part])
    return b"".join(parts)
