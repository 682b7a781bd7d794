"""What this machine can do, found by doing it, never by looking at a version.

Each feature has a stable key: ``migkit doctor --require KEY``, the tests and the harness ask by it.
"""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import mmap
import os
import select
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from migkit.errors import CapabilityError, UsageError
from migkit.harness.linux import kvm
from migkit.harness.linux.pagemap import Pagemap, scan_of
from migkit.harness.linux.userfaultfd import Feature, Mode, Userfaultfd
from migkit.harness.watching.kept import Kept
from migkit.units import GIB, MIB, PAGE_BYTES, format_size

__all__ = ["PROBES", "Probe", "probe", "probe_all"]

_PAGES: Final = 8
_FAULT_TIMEOUT_MS: Final = 5000
_KVM_LOOP_PER_S: Final = 5e7
_KERNEL_REMEDY: Final = "boot a kernel that has it: apt-get install -y -t bookworm-backports linux-image-amd64"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What was found of one feature.

    Attributes
    ----------
    key
        Its stable name.
    what
        What it is for, in a few words.
    available
        Whether it works here.
    reason
        What was done and seen.
    remedy
        What makes it available; empty when it is.
    details
        Versions, sizes (in bytes) and rates, by name.
    """

    key: str
    what: str
    available: bool
    reason: str
    remedy: str = ""
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class _MissingError(Exception):
    """A feature is absent: why, and what to do."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason, self.remedy = reason, remedy


_Found = tuple[str, dict[str, Any]]


def probe_all() -> list[Probe]:
    """Return all probes, each done once in the life of the process."""
    return [probe(key) for key in PROBES]


@functools.cache
def probe(key: str) -> Probe:
    """Return what is found of one feature, by its key.

    Raises
    ------
    UsageError
        No such key.
    """
    if key not in PROBES:
        raise UsageError(f"probe: {key!r} is not known; use one of {', '.join(PROBES)}")
    what, attempt, remedy = PROBES[key]
    try:
        reason, details = attempt()
    except _MissingError as missing:
        return Probe(key=key, what=what, available=False, reason=missing.reason, remedy=missing.remedy)
    except CapabilityError as error:
        return Probe(key=key, what=what, available=False, reason=str(error), remedy="run as root")
    except OSError as error:
        return Probe(key=key, what=what, available=False, reason=error.strerror or str(error), remedy=remedy)
    return Probe(key=key, what=what, available=True, reason=reason, details=details)


def _userfaultfd() -> _Found:
    with Userfaultfd.create() as uffd:
        return "created one that also handles the kernel's own faults", {"features": _names(uffd.features)}


def _user_mode() -> _Found:
    with Userfaultfd.create(user_mode_only=True) as uffd:
        return "created one", {"features": _names(uffd.features)}


def _names(features: Feature) -> list[str]:
    return [feature.name or "" for feature in Feature if feature in features]


@contextmanager
def _memory() -> Iterator[tuple[int, int]]:
    """Yield the addresses of two mappings of one new shared memory file."""
    descriptor = os.memfd_create("migkit-probe", os.MFD_CLOEXEC)
    try:
        os.ftruncate(descriptor, _PAGES * PAGE_BYTES)
        with mmap.mmap(descriptor, 0) as one, mmap.mmap(descriptor, 0) as two:
            addresses = [ctypes.addressof(ctypes.c_char.from_buffer(m)) for m in (one, two)]
            yield addresses[0], addresses[1]
    finally:
        os.close(descriptor)


def _wp_async() -> _Found:
    features = Feature.WP_ASYNC | Feature.WP_UNPOPULATED | Feature.WP_HUGETLBFS_SHMEM
    with _memory() as (address, _), _user_uffd(features) as uffd, Pagemap(os.getpid()) as pagemap:
        uffd.register(address, _PAGES * PAGE_BYTES, Mode.WRITE_PROTECT)
        uffd.protect(address, _PAGES * PAGE_BYTES)
        ctypes.memset(address + 3 * PAGE_BYTES, 1, 1)
        scan = scan_of(address, address + _PAGES * PAGE_BYTES, protect=True)
        first = pagemap.ranges(scan).tolist()
        again = pagemap.ranges(scan)
    expected = [[address + 3 * PAGE_BYTES, address + 4 * PAGE_BYTES]]
    if first != expected or again.size:
        raise _MissingError(
            "a scan did not return exactly the page written", "use the tracker uffd-sync or instrumented"
        )
    return "one page written, exactly that page returned and protected again", {}


