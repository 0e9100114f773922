"""The measurements as a page of the documentation."""

import datetime
import os
import platform
import re
import subprocess

HEAD = """\
# Benchmarks

Written by `tests/bench/run`, which measures ours and its peers by turns, in the same run, and shows medians.
"Times faster" is the peer's median divided by ours. Apptainer is timed from within its own tree; what it
takes to enter that is left out.

| | |
|---|---|
"""
MARK = "<!-- {} -->"


def page(world, told):
    """The whole page: parts with what was measured of them."""
    facts = "".join(f"| {name} | {value} |\n" for name, value in machine(world))
    return HEAD + facts + "".join(f"\n{MARK.format(part)}\n{text}" for part, text in told)


def parts(path):
    """The parts of a page that is there."""
    found = re.split(r"^<!-- (\w+) -->\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {part: text.rstrip("\n") + "\n" for part, text in zip(found[1::2], found[2::2])}


def measured(world, runs, sections):
    """What was measured of a part, and when."""
    load = os.getloadavg()[1]
    after = f", after it {load:.1f}" if load > 1 else ""
    when = f"Measured on {datetime.date.today().isoformat()}, {runs} times each; load before the run " \
           f"{world.load:.1f}{after}.\n"
    return "\n".join([*sections, when])


def section(title, headings, rows, notes=()):
    """A table, and sentences below it."""
    lines = [f"## {title}", "", line(headings), line(["---"] * len(headings)), *map(line, rows), ""]
    lines += [f"- {note}" for note in notes]
    return "\n".join(lines) + ("\n" if notes else "")


def verbatim(title, text):
    """What another program printed."""
    return f"## {title}\n\n```\n{text.strip()}\n```\n"


def line(cells):
    return "| " + " | ".join(cells) + " |"


def machine(world):
    """On what it was measured; nothing that names the machine."""
    yield "processor", f"{processor()}, {os.cpu_count()} cores"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    yield "memory", f"{memory / (1 << 30):.0f} GiB"
    yield "kernel", f"{platform.system()} {platform.release()}"
    yield "Cooperage", first_line([world.program, "--version"])
    yield "Apptainer", first_line([world.apptainer, "--version"])


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        names = [it.partition(":")[2].strip() for it in lines if it.startswith("model name")]
    return names[0] if names else platform.machine()


def first_line(words):
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split("\n")[0]
