"""Two QEMU processes, source and destination, and one real migration between them over loopback TCP."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
import re
import socket
import subprocess
import time
from pathlib import Path

from migkit.scenario import Scenario
from migkit.units import MIB

HERE = Path(__file__).parent
COMPILE = ("gcc", "-m32", "-march=i686", "-O2", "-ffreestanding", "-nostdlib", "-static", "-fno-pic", "-no-pie")
COMPILE += ("-fno-stack-protector", "-Wl,--build-id=none,--no-warn-rwx-segments", f"-Wl,-T,{HERE / 'link.ld'}")
ENDED = ("completed", "failed")
POLL_S = 0.02
PRIORITY = 10
STARTS_WITHIN_S = 60.0
TRIES = 3
DISTURBED = 0.02  # of a migration's time: a hypervisor withheld a processor for longer
STEAL = 8  # field of the first line of /proc/stat


class QemuError(Exception):
    """QEMU refused a command, or a machine ended."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What ``query-migrate`` said of a migration when it ended, or when its time was over."""

    status: str
    total_time_s: float
    downtime_s: float
    transferred_bytes: int
    normal_pages: int
    zero_pages: int
    dirty_sync_count: int
    postcopy_requests: int
    max_throttle_percent: int
    stolen_s: float

    @property
    def disturbed(self) -> bool:
        """Whether the machine's own hypervisor withheld its processors for long."""
        return self.stolen_s > DISTURBED * self.total_time_s


def build_guest(folder: Path) -> Path:
    """Compile the guest program into ``folder``."""
    image = folder / "guest.elf"
    subprocess.run([*COMPILE, str(HERE / "boot.S"), str(HERE / "guest.c"), "-o", str(image)], check=True)
    return image


def version_of(qemu: str) -> str:
    """Ask a QEMU binary for its version."""
    said = subprocess.run([qemu, "--version"], capture_output=True, text=True, check=True).stdout
    return re.search(r"version (\d+(?:\.\d+)+)", said).group(1)


def version_number(version: str) -> tuple[int, ...]:
    """Return a version as numbers that can be compared."""
    return tuple(map(int, version.split(".")))


@contextlib.contextmanager
def undisturbed():
    """Go before other processes, with all that this one starts; yield whether that is permitted."""
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(PRIORITY))
    except PermissionError:
        yield False
        return
    try:
        yield True
    finally:
        os.sched_setscheduler(0, *before)


