"""The images that tests build on, as bytes: layers, configurations, manifests."""

import gzip
import hashlib
import io
import json
import struct
import subprocess
import tarfile

TIME = 1_700_000_000
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
OCI = "application/vnd.oci.image."
DOCKER = "application/vnd.docker."


def digest(data):
    """The name of a blob."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Layer:
    """An uncompressed tar, entry by entry, in the order given."""

    def __init__(self, form=tarfile.PAX_FORMAT):
        self.bytes = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.bytes, mode="w", format=form, encoding="utf-8",
                                errors="surrogateescape")

    def entry(self, kind, name, data=b"", **attributes):
        """Adds an entry; attributes are those of TarInfo, and xattrs."""
        info = tarfile.TarInfo(name)
        info.type, info.size, info.mtime = kind, len(data), TIME
        for key, value in (attributes.pop("xattrs", None) or {}).items():
            info.pax_headers["SCHILY.xattr." + key] = value.decode("utf-8", "surrogateescape")
        for key, value in attributes.items():
            setattr(info, key, value)
        self.tar.addfile(info, io.BytesIO(data))
        return self

    def file(self, name, data=b"", mode=0o644, **attributes):
        return self.entry(tarfile.REGTYPE, name, data, mode=mode, **attributes)

    def folder(self, name, mode=0o755, **attributes):
        return self.entry(tarfile.DIRTYPE, name, mode=mode, **attributes)

    def symlink(self, name, target):
        return self.entry(tarfile.SYMTYPE, name, linkname=target, mode=0o777)

    def hardlink(self, name, target, mode=0o644):
        return self.entry(tarfile.LNKTYPE, name, linkname=target, mode=mode)

    def done(self):
        """The tar's bytes."""
        self.tar.close()
        return self.bytes.getvalue()


def busybox():
    """A small system: one static program under many names."""
    layer = Layer()
    for name in ("bin", "dev", "etc", "home", "proc", "root", "sys", "usr", "usr/bin", "var"):
        layer.folder(name)
    layer.folder("tmp", mode=0o1777)
    with open("/bin/busybox", "rb") as program:
        layer.file("bin/busybox", program.read(), mode=0o755)
    applets = subprocess.run(["/bin/busybox", "--list"], capture_output=True, check=True, text=True)
    for applet in applets.stdout.split():
        if applet != "busybox":
            layer.hardlink("bin/" + applet, "bin/busybox", mode=0o755)
    layer.file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")
    layer.file("etc/group", b"root:x:0:\n")
    return layer.done()


def marker(name, text):
    """A layer of one file."""
    return Layer().file(name, text.encode()).done()


def kitchen_sink():
    """Everything a layer may hold; the layers above the first change what lies below."""
    net_raw = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)
    lower = Layer().folder("data").folder("data/gone").folder("data/opaque").folder("data/late")
    for name in ("keep", "remove", "gone/a", "opaque/old", "late/old", "becomes-folder"):
        lower.file("data/" + name, b"lower\n")
    lower.folder("data/becomes-file").file("data/becomes-file/x", b"lower\n")
    lower.file("data/suid", b"#!/bin/sh\n", mode=0o4755).folder("data/sticky", mode=0o1777)
    lower.file("data/capable", b"x", mode=0o755, xattrs={"security.capability": net_raw})
    lower.file("data/hard-a", b"one inode\n").hardlink("data/hard-b", "data/hard-a")
    lower.entry(tarfile.CHRTYPE, "dev/null-copy", mode=0o666, devmajor=1, devminor=3)
    lower.entry(tarfile.FIFOTYPE, "data/fifo", mode=0o600)
    lower.file("data/owned", b"", uid=1234, gid=5678).file("data/far", b"", uid=60000, gid=60001)
    lower.file("data/with space", b"").file("data/unicode-\u00e9-\u65e5", b"")
    lower.file("data/new\nline", b"").file("data/" + "n" * 255, b"")
    lower.file("data/secret", b"x", mode=0).symlink("data/dangling", "/nowhere")
    lower.folder("data/target").symlink("data/link", "target").symlink("data/link-gone", "target")
    upper = Layer(tarfile.GNU_FORMAT).file("data/.wh.remove").file("data/.wh.gone")
    upper.file("data/.wh.never").folder("data/opaque").file("data/opaque/.wh..wh..opq")
    upper.file("data/opaque/fresh", b"upper\n").folder("data/late")
    upper.file("data/late/fresh", b"upper\n").file("data/late/.wh..wh..opq")
    upper.folder("data/becomes-folder").file("data/becomes-folder/x", b"upper\n")
    upper.file("data/becomes-file", b"upper\n").hardlink("data/hard-lower", "data/keep")
    upper.file("data/link/through", b"upper\n")
    upper.folder("data/link-gone").file("data/link-gone/real", b"upper\n")
    last = Layer(tarfile.USTAR_FORMAT).file("./data/deep/er/file", b"no entries of its parents\n")
    last.file("./data/twice", b"first\n").file("./data/twice", b"second\n")
    return [busybox(), lower.done(), upper.done(), last.done()]


