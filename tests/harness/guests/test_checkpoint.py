"""Checkpoints of a running guest: consistent, restorable, and refused once touched."""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from migkit.errors import CapabilityError, RunError, TraceError, UsageError
from migkit.harness import probe
from migkit.harness.guests import checkpoint, writers
from migkit.harness.guests.attached import Attached
from migkit.harness.guests.proof import Reference, guest_process
from migkit.harness.guests.restore import restore
from migkit.harness.processes.nursery import Nursery
from migkit.scenario import DirtyClass, Guest, Scenario
from migkit.scenario.form import schema
from tests.conftest import in_two_gib, require

SEED = 11
SCENARIO = Scenario(
    guest=Guest(
        memory_bytes=24 << 20,
        zero_bytes=4 << 20,
        dirty=(
            DirtyClass(region_bytes=8 << 20, writes_per_s=20000),
            DirtyClass(region_bytes=2 << 20, writes_per_s=2000, kind="sweep"),
        ),
    )
)


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    require(probe.probe("uffd-wp-sync").available, probe.probe("uffd-wp-sync").reason)
    with Nursery() as one:
        yield one


@pytest.fixture
def guest(nursery) -> Iterator[tuple]:
    with guest_process(nursery, SCENARIO, "running_time", SEED) as channel:
        yield channel, Attached(channel, SCENARIO.guest.memory_bytes)


