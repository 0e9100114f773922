"""A base with one layer of any size, which is pushed without ever being in memory."""

import hashlib
import io
import json
import mmap
import random
import subprocess
import tarfile
import tempfile

import layers
from layers import Image, digest

FILES = 64
# Half of each piece is text that becomes small, half is noise that does not.
PIECE = 1 << 20


def push(registry, name, size):
    """Pushes an image with a layer of so many bytes as NAME:latest."""
    base = layers.busybox()
    image = Image([base], layers.PLAIN)
    for blob, data in image.blobs.items():
        registry.push_blob(name, blob, data)
    manifest = json.loads(image.manifest)
    with tempfile.NamedTemporaryFile(dir="/tmp") as packed:
        diff_id = write(packed, size)
        with mmap.mmap(packed.fileno(), 0, access=mmap.ACCESS_READ) as data:
            layer = "sha256:" + hashlib.sha256(data).hexdigest()
            registry.push_blob(name, layer, data)
            manifest["layers"].append({"mediaType": layers.OCI + "layer.v1.tar+gzip",
                                       "digest": layer, "size": len(data)})
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": layers.PLAIN,
                         "rootfs": {"type": "layers", "diff_ids": [digest(base), diff_id]}}).encode()
    registry.push_blob(name, digest(config), config)
    manifest["config"] |= {"digest": digest(config), "size": len(config)}
    registry.call("PUT", f"/v2/{name}/manifests/latest", json.dumps(manifest).encode(), image.type)


def write(to, size):
    """Writes the layer in gzip; gives the digest of its tar."""
    gzip = subprocess.Popen(["gzip", "-1", "-n"], stdin=subprocess.PIPE, stdout=to)
    both = Both(gzip.stdin)
    chance = random.Random(1)
    text = b" ".join(b"%d" % chance.randrange(10**6) for _ in range(PIECE // 14))
    with tarfile.open(fileobj=both, mode="w|") as tar:
        for number in range(FILES):
            info = tarfile.TarInfo(f"opt/large-{number}")
            info.size, info.mtime = size // FILES, layers.TIME
            content = io.BufferedReader(Pieces(chance, text, info.size))
            tar.addfile(info, content)
    gzip.stdin.close()
    if gzip.wait():
        raise OSError("gzip failed")
    return "sha256:" + both.hash.hexdigest()


class Both(io.RawIOBase):
    """Writes, and hashes what is written."""

    def __init__(self, to):
        self.to, self.hash = to, hashlib.sha256()

    def writable(self):
        return True

    def write(self, data):
        self.hash.update(data)
        self.to.write(data)
        return len(data)


class Pieces(io.RawIOBase):
    """The content of a file, made while it is read; no two files are alike."""

    def __init__(self, chance, text, size):
        self.chance, self.text, self.left, self.ready = chance, text, size, b""

    def readable(self):
        return True

    def readinto(self, buffer):
        if not self.ready:
            self.ready = self.text + self.chance.randbytes(PIECE // 2)
        count = min(len(buffer), len(self.ready), self.left)
        buffer[:count], self.ready = self.ready[:count], self.ready[count:]
        self.left -= count
        return count
