"""How long commands take, what they cost, and how much memory their processes have."""

import ctypes
import os
import statistics
import subprocess
import time

PR_SET_CHILD_SUBREAPER = 36
# How often the memory of a tree of processes is looked at, in seconds.
LOOK = 0.02


class Failed(Exception):
    """A command that was to be measured failed."""


class Way:
    """One of the ways to get the same thing."""

    def __init__(self, name, command, before=lambda turn: None, inside=None):
        """`command(turn)` gives the words; `inside` runs them where entering is not counted."""
        self.name, self.command, self.before, self.inside = name, command, before, inside
        self.seconds, self.processor = [], []

    def once(self, turn):
        self.before(turn)
        words = self.command(turn)
        seconds, processor = timed(words) if self.inside is None else self.inside(words)
        self.seconds.append(seconds)
        self.processor.append(processor)

    @property
    def median(self):
        return statistics.median(self.seconds)

    @property
    def median_processor(self):
        return statistics.median(self.processor)


def by_turns(ways, runs):
    """Runs all ways by turns, so that what else the machine does falls on all of them."""
    for turn in range(runs):
        for way in ways:
            way.once(turn)


def timed(words):
    """Seconds, and those of the processor, that a command takes with all that it starts."""
    before = os.times()
    begin = time.monotonic()
    run(words)
    seconds = time.monotonic() - begin
    after = os.times()
    used = after.children_user - before.children_user
    return seconds, used + after.children_system - before.children_system


def attempt(words):
    """Runs a command, whatever comes of it."""
    return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          errors="replace")


def run(words):
    """Runs a command, and tells what it said when it fails."""
    ran = attempt(words)
    if ran.returncode:
        lines = (ran.stderr or ran.stdout).strip().splitlines()[-5:]
        raise Failed("\n".join([" ".join(map(str, words)), f"status {ran.returncode}", *lines]))
    return ran.stdout


def peak_memory(words, others):
    """Most bytes that the processes of a command have at once, what they share counted once.

    `others` are processes of ours that do not belong to it.
    """
    # Those whose parent ends become our children, and are not lost.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True, errors="replace")
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(map(memory_of, descendants(others))))
        time.sleep(LOOK)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 0)
    if process.returncode:
        raise Failed(" ".join(map(str, words)) + "\n" + process.stderr.read()[-500:])
    return peak


def descendants(others):
    """Processes below this one."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            parent = parent_of(entry)
            children.setdefault(parent, []).append(int(entry))
    found, waiting = [], [os.getpid()]
    while waiting:
        for child in children.get(waiting.pop(), []):
            if child not in others:
                found.append(child)
                waiting.append(child)
    return found


def parent_of(process):
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as status:
            return int(status.read().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return None  # it has ended


def memory_of(process):
    try:
        with open(f"/proc/{process}/smaps_rollup", encoding="ascii") as memory:
            for line in memory:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) << 10
    except OSError:
        pass  # it has ended, or is another user's
    return 0
