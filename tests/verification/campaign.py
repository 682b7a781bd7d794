"""The fault campaign: seeded faults in real migrations; after each, one live and intact guest or a loud report.

    python -m tests.verification.campaign --runs 1000

A guest that survives is proven intact, bit for bit, before the run says that it does. Around each run
the processes, descriptors, namespaces, mounts and temporary files are counted: none may be left over.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import importlib.util
import os
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from migkit.errors import MigkitError, UsageError
from migkit.harness import probe
from migkit.harness.paths.faults import KINDS, Fault
from migkit.harness.processes.nursery import Nursery
from migkit.harness.protocol import wire
from migkit.harness.runs import run as runs
from migkit.harness.runs.options import refuse_what_is_not_done
from migkit.scenario import DirtyClass, Guest, Link, Policy, Scenario, Strategy
from migkit.traces import io

MIB = 1 << 20
DISKS = ("full-disk-checkpoint", "full-disk-trace")
KEPT = re.compile(r"the guest runs on at the (source|destination) \(operation \d+\)$")
LOST = "THE GUEST IS LOST"
REFUSALS = {
    "wrong-token": "the token is wrong",
    "wrong-certificate": "tls: the connection was refused",
    "wrong-version": f"protocol version {wire.VERSION + 1}; this side speaks {wire.VERSION}",
}
STRATEGIES = ("precopy", "stopcopy", "postcopy", "hybrid")
RESULTS = ("unharmed", "at the source", "at the destination", "loss reported", "WRONG")


def _done(**strategy):
    """Say whether the harness does this here."""
    needs = {"zstd": "zstandard", "lz4": "lz4"}.get(strategy.get("compression", ""))
    if needs and importlib.util.find_spec(needs) is None:
        return False
    try:
        refuse_what_is_not_done(Scenario(guest=Guest(memory_bytes=MIB), strategy=Strategy(**strategy)))
    except UsageError:
        return False
    return True


ENCODINGS = tuple(
    case
    for case in (
        {},
        {"compression": "zlib"},
        {"compression": "zstd"},
        {"compression": "lz4"},
        {"xbzrle": True},
    )
    if _done(**case)
)
STREAMS = tuple(streams for streams in (1, 4) if _done(streams=streams))
NETWORK = all(probe.probe(name).available for name in ("netns", "veth", "tbf")) and bool(
    importlib.util.find_spec("pyroute2")
)
PATHS = ("loopback",) * 3 + (("relay", "namespaces") if NETWORK else ("relay",))
RTT_S = 0.004


@dataclasses.dataclass(frozen=True)
class Case:
    """One migration and what goes wrong in it."""

    number: int
    kind: str
    strategy: Strategy
    plaintext: bool
    faults: tuple[Fault, ...]
    disk_bytes: int
    path: str
    patience_s: float

    @classmethod
    def drawn(cls, number: int) -> Case:
        """Return the case that a seed stands for."""
        draw = random.Random(number)
        plaintext = draw.random() < 0.5
        kinds = [*KINDS, *DISKS]
        if plaintext:
            kinds.remove("wrong-certificate")
        kind = draw.choice(kinds)
        strategy = Strategy(name=draw.choice(STRATEGIES), streams=draw.choice(STREAMS), **draw.choice(ENCODINGS))
        back = draw.random() < 0.3
        at_bytes = draw.randrange(4000) if back or draw.random() < 0.2 else draw.randrange(9 * MIB)
        patience_s, duration_s = draw.choice([(5.0, 0.1), (5.0, 0.1), (0.5, 1.2)])  # it may last too long
        fault = Fault(kind=kind, at_bytes=at_bytes, back=back, duration_s=duration_s) if kind in KINDS else None
        disk_pages = draw.randint(1, 3072 if kind == "full-disk-checkpoint" else 3)  # a trace takes two
        faults = (fault,) if fault else ()
        return cls(number, kind, strategy, plaintext, faults, 4096 * disk_pages, draw.choice(PATHS), patience_s)


def run_one(case: Case, nursery: Nursery, folder: Path) -> str:
    """Migrate, break, and return what was said: ``unharmed`` or the error."""
    guest = Guest(memory_bytes=8 * MIB, dirty=(DirtyClass(region_bytes=2 * MIB, writes_per_s=20_000),))
    rule = Policy(max_bandwidth_bytes_per_s=100e6, downtime_limit_s=0.05, time_limit_s=3.0)
    options = runs.Options(
        faults=case.faults,
        patience_s=case.patience_s,
        plaintext=case.plaintext,
        path=case.path,
        checkpoint=folder / "guest" if case.kind == "full-disk-checkpoint" else None,
    )
    try:
        link = Link() if case.path == "loopback" else Link(rtt_s=RTT_S)
        scenario = Scenario(guest=guest, link=link, policy=rule, strategy=case.strategy)
        trace = runs.run(scenario, seed=case.number, options=options, nursery=nursery)
        if case.kind == "full-disk-trace":
            io.write(trace, folder / "run.parquet")
    except MigkitError as error:
        return f"{error}"
    return "unharmed" if trace.outcome.verified else "not verified"


def judge(case: Case, said: str) -> str:
    """Return which of :data:`RESULTS` that is."""
    if said == "unharmed":
        return "WRONG" if case.kind in REFUSALS else "unharmed"
    if "proof:" in said:
        return "WRONG"
    if case.kind in DISKS:
        full = "cannot be written (No space left on device)" in said
        where = "at the source" if case.kind == "full-disk-checkpoint" else "at the destination"
        return where if full else "WRONG"
    if LOST in said:
        return "loss reported" if case.strategy.name in ("postcopy", "hybrid") else "WRONG"
    kept = KEPT.search(said)
    if kept is None or (case.kind in REFUSALS and REFUSALS[case.kind] not in said):
        return "WRONG"
    return f"at the {kept.group(1)}"


@contextlib.contextmanager
def small_disk(size_bytes: int):
    """Yield a folder on a file system of its own that is soon full."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", folder], check=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


