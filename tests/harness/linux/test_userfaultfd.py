"""Page faults handled from user space, and what is said when they may not be."""

from __future__ import annotations

import ctypes
import mmap
import os
import select
import threading
from collections.abc import Callable

import numpy as np
import pytest

from migkit.errors import CapabilityError
from migkit.harness import probe
from migkit.harness.linux import calls
from migkit.harness.linux.pagemap import Category, Pagemap, mappings, scan_of
from migkit.harness.linux.ptrace import frozen
from migkit.harness.linux.userfaultfd import FAULT, Feature, Mode, Userfaultfd, create_descriptor
from tests.conftest import require

pytestmark = pytest.mark.live
PAGE = 4096
NOBODY = 65534


@pytest.fixture
def memory() -> np.ndarray:
    return np.frombuffer(mmap.mmap(-1, 8 * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), np.uint8)


def touch(address: int) -> threading.Thread:
    """Write to memory in a thread that holds no lock of the interpreter meanwhile."""
    thread = threading.Thread(target=ctypes.memset, args=(address, 9, 1), daemon=True)
    thread.start()
    return thread


def wait_for_fault(uffd: Userfaultfd) -> np.ndarray:
    assert select.select([uffd], [], [], 10)[0]
    return uffd.faults()


def test_a_missing_page_is_copied_in(memory):
    require(probe.probe("uffd-missing").available, probe.probe("uffd-missing").reason)
    address = memory.ctypes.data
    source = np.frombuffer(mmap.mmap(-1, PAGE), np.uint8)
    source[:] = 5
    with Userfaultfd.create(user_mode_only=True) as uffd:
        uffd.register(address, memory.size, Mode.MISSING)
        thread = touch(address + 3 * PAGE)
        fault = wait_for_fault(uffd)
        assert fault.dtype == FAULT
        assert fault["address"].tolist() == [address + 3 * PAGE]
        assert uffd.copy(address + 3 * PAGE, source.ctypes.data, PAGE) == PAGE
        thread.join(10)
        assert not thread.is_alive()
        with pytest.raises(FileExistsError):
            uffd.copy(address + 3 * PAGE, source.ctypes.data, PAGE)
        assert uffd.zero(address, PAGE) == PAGE
        uffd.unregister(address, memory.size)
    assert memory[3 * PAGE : 3 * PAGE + 2].tolist() == [9, 5]


def test_leaving_wakes_who_waits_to_write(memory):
    require(probe.probe("uffd-wp-sync").available, probe.probe("uffd-wp-sync").reason)
    memory[:] = 1
    address = memory.ctypes.data
    with Userfaultfd.create(Feature.PAGEFAULT_FLAG_WP, user_mode_only=True) as uffd:
        uffd.register(address, memory.size, Mode.WRITE_PROTECT)
        uffd.protect(address, memory.size)
        thread = touch(address)
        assert wait_for_fault(uffd).size == 1
        uffd.leave(address, memory.size)
        thread.join(10)
        assert not thread.is_alive()
    assert memory[0] == 9


def test_a_feature_that_no_kernel_has_is_refused():
    with pytest.raises(OSError, match="userfaultfd features"):
        Userfaultfd.create(Feature(1 << 62), user_mode_only=True)


def test_a_scan_that_fills_the_vector_goes_on(memory):
    require(probe.probe("pagemap-scan").available, probe.probe("pagemap-scan").reason)
    memory[:: 2 * PAGE] = 1
    start = memory.ctypes.data
    with Pagemap(os.getpid()) as whole, Pagemap(os.getpid(), capacity_ranges=1) as one_by_one:
        scan = scan_of(start, start + memory.size, Category.PRESENT)
        ranges = whole.ranges(scan, start)
        assert np.array_equal(one_by_one.ranges(scan, start), ranges)
    assert (ranges // PAGE).tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_a_scan_protects_all_that_it_returns_in_many_calls(memory):
    require(probe.probe("uffd-wp-async").available, probe.probe("uffd-wp-async").reason)
    start = memory.ctypes.data
    scan = scan_of(start, start + memory.size, protect=True)
    asked = Feature.WP_ASYNC | Feature.WP_UNPOPULATED
    with Userfaultfd.create(asked, user_mode_only=True) as uffd, Pagemap(os.getpid(), capacity_ranges=1) as pagemap:
        uffd.register(start, memory.size, Mode.WRITE_PROTECT)
        uffd.protect(start, memory.size)
        memory[:: 2 * PAGE] = 1
        assert pagemap.ranges(scan, start, 12).tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]
        assert pagemap.ranges(scan).size == 0
        memory[2 * PAGE : 4 * PAGE] = 1
        assert pagemap.ranges(scan, start, 12).tolist() == [[2, 4]]


def test_a_scan_says_what_the_kernel_refuses(memory):
    require(probe.probe("pagemap-scan").available, probe.probe("pagemap-scan").reason)
    start = memory.ctypes.data
    with Pagemap(os.getpid()) as pagemap, pytest.raises(PermissionError, match="PAGEMAP_SCAN: Operation not perm"):
        pagemap.ranges(scan_of(start, start + memory.size, protect=True))


def as_nobody(function: Callable[[], object]) -> str:
    """Return the message of the error that ``function`` raises without any privilege."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        try:
            function()
            os.write(write, b"no error")
        except CapabilityError as error:
            os.write(write, f"{error.exit_code} {error}".encode())
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as stream:
        return stream.read()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_without_permission_each_closed_way_is_named():
    with open("/proc/sys/vm/unprivileged_userfaultfd") as stream:  # noqa: PTH123
        if stream.read().strip() != "0":
            pytest.skip("vm.unprivileged_userfaultfd is 1: nobody lacks the permission here")
    message = as_nobody(create_descriptor)
    assert message.startswith("4 userfaultfd: not permitted: not root (no CAP_SYS_PTRACE)")
    assert "vm.unprivileged_userfaultfd is 0" in message
    assert "/dev/userfaultfd: " in message
    assert "sysctl vm.unprivileged_userfaultfd=1" in message
    assert "\n" not in message


def test_a_stopped_process_runs_on(writer):
    require(probe.probe("ptrace").available, probe.probe("ptrace").reason)
    with frozen(writer.process.pid) as threads:
        assert len(threads) >= 1
    writer.write(1)
    assert writer.memory.view(np.uint64)[512 + 1] == 1


def test_memory_of_another_process_is_read(writer):
    writer.write(2)
    page = bytearray(PAGE)
    calls.read_memory(writer.process.pid, writer.address + 2 * PAGE, memoryview(page))
    assert bytes(page) == writer.memory[2 * PAGE : 3 * PAGE].tobytes()
    with pytest.raises(OSError, match="process_vm_readv"):
        calls.read_memory(writer.process.pid, 16, memoryview(page))


def test_the_mappings_of_a_process_hold_its_memory(writer):
    found = [m for m in mappings(writer.process.pid) if m.start <= writer.address < m.end]
    assert [m.path.startswith("/memfd:") and m.writable for m in found] == [True]