def hostile():
    """Every way to write outside the tree: each would leave /tmp/cooperage-escaped-N."""
    layer = Layer().file("../../../../tmp/cooperage-escaped-1").file("/tmp/cooperage-escaped-2")
    layer.symlink("evil", "/tmp").file("evil/cooperage-escaped-3")
    layer.symlink("up", "../../../../tmp").file("up/cooperage-escaped-4")
    layer.file("a/../../../../../tmp/cooperage-escaped-5")
    layer.hardlink("passwd", "../../../../etc/passwd")
    layer.symlink("var", "/tmp").file("var/cooperage-escaped-6")
    return [busybox(), layer.done()]


def many_layers(count):
    """A base and count layers that all write the same file and one of their own."""
    upper = (Layer().file(f"layers/{n:03}", b"").file("layers/last", str(n).encode()).done()
             for n in range(count))
    return [busybox(), *upper]


RICH = {
    "Env": [PATH, "GREETING=hello world", 'QUOTED=a"b\'c $HOME `x`', "EMPTY=", "EQUALS=a=b=c"],
    "Entrypoint": ["/bin/echo", "entry point"],
    "Cmd": ['two"quotes', "$three", ""],
    "WorkingDir": "/work dir",
    "Labels": {"maintainer": "A <a@example.org>", "lines": "one\ntwo"},
}
PLAIN = {"Env": [PATH], "Cmd": ["sh"]}
QUOTES = "'quotes' \"quotes\" $DOLLAR s p a c e s"
NULLS = {"Env": None, "Cmd": None, "Entrypoint": None, "Labels": None}


class Image:
    """A manifest and the blobs it names."""

    def __init__(self, layers, config, compress=("gzip",), architecture="amd64", docker=False):
        self.blobs = {}
        packed = [self.pack(tar, compress[n % len(compress)]) for n, tar in enumerate(layers)]
        types = {"gzip": DOCKER + "image.rootfs.diff.tar.gzip"} if docker else {
            "gzip": OCI + "layer.v1.tar+gzip", "zstd": OCI + "layer.v1.tar+zstd",
            "none": OCI + "layer.v1.tar"}
        settings = {"architecture": architecture, "os": "linux", "config": config,
                    "rootfs": {"type": "layers", "diff_ids": [digest(tar) for tar in layers]}}
        self.type = DOCKER + "distribution.manifest.v2+json" if docker else OCI + "manifest.v1+json"
        config_type = DOCKER + "container.image.v1+json" if docker else OCI + "config.v1+json"
        self.manifest = json.dumps({
            "schemaVersion": 2, "mediaType": self.type,
            "config": self.describe(config_type, json.dumps(settings).encode()),
            "layers": [self.describe(types[how], data) for how, data in packed]}).encode()
        self.platform = {"architecture": architecture, "os": "linux"}

    @staticmethod
    def pack(tar, how):
        if how == "gzip":
            return how, gzip.compress(tar, 6, mtime=0)
        if how == "zstd":
            zstd = subprocess.run(["zstd", "-q", "-c"], input=tar, capture_output=True, check=True)
            return how, zstd.stdout
        return how, tar

    def describe(self, media_type, data):
        self.blobs[digest(data)] = data
        return {"mediaType": media_type, "digest": digest(data), "size": len(data)}


class Index:
    """A list of images for several architectures."""

    def __init__(self, images, docker=False):
        self.images = images
        self.type = (DOCKER + "distribution.manifest.list.v2+json" if docker
                     else OCI + "index.v1+json")
        self.manifest = json.dumps({"schemaVersion": 2, "mediaType": self.type, "manifests": [
            {"mediaType": image.type, "digest": digest(image.manifest),
             "size": len(image.manifest), "platform": image.platform} for image in images
        ]}).encode()
