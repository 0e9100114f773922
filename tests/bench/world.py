"""What the benchmarks need: both programs, a registry with bases, and a folder to build in."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import measure

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOLS = ROOT / "tests/tools"
PEER = TOOLS / "apptainer"
DEBIAN = pathlib.Path("/var/cache/cooperage-tests/debian-bookworm.tar")
sys.path.insert(0, str(TOOLS))

import large_layer  # noqa: E402
import layers  # noqa: E402
import many_files  # noqa: E402
from registry import Registry  # noqa: E402

# Times a command within Apptainer's tree: what it takes to enter that is left out.
TIMED = 'a=$(date +%s%N); "$@" >"$LOG" 2>&1 || exit 9; b=$(date +%s%N); echo $((b - a))'
ZSTD = "-comp zstd -Xcompression-level 3"


class World:
    """A folder below /tmp, which Apptainer's tree shares; it is removed at the end."""

    def __init__(self, program):
        self.program = program or release_build()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cooperage-bench-", dir="/tmp"))
        measure.run([PEER, "--install"])
        self.registry = Registry(str(self.folder), "registry")
        self.options = measure.run([self.program, "build", "--help"])
        self.bases = {}
        os.environ.update(APPTAINER_NOHTTPS="1", APPTAINER_CACHEDIR=str(self.cache("peer")),
                          APPTAINER_TMPDIR="/tmp")

    def end(self):
        self.registry.process.terminate()
        self.registry.process.wait()
        shutil.rmtree(self.folder)

    def debian(self):
        """The address of a small Debian."""
        if "debian" not in self.bases:
            measure.run([TOOLS / "debian-tree", DEBIAN])
            tar = DEBIAN.read_bytes()
            image = layers.Image([tar], {"Env": [layers.PATH], "Cmd": ["bash"]})
            self.registry.push("debian", image, "latest")
            self.bases["debian"] = f"{self.registry.address}/debian:latest"
        return self.bases["debian"]

    def many(self, files, size):
        """The address of a base of so many files."""
        name = f"files-{files}-{size}"
        if name not in self.bases:
            many_files.push(self.registry, name, files, size)
            self.bases[name] = f"{self.registry.address}/{name}:latest"
        return self.bases[name]

    def one_layer(self, size):
        """The address of a base whose files are in one layer of so many bytes."""
        name = f"layer-{size}"
        if name not in self.bases:
            large_layer.push(self.registry, name, size)
            self.bases[name] = f"{self.registry.address}/{name}:latest"
        return self.bases[name]

    def can(self, option):
        """Whether this build of ours has an option."""
        return option in self.options

    def ours(self, cache, *words):
        """The command line of our program with a cache of that name."""
        return ["env", f"COOPERAGE_CACHE={self.cache(cache)}", f"COOPERAGE_TMPDIR={self.folder}/tmp",
                self.program, *words]

    def peer(self, words):
        """Seconds that Apptainer takes, as it counts them in its tree; those of the processor are
        not known."""
        log = self.folder / "peer.log"
        environment = {**os.environ, "LOG": str(log)}
        entered = [PEER, "--program", "sh", "-c", TIMED, "sh", "apptainer", *words]
        ran = subprocess.run(entered, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                             env=environment, cwd=self.folder)
        if ran.returncode:
            last = log.read_text(errors="replace")[-800:] if log.exists() else ran.stderr
            raise measure.Failed(f"apptainer {' '.join(map(str, words))}\n{last}")
        return int(ran.stdout.split()[-1]) / 1e9, 0.0

    def cache(self, name):
        return self.folder / f"cache-{name}"

    def forget(self, name):
        """Removes a cache."""
        measure.run(["rm", "-rf", self.cache(name)])

    def write(self, name, text):
        """A file in the folder."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path


def release_build():
    """The program, built from this tree as it is released."""
    subprocess.run(["cargo", "build", "--release", "--quiet", "--package", "cooperage-cli"],
                   check=True, cwd=ROOT)
    target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    return pathlib.Path(target) / "release/cooperage"