def _pagemap_scan() -> _Found:
    with _memory() as (address, _), Pagemap(os.getpid()) as pagemap:
        pagemap.ranges(scan_of(address, address + _PAGES * PAGE_BYTES))
    return "a scan of this process succeeded", {}


def _user_uffd(features: Feature) -> Userfaultfd:
    return Userfaultfd.create(features, user_mode_only=True)


def _wp_sync() -> _Found:
    def prepare(uffd: Userfaultfd, address: int, _: int) -> None:
        ctypes.memset(address, 1, PAGE_BYTES)
        uffd.protect(address, PAGE_BYTES)

    features = Feature.PAGEFAULT_FLAG_WP | Feature.WP_HUGETLBFS_SHMEM
    return _fault(features, Mode.WRITE_PROTECT, prepare, lambda uffd, address: uffd.unprotect(address, PAGE_BYTES))


def _missing() -> _Found:
    return _fault(
        Feature.MISSING_SHMEM,
        Mode.MISSING,
        lambda uffd, address, other: None,
        lambda uffd, address: uffd.zero(address, PAGE_BYTES),
    )


def _minor() -> _Found:
    return _fault(
        Feature.MINOR_SHMEM,
        Mode.MINOR,
        lambda uffd, address, other: ctypes.memset(other, 1, PAGE_BYTES),
        lambda uffd, address: uffd.resume(address, PAGE_BYTES),
    )


def _fault(
    features: Feature,
    mode: Mode,
    prepare: Callable[[Userfaultfd, int, int], object],
    answer: Callable[[Userfaultfd, int], object],
) -> _Found:
    """Have a thread fault on the first page, hear of it, answer it, and see the thread go on."""
    with _memory() as (address, other), _user_uffd(features) as uffd:
        uffd.register(address, _PAGES * PAGE_BYTES, mode)
        prepare(uffd, address, other)
        thread = threading.Thread(target=ctypes.memset, args=(address, 2, 1), daemon=True)
        thread.start()
        poll = select.poll()
        poll.register(uffd, select.POLLIN)
        heard = poll.poll(_FAULT_TIMEOUT_MS) and (uffd.faults()["address"] == address).any()
        if heard:
            answer(uffd, address)
        uffd.close()
        thread.join()
    if not heard:
        raise _MissingError("the fault was not reported", _KERNEL_REMEDY)
    return "a fault was reported and answered", {}


def _soft_dirty() -> _Found:
    with _memory() as (address, _), Pagemap(os.getpid()) as pagemap:
        ctypes.memset(address, 1, _PAGES * PAGE_BYTES)
        Path("/proc/self/clear_refs").write_text("4")
        ctypes.memset(address + PAGE_BYTES, 2, 1)
        marked = pagemap.soft_dirty(address, _PAGES * PAGE_BYTES)
    if np.flatnonzero(marked).tolist() != [1]:
        raise _MissingError(
            "clearing and writing one page does not mark that page alone: no CONFIG_MEM_SOFT_DIRTY",
            "use the tracker uffd-async",
        )
    return "cleared, one page written, exactly that page marked", {}


def _ptrace() -> _Found:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        try:
            with Kept() as keeper:
                descriptor, found = keeper.watch(child.pid)
                os.close(descriptor)
        finally:
            child.kill()
    return "another process was visited, a userfaultfd of its memory brought out, and it ran on", found


def _in_namespace(*commands: str) -> _Found:
    """Run commands in a network namespace of their own, which ends with them."""
    for tool, package in (("unshare", "util-linux"), ("ip", "iproute2"), ("tc", "iproute2")):
        if shutil.which(tool, path=_PATH) is None:
            raise _MissingError(f"the command {tool} is not here", f"apt-get install -y {package}")
    done = _run("unshare", "--net", "sh", "-ec", "\n".join(commands))
    if done.returncode:
        text = (done.stderr or done.stdout).strip().splitlines()
        raise OSError(1, text[-1] if text else f"exit code {done.returncode}")
    return f"made one in a network namespace: {commands[-1]}", {}


_PAIR: Final = "ip link add end0 type veth peer name end1"
_PATH: Final = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, env=os.environ | {"PATH": _PATH}
    )


def _tool(package: str, *names: str) -> _Found:
    """Find the first of some commands and ask its version."""
    for name in names:
        path = shutil.which(name, path=_PATH)
        if path is not None:
            done = _run(path, "--version")
            lines = (done.stdout or done.stderr).strip().splitlines()
            if done.returncode == 0 and lines:
                return lines[0].strip(), {"path": path, "version": lines[0].strip()}
            raise _MissingError(f"{path} does not run: exit code {done.returncode}", f"apt-get install -y {package}")
    raise _MissingError(f"{' or '.join(names)} is not installed", f"apt-get install -y {package}")


