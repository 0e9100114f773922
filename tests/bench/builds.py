"""Builds, ours beside Apptainer's: of a small Debian, of a large base, and of ten times the files."""

import json
import re

import measure
from measure import Way
from world import PEER, ZSTD

DEFINITION = """\
Bootstrap: docker
From: {base}

%post
    echo built >/etc/bench
    mkdir -p /opt/bench
    i=0; while [ $i -lt 100 ]; do echo $i >/opt/bench/$i; i=$((i + 1)); done

%environment
    export BENCH=1

%labels
    turn {turn}

%runscript
    cat /etc/bench
"""
# Where the two are meant to differ: times that nobody sets, and what each notes of itself.
IGNORED = "time,image,object,label,definition,environment,text"
EXPECTED = re.compile(r"/\.singularity\.d(/.*)?|/(environment|singularity|\.run|\.exec|\.test|\.shell)")


def memory_by_turns(world, base):
    """Most memory of all our processes: of a build with an empty cache, and of the next one."""
    builds = Builds(world, base, 1)
    image, definition = world.folder / "memory.sif", world.folder / "Definition"
    registry = {world.registry.process.pid}
    world.forget("cold")
    option = ["--no-step-cache"] if builds.has_steps else []
    for name in ("cold", "warm, `%post` run"):
        words = world.ours("cold", "build", "--force", *option, image, definition)
        yield name, measure.peak_memory(words, registry)


class Builds:
    """All builds of one base."""

    def __init__(self, world, base, runs):
        self.world, self.base, self.runs = world, base, runs
        self.definition(0)
        self.has_steps = world.can("--no-step-cache")

    def definition(self, turn):
        return self.world.write("Definition", DEFINITION.format(base=self.base, turn=turn))

    def apptainer(self, name, before, *options):
        image = self.world.folder / f"{name}.sif"
        words = ["build", *options, "--force", image, self.world.folder / "Definition"]
        return Way(name, lambda _: words, before, self.world.peer)

    def ours(self, name, cache, before, *options):
        image = self.world.folder / f"{name}.sif"
        words = self.world.ours(cache, "build", "--force", *options, image,
                                self.world.folder / "Definition")
        return Way(name, lambda _: words, before)

    def cold(self):
        """Nothing in any cache."""
        ways = [self.apptainer("peer", lambda _: self.world.forget("peer")),
                self.apptainer("peer-zstd", lambda _: self.world.forget("peer"),
                               "--mksquashfs-args", ZSTD),
                self.ours("ours", "cold", lambda _: self.world.forget("cold"))]
        measure.by_turns(ways, self.runs)
        return ways

    def warm(self):
        """The base in every cache, `%post` run; and as it is after an edit of a label."""
        same = self.never()
        ways = [self.apptainer("peer", same),
                self.apptainer("peer-zstd", same, "--mksquashfs-args", ZSTD),
                self.ours("ours", "cold", same, *(["--no-step-cache"] if self.has_steps else []))]
        if self.has_steps:
            ways.append(self.ours("ours-step", "cold", self.definition))
        measure.by_turns(ways, self.runs)
        self.definition(0)
        return ways

    @staticmethod
    def never():
        return lambda _: None

    def memory(self):
        """Most memory of all processes of a build with empty caches: Apptainer's, and ours."""
        registry = {self.world.registry.process.pid}
        self.world.forget("peer")
        self.world.forget("cold")
        image, definition = self.world.folder / "memory.sif", self.world.folder / "Definition"
        peer = measure.peak_memory([PEER, "build", "--force", image, definition], registry)
        ours = self.world.ours("cold", "build", "--force", image, definition)
        return peer, measure.peak_memory(ours, registry)

    def unexpected(self):
        """Files that are not the same in the images of both, and not meant to differ."""
        words = [self.world.program, "diff", "--format", "json", "--ignore", IGNORED,
                 self.world.folder / "peer.sif", self.world.folder / "ours.sif"]
        ran = measure.attempt(words)
        if ran.returncode > 1:
            raise measure.Failed(ran.stderr)
        differences = json.loads(ran.stdout)["differences"]
        return [it for it in differences
                if not EXPECTED.fullmatch(it["name"]) and not is_kept_device(it)]

    def sizes(self):
        return {name: (self.world.folder / f"{name}.sif").stat().st_size
                for name in ("peer", "peer-zstd", "ours")}


def is_kept_device(difference):
    """Apptainer without CAP_MKNOD writes an empty file in the place of a device of the base."""
    kind, size = (difference["facts"].get(fact, {}) for fact in ("kind", "size"))
    return kind.get("a") == "file" and "device" in str(kind.get("b")) and size.get("a") == 0


def compare(world, base, runs):
    """Everything about builds of one base, as rows of a table and sentences below it."""
    builds = Builds(world, base, runs)
    cold, warm = builds.cold(), builds.warm()
    rows = [row("cold", cold[2], cold), row("warm, `%post` run", warm[2], warm)]
    if len(warm) > 3:
        rows.append(row("a label edited, by the step cache", warm[3], warm))
    sizes, (peer, ours) = builds.sizes(), builds.memory()
    notes = [
        f"Size: ours {mib(sizes['ours'])}, Apptainer {mib(sizes['peer'])} as it comes "
        f"({sizes['ours'] / sizes['peer']:.3f} of it), {mib(sizes['peer-zstd'])} with zstd.",
        f"Most memory of all processes of a cold build: ours {mib(ours)}, Apptainer {mib(peer)}.",
        f"Processor time of a warm build, scripts included: {warm[2].median_processor:.2f} s.",
        verdict(builds.unexpected()),
    ]
    return rows, notes


def row(what, ours, ways):
    peer, zstd = ways[0].median, ways[1].median
    return [what, f"{ours.median:.2f} s", f"{peer:.2f} s", f"{peer / ours.median:.1f}",
            f"{zstd:.2f} s", f"{zstd / ours.median:.1f}"]


def verdict(unexpected):
    if not unexpected:
        return ("The image has the files that Apptainer's has, apart from what each notes of itself "
                "and devices, for which Apptainer writes empty files when it may not make them.")
    names = ", ".join(f"{it['name']} ({it['change']}: {', '.join(it['facts'])})"
                      for it in unexpected[:10])
    return f"**{len(unexpected)} files are not those of Apptainer's image:** {names}"


def scale(world, files, size, runs):
    """How a build grows with the number of files, at the same size of each."""
    few, many = (Builds(world, world.many(count, size * count // files), runs)
                 for count in (files, 10 * files))
    rows = []
    for builds, count in ((few, files), (many, 10 * files)):
        builds.definition(0)
        world.forget("cold")
        ways = [builds.ours("ours", "cold", lambda _: world.forget("cold"))]
        measure.by_turns(ways, runs)
        option = ["--no-step-cache"] if builds.has_steps else []
        ways.append(builds.ours("ours", "cold", Builds.never(), *option))
        measure.by_turns(ways[1:], runs)
        rows.append((count, *ways))
    (_, cold, warm), (_, colder, warmer) = rows
    table = [[str(count), f"{a.median:.2f} s", f"{b.median:.2f} s", f"{b.median_processor:.2f} s"]
             for count, a, b in rows]
    table.append(["times as much", f"{colder.median / cold.median:.1f}",
                  f"{warmer.median / warm.median:.1f}",
                  f"{warmer.median_processor / max(warm.median_processor, 0.01):.1f}"])
    return table


def mib(count):
    return f"{count / (1 << 20):.1f} MiB"