class Machine:
    """A QEMU process with one vCPU and a serial port, and its monitor."""

    def __init__(self, qemu: str, image: Path, scenario: Scenario, *options: str):
        self._monitor, theirs = socket.socketpair()
        guest = scenario.guest
        classes = [f"{c.region_pages} {c.writes_per_s:.0f} {c.kind == 'sweep':d}" for c in guest.dirty]
        command = [qemu, "-accel", "tcg", "-machine", "pc", "-nodefaults", "-display", "none", "-serial", "stdio"]
        command += ["-m", str(guest.memory_bytes // MIB), "-kernel", str(image)]
        command += ["-append", f"@{guest.fill == 'constant':d} {len(classes)} {' '.join(classes)}"]
        command += ["-chardev", f"socket,id=monitor,fd={theirs.fileno()}", "-mon", "chardev=monitor,mode=control"]
        with theirs:
            self._process = subprocess.Popen(
                [*command, *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, pass_fds=[theirs.fileno()]
            )
        self._lines = self._monitor.makefile()
        self._monitor.settimeout(STARTS_WITHIN_S)
        self._next()  # the greeting
        self.do("qmp_capabilities")

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._lines.close()
        self._monitor.close()

    def wait_until_filled(self) -> None:
        """Wait until the guest has filled its regions."""
        if self._process.stdout.readline() != b"READY\n":
            raise QemuError("the guest did not start")

    def do(self, command: str, **arguments):
        """Execute a command of the monitor and return what it returns."""
        self._monitor.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        while True:
            said = self._next()
            if "error" in said:
                raise QemuError(f"{command}: {said['error']['desc']}")
            if "return" in said:
                return said["return"]

    def _next(self) -> dict:
        line = self._lines.readline()
        if not line:
            raise QemuError("the machine ended")
        return json.loads(line)


def worked_s(seed: int) -> float:
    """Return for how long a guest has worked when its migration begins [s]."""
    return random.Random(seed).uniform(1.0, 2.0)


def migrate(qemu: str, image: Path, scenario: Scenario, seed: int) -> Outcome:
    """Run a migration of a guest that has worked for a second or two; if need be again, until it is not disturbed.

    Return the least disturbed of ``TRIES`` otherwise.
    """
    outcomes: list[Outcome] = []
    while len(outcomes) < TRIES and all(one.disturbed for one in outcomes):
        outcomes.append(_migrate(qemu, image, scenario, seed))
    return min(outcomes, key=lambda one: one.stolen_s / one.total_time_s)


def _migrate(qemu: str, image: Path, scenario: Scenario, seed: int) -> Outcome:
    with (
        contextlib.closing(Machine(qemu, image, scenario)) as source,
        contextlib.closing(Machine(qemu, image, scenario, "-incoming", "defer")) as destination,
    ):
        if scenario.strategy.name == "hybrid":
            _enable("postcopy-ram", source, destination)
        if scenario.strategy.auto_converge:
            _enable("auto-converge", source)
        source.do(
            "migrate-set-parameters",
            **{
                "max-bandwidth": round(scenario.policy.max_bandwidth_bytes_per_s),
                "downtime-limit": round(1e3 * scenario.policy.downtime_limit_s),
            },
        )
        source.wait_until_filled()
        time.sleep(worked_s(seed))
        destination.do("migrate-incoming", uri="tcp:127.0.0.1:0")
        port = destination.do("query-migrate")["socket-address"][0]["port"]
        source.do("migrate", uri=f"tcp:127.0.0.1:{port}")
        return _follow(source, scenario)


def _enable(capability: str, *machines: Machine) -> None:
    for machine in machines:
        machine.do("migrate-set-capabilities", capabilities=[{"capability": capability, "state": True}])


def _follow(source: Machine, scenario: Scenario) -> Outcome:
    """Ask for post-copy when it is due; return what there is to say at the end, or when the time is over."""
    started_s, stolen_s = time.monotonic(), _stolen_s()
    postcopy_s = scenario.strategy.postcopy_after_s
    throttle = 0
    while True:
        said = source.do("query-migrate")
        elapsed_s = time.monotonic() - started_s
        throttle = max(throttle, said.get("cpu-throttle-percentage", 0))
        if said["status"] in ENDED:
            return _outcome(said, said["status"], throttle, _stolen_s() - stolen_s)
        if elapsed_s > scenario.policy.time_limit_s:
            return _outcome(said, "timeout", throttle, _stolen_s() - stolen_s)
        if postcopy_s is not None and elapsed_s >= postcopy_s:
            source.do("migrate-start-postcopy")
            postcopy_s = None
        time.sleep(POLL_S if postcopy_s is None else min(POLL_S, max(0.0, postcopy_s - elapsed_s)))


def _stolen_s() -> float:
    """Return for how long a hypervisor has withheld this machine's processors from it, all together [s]."""
    return int(Path("/proc/stat").read_text().split()[STEAL]) / os.sysconf("SC_CLK_TCK")


def _outcome(said: dict, status: str, throttle: int, stolen_s: float) -> Outcome:
    ram = said["ram"]
    return Outcome(
        status=status,
        total_time_s=said["total-time"] / 1e3,
        downtime_s=said.get("downtime", 0) / 1e3,
        transferred_bytes=ram["transferred"],
        normal_pages=ram["normal"],
        zero_pages=ram["duplicate"],
        dirty_sync_count=ram["dirty-sync-count"],
        postcopy_requests=ram.get("postcopy-requests", 0),
        max_throttle_percent=throttle,
        stolen_s=stolen_s,
    )