def held(nursery: Nursery) -> dict[str, object]:
    """Return what this process and its nursery hold that a run could leave behind."""
    pids = (os.getpid(), nursery.pid)
    links = [str(each.readlink()) for pid in pids for each in _descriptors(pid)]
    return {
        "children of the nursery": Path(f"/proc/{pids[1]}/task/{pids[1]}/children").read_text(),
        "descriptors": len(links),
        "memfds": sum("memfd:" in link for link in links),
        "namespaces": sum(link.startswith("net:") for link in links),
        "named namespaces": _names(Path("/run/netns")),
        "mounts": Path("/proc/self/mounts").read_text().count(f" {tempfile.gettempdir()}/"),
        "temporary files": _names(Path(tempfile.gettempdir())),
    }


def _names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir()) if folder.is_dir() else []


def _descriptors(pid: int) -> list[Path]:
    return [each for each in Path(f"/proc/{pid}/fd").iterdir() if each.is_symlink()]


def leaks(before: dict[str, object], after: dict[str, object]) -> str:
    """Return what changed, in words; nothing when nothing did."""
    return "; ".join(
        f"{name}: {before[name]} before, {after[name]} after" for name in before if before[name] != after[name]
    )


@contextlib.contextmanager
def private_temporary_files():
    """Have this process and its children put temporary files where nobody else does."""
    old = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="campaign-") as folder:
        tempfile.tempdir = folder
        try:
            yield
        finally:
            tempfile.tempdir = old


def campaign(numbers, nursery: Nursery, progress=lambda done: None):
    """Run cases; return how often each kind came to each result, and what went wrong."""
    table: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    wrong = []
    before = held(nursery)
    for done, number in enumerate(numbers):
        case = Case.drawn(number)
        with small_disk(case.disk_bytes) if case.kind in DISKS else contextlib.nullcontext() as folder:
            said = run_one(case, nursery, folder)
            left = _names(folder) if folder and said != "unharmed" else []
        result = judge(case, said)
        leaked = leaks(before, held(nursery)) or (f"files {left}" if left else "")
        table[case.kind][result] += 1
        if result == "WRONG" or leaked:
            wrong.append(f"{case}: {said}; left over: {leaked or 'nothing'}")
            before = held(nursery)
        progress(done + 1)
    return table, wrong


def as_text(table) -> str:
    """Return the table as lines of Markdown."""
    total = sum(table.values(), collections.Counter())
    rows = [*sorted(table.items()), ("all", total)]
    lines = ["| fault | runs | " + " | ".join(RESULTS) + " |", "|---" * (len(RESULTS) + 2) + "|"]
    lines += [f"| {kind} | {row.total()} | " + " | ".join(str(row[r]) for r in RESULTS) + " |" for kind, row in rows]
    return "\n".join(lines)


def main() -> None:
    """Run the campaign from the command line; exit 1 when anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="seed of the first run")
    asked = parser.parse_args()

    def progress(done: int) -> None:
        if sys.stderr.isatty() or done % 50 == 0:
            print(f"\r{done}/{asked.runs}", end="" if sys.stderr.isatty() else "\n", file=sys.stderr, flush=True)

    with private_temporary_files(), Nursery() as nursery:
        table, wrong = campaign(range(asked.first, asked.first + asked.runs), nursery, progress)
    print(as_text(table))
    print("\n".join(wrong) or "nothing wrong, nothing left over")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