@pytest.fixture(scope="module")
def file(nursery, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "guest.ckpt"
    with guest_process(nursery, SCENARIO, "running_time", SEED) as channel:
        attached = Attached(channel, SCENARIO.guest.memory_bytes)
        run_for(attached, 2000)
        checkpoint.save(attached, SCENARIO, "running_time", path)
    return path


def run_for(guest: Attached, operations: int) -> None:
    guest.order("resume")
    goal = guest.operations + operations
    while guest.operations < goal:
        time.sleep(0)


@pytest.mark.live
@pytest.mark.untimed
def test_a_guest_that_runs_on_is_saved_as_it_was_at_one_operation(nursery, guest, tmp_path):
    channel, attached = guest
    run_for(attached, 3000)
    saved = checkpoint.save(attached, SCENARIO, "running_time", tmp_path / "guest")
    assert saved.operations >= 3000
    assert attached.operations >= saved.operations
    run_for(attached, 1000)
    attached.order("stop")
    with Reference.of(nursery, SCENARIO, SEED) as reference:
        assert reference.prove(channel, "saved") > saved.operations
    found = restore(tmp_path / "guest", lambda: None, nursery)
    assert found.from_operations == saved.operations
    assert [p.name for p in tmp_path.iterdir()] == ["guest"]


@pytest.mark.live
@pytest.mark.untimed
def test_pages_that_the_guest_writes_are_saved_first(nursery, tmp_path):
    """With a large guest that writes everywhere, some writes come before their page's turn."""
    busy = Scenario(
        guest=Guest(memory_bytes=128 << 20, dirty=(DirtyClass(region_bytes=128 << 20, writes_per_s=1e5),))
    )
    with guest_process(nursery, busy, "running_time", 3) as channel:
        attached = Attached(channel, busy.guest.memory_bytes)
        run_for(attached, 2000)
        saved = checkpoint.save(attached, busy, "running_time", tmp_path / "guest")
        assert saved.copied_first_pages > 0
        assert attached.operations > saved.operations
    assert restore(tmp_path / "guest", lambda: None, nursery).operations >= saved.operations


@pytest.mark.live
@pytest.mark.untimed
def test_a_full_disk_leaves_the_guest_running_and_no_file(nursery, guest):
    _, attached = guest
    attached.order("resume")
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    command = ["unshare", "--mount", "sh", "-ec", FULL_DISK]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHON": sys.executable})
    assert done.stdout.splitlines() == ["No space left on device", "running", "nothing left"], done.stderr


FULL_DISK = """
folder=$(mktemp -d)
mount -t tmpfs -o size=4m tmpfs "$folder"
"$PYTHON" - "$folder" <<'END'
import pathlib, sys
from migkit.errors import UsageError
from migkit.harness.guests import checkpoint
from migkit.harness.guests.attached import Attached
from migkit.harness.processes.nursery import Nursery
from migkit.harness.guests.proof import guest_process
from tests.harness.guests.test_checkpoint import SCENARIO, run_for
folder = pathlib.Path(sys.argv[1])
with Nursery() as nursery, guest_process(nursery, SCENARIO, "running_time", 1) as channel:
    guest = Attached(channel, SCENARIO.guest.memory_bytes)
    guest.order("resume")
    try:
        checkpoint.save(guest, SCENARIO, "running_time", folder / "guest")
    except UsageError as error:
        print(str(error).split("(")[1].split(")")[0])
    run_for(guest, 1000)
    print("running")
print("nothing left" if not list(folder.iterdir()) else "a file is left")
END
umount "$folder"; rmdir "$folder"
"""


@pytest.mark.live
@pytest.mark.untimed
def test_a_guest_without_a_userfaultfd_is_refused(guest, tmp_path):
    _, attached = guest
    os.close(attached.take_userfaultfd())
    with pytest.raises(CapabilityError):
        checkpoint.save(attached, SCENARIO, "running_time", tmp_path / "guest")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.live
@pytest.mark.untimed
def test_an_altered_byte_anywhere_is_refused(file, tmp_path):
    original = file.read_bytes()
    for offset in (0, 8, 12, 20, 300, 4096, len(original) // 2, len(original) - 4000, len(original) - 1):
        altered = bytearray(original)
        altered[offset] ^= 1
        (tmp_path / "altered").write_bytes(altered)
        with pytest.raises(TraceError, match=r"^checkpoint .*(altered|truncated|version|no checkpoint|appended)"):
            checkpoint.read(tmp_path / "altered")


@pytest.mark.live
@pytest.mark.untimed
@pytest.mark.parametrize("kept", [0, 7, 15, 16, 100, 4096, 1 << 20, -33, -1])
def test_a_truncated_file_is_refused(file, tmp_path, kept):
    (tmp_path / "cut").write_bytes(file.read_bytes()[:kept])
    with pytest.raises(TraceError, match=r"truncated|is no checkpoint"):
        checkpoint.read(tmp_path / "cut")


@pytest.mark.live
@pytest.mark.untimed
def test_appended_bytes_are_refused(file, tmp_path):
    (tmp_path / "long").write_bytes(file.read_bytes() + b"x")
    with pytest.raises(TraceError, match="has something appended"):
        checkpoint.read(tmp_path / "long")


@pytest.mark.live
@pytest.mark.untimed
def test_a_wrong_memory_with_a_right_checksum_fails_the_proof(nursery, file, tmp_path):
    data = bytearray(file.read_bytes()[:-32])
    data[checkpoint.read(file).memory_offset + 5000] ^= 1
    (tmp_path / "forged").write_bytes(bytes(data) + hashlib.sha256(data).digest())
    with pytest.raises(RunError, match="proof: the memory of the stopped guest at operation"):
        restore(tmp_path / "forged", lambda: None, nursery)


@pytest.mark.live
@pytest.mark.untimed
def test_the_command_restores_and_proves(file):
    done = subprocess.run(
        [sys.executable, "-m", "migkit", "restore", file, "--run", "100 ms", "--format", "json"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["verified"]
    assert found["operations"] >= found["from_operations"] >= 2000


def test_a_missing_file_is_one_line():
    done = subprocess.run([sys.executable, "-m", "migkit", "restore", "/no/such"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "migkit: checkpoint /no/such: cannot be read (No such file or directory); check the path\n"


def test_a_checkpoint_that_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"cannot be written \(No such file or directory\)"):
        checkpoint.save(None, SCENARIO, "running_time", tmp_path / "no" / "file")  # type: ignore[arg-type]


HEADERS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["scenario", "pacing", "operations", "guest", "memory_bytes"]), inner)
    ),
    max_leaves=8,
)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    header=st.binary(max_size=200) | HEADERS.map(lambda h: json.dumps(h).encode()),
    version=st.sampled_from([1, 1, 1, 2]),
    claimed=st.none() | st.integers(0, 2**32 - 1),
    rest=st.binary(max_size=100),
)
def test_any_bytes_are_read_or_refused(tmp_path, header, version, claimed, rest):
    length = len(header) if claimed is None else claimed
    (tmp_path / "fuzzed").write_bytes(struct.pack("<8sII", b"MIGKCKPT", version, length) + header + rest)
    with pytest.raises(TraceError) as caught:
        checkpoint.read(tmp_path / "fuzzed")
    assert "\n" not in str(caught.value)


@pytest.mark.live
@pytest.mark.untimed
def test_a_captured_guest_is_saved_before_it_is_moved(nursery, tmp_path):
    from migkit.harness.runs.options import Options
    from migkit.harness.runs.run import run

    trace = run(SCENARIO, seed=SEED, options=Options(checkpoint=tmp_path / "guest"), nursery=nursery)
    assert trace.outcome.verified
    found = restore(tmp_path / "guest", lambda: None, nursery)
    assert 0 <= found.from_operations <= found.operations


def sealed(data: bytes) -> bytes:
    return data + hashlib.sha256(data).digest()