def _qemu() -> _Found:
    version, details = _tool("qemu-system-x86", "qemu-system-x86_64")
    accelerators = _run(details["path"], "-accel", "help").stdout.split("\n")[1:]
    details["accelerators"] = sorted({name.strip() for name in accelerators if name.strip()})
    return f"{version}; accelerators: {', '.join(details['accelerators'])}", details


def _kvm() -> _Found:
    if not Path("/dev/kvm").exists():
        raise _MissingError(
            "there is no /dev/kvm", "use software emulation, or enable virtualisation for this machine"
        )
    rate_per_s = kvm.loop_rate_per_s()
    said = f"runs {rate_per_s / 1e6:.3g} million turns of a 32-bit loop a second"
    if rate_per_s < _KVM_LOOP_PER_S:
        raise _MissingError(f"nested and slow: {said}", "use software emulation (tcg)")
    return said, {"loop_per_s": rate_per_s}


def _free_memory() -> _Found:
    lines = Path("/proc/meminfo").read_text().splitlines()
    free_bytes = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    return _enough("memory", free_bytes, 2 * GIB, "end other programs, or use a machine with more memory")


def _shared_memory() -> _Found:
    if not Path("/dev/shm").is_dir():
        raise _MissingError("there is no /dev/shm", "mount -t tmpfs tmpfs /dev/shm")
    state = os.statvfs("/dev/shm")
    return _enough("/dev/shm", state.f_bavail * state.f_frsize, 512 * MIB, "mount -o remount,size=2G /dev/shm")


def _enough(name: str, free_bytes: int, needed_bytes: int, remedy: str) -> _Found:
    said = f"{format_size(free_bytes)} of {name} free, {format_size(needed_bytes)} wanted"
    if free_bytes < needed_bytes:
        raise _MissingError(said, remedy)
    return said, {"free_bytes": free_bytes}


PROBES: Final[Mapping[str, tuple[str, Callable[[], _Found], str]]] = {
    "userfaultfd": ("faults of any code, for post-copy", _userfaultfd, "run as root"),
    "userfaultfd-user-mode": ("faults of user code", _user_mode, "allow the userfaultfd system call"),
    "uffd-wp-async": ("dirty tracking from outside", _wp_async, _KERNEL_REMEDY),
    "uffd-wp-sync": ("dirty tracking by faults; checkpoints", _wp_sync, _KERNEL_REMEDY),
    "uffd-missing": ("post-copy", _missing, _KERNEL_REMEDY),
    "uffd-minor": ("post-copy into shared memory", _minor, _KERNEL_REMEDY),
    "pagemap-scan": ("fast scan for dirty pages", _pagemap_scan, _KERNEL_REMEDY),
    "soft-dirty": ("dirty tracking by page-table bits", _soft_dirty, _KERNEL_REMEDY),
    "ptrace": ("tracking any process", _ptrace, "run as root, with x86-64 and kernel.yama.ptrace_scope below 3"),
    "netns": ("two hosts on one machine", lambda: _in_namespace("ip link set lo up"), "run as root"),
    "veth": ("a link between namespaces", lambda: _in_namespace(_PAIR), "run as root; modprobe veth"),
    "tbf": (
        "a capped link",
        lambda: _in_namespace(_PAIR, "tc qdisc add dev end0 root tbf rate 1mbit burst 32kb latency 50ms"),
        "run as root; modprobe sch_tbf",
    ),
    "netem": (
        "delay and loss by the kernel",
        lambda: _in_namespace(_PAIR, "tc qdisc add dev end0 root netem delay 1ms"),
        "run as root; modprobe sch_netem; without it delay and loss are emulated in user space",
    ),
    "qemu": ("real virtual machines", _qemu, "apt-get install -y qemu-system-x86"),
    "kvm": ("virtual machines at full speed", _kvm, "run as root, or join the group kvm"),
    "chromium": (
        "browser tests",
        lambda: _tool("chromium fonts-dejavu-core", "chromium", "chromium-browser", "google-chrome"),
        "apt-get install -y chromium fonts-dejavu-core",
    ),
    "iperf3": ("goodput reference", lambda: _tool("iperf3", "iperf3"), "apt-get install -y iperf3"),
    "gcc": ("speed references in C", lambda: _tool("gcc libc6-dev", "gcc"), "apt-get install -y gcc libc6-dev"),
    "redis": ("a real program to track", lambda: _tool("redis-server", "redis-server"), "apt-get install -y redis"),
    "memory": ("guests", _free_memory, ""),
    "shm": ("shared memory files", _shared_memory, ""),
}