def with_registers(data: bytes, **changes: int) -> bytes:
    """Return a checkpoint with some registers altered and a right seal."""
    body = bytearray(data[:-32])
    registers = np.frombuffer(body, np.int64)[-writers.REGISTERS :]
    for name, value in changes.items():
        registers[getattr(writers, name)] = value
    return sealed(bytes(body))


@pytest.mark.live
@pytest.mark.untimed
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"CLASS": -7}, "class -7 is not within 0 to 1"),
        ({"CLASS": 2}, "class 2 is not within 0 to 1"),
        ({"CLASS": -(1 << 62)}, "class"),
        ({"TICK": -1}, "tick -1 is not within"),
        ({"TICK": 1 << 62}, "tick"),
        ({"TICK": 10**9}, "are not within"),
        ({"DONE": -5}, "position in the tick -5"),
        ({"DONE": 1 << 40}, "position in the tick"),
        ({"COUNTS": -1}, "are not the sum"),
        ({"COUNTS": 1 << 62, "WRITES": 1 << 62, "OPERATIONS": 1 << 62}, "are not"),
        ({"OPERATIONS": 1 << 62}, "operations"),
        ({"OPERATIONS": 0, "WRITES": 0}, "writes 0 are not the sum"),
        ({"RUNNING_NS": -1}, "running time"),
        ({"OWED_NS": (1 << 63) - 1}, "granted time"),
        ({"STOPPED_NS": -(1 << 63)}, "time of the stop"),
        ({"READ_SUM": -1}, "sum of reads"),
    ],
)
def test_registers_that_no_such_guest_has_are_refused_under_a_right_seal(file, tmp_path, changes, reason):
    (tmp_path / "forged").write_bytes(with_registers(file.read_bytes(), **changes))
    with pytest.raises(TraceError, match=f"its registers are none of such a guest .*{reason}"):
        checkpoint.read(tmp_path / "forged")


@pytest.mark.live
@pytest.mark.untimed
def test_registers_that_are_altered_after_they_were_read_are_refused(nursery, file, tmp_path):
    path = tmp_path / "forged"
    path.write_bytes(file.read_bytes())
    saved = checkpoint.read(path)
    path.write_bytes(with_registers(file.read_bytes(), CLASS=-7))
    with guest_process(nursery, saved.scenario, saved.pacing, None) as channel:
        attached = Attached(channel, saved.scenario.guest.memory_bytes)
        with pytest.raises(TraceError, match="class -7"):
            checkpoint.load_into(saved, attached)
        assert not attached.registers.any()


def small(memory_bytes: int, **more: object) -> bytes:
    """Return the header of a checkpoint of an idle guest."""
    scenario = schema.to_record(Scenario(guest=Guest(memory_bytes=memory_bytes)))
    header = {"migkit_version": "1", "scenario": scenario, "pacing": "running_time", "operations": 0} | more
    text = json.dumps(header).encode()
    start = struct.pack("<8sII", b"MIGKCKPT", 1, len(text)) + text
    return start.ljust(-(-len(start) // 4096) * 4096, b"\0")


@pytest.mark.parametrize("memory_bytes", [1 << 40, 6 << 30])
def test_a_guest_that_does_not_fit_is_refused_before_its_file_is_read(tmp_path, memory_bytes):
    """In 2 GiB of address space even 6 GiB of holes do not fit."""
    path = tmp_path / "large"
    path.write_bytes(small(memory_bytes))
    with path.open("r+b") as stream:
        stream.truncate(path.stat().st_size + memory_bytes + 4096 + 32)
    done = in_two_gib("restore", path)
    assert done.returncode == 2
    assert re.fullmatch(r"migkit: checkpoint .*need [\d.]+ \w+, [\d.]+ \w+ are available here; .*\n", done.stderr)


def test_a_checkpoint_that_brings_a_rule_is_refused(tmp_path):
    body = small(4096, rule={"source": "def rule(state, parameters): ..."}) + bytes(8192)
    (tmp_path / "forged").write_bytes(sealed(body))
    with pytest.raises(TraceError, match="its header was altered"):
        checkpoint.read(tmp_path / "forged")
    (tmp_path / "plain").write_bytes(sealed(small(4096) + bytes(8192)))
    assert checkpoint.read(tmp_path / "plain").operations == 0


@pytest.mark.live
@pytest.mark.untimed
def test_a_checkpoint_is_its_owners_alone(tmp_path, nursery, guest):
    _, attached = guest
    old = os.umask(0)
    try:
        checkpoint.save(attached, SCENARIO, "running_time", tmp_path / "guest")
    finally:
        os.umask(old)
    assert (tmp_path / "guest").stat().st_mode & 0o777 == 0o600
