"""Checkpoints of a running guest: consistent, restorable, and refused once touched."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from migkit.errors import CapabilityError, RunError, TraceError, UsageError
from migkit.harness import checkpoint, probe
from migkit.harness.attached import Attached
from migkit.harness.nursery import Nursery
from migkit.harness.proof import Reference, guest_process
from migkit.harness.restore import restore
from migkit.scenario import DirtyClass, Guest, Scenario
from tests.conftest import require

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
from migkit.harness import checkpoint
from migkit.harness.attached import Attached
from migkit.harness.nursery import Nursery
from migkit.harness.proof import guest_process
from tests.harness.test_checkpoint import SCENARIO, run_for
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
def test_a_guest_without_a_userfaultfd_is_refused(guest, tmp_path):
    _, attached = guest
    os.close(attached.take_userfaultfd())
    with pytest.raises(CapabilityError):
        checkpoint.save(attached, SCENARIO, "running_time", tmp_path / "guest")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.live
def test_an_altered_byte_anywhere_is_refused(file, tmp_path):
    original = file.read_bytes()
    for offset in (0, 8, 12, 20, 300, 4096, len(original) // 2, len(original) - 4000, len(original) - 1):
        altered = bytearray(original)
        altered[offset] ^= 1
        (tmp_path / "altered").write_bytes(altered)
        with pytest.raises(TraceError, match=r"^checkpoint .*(altered|truncated|version|no checkpoint|appended)"):
            checkpoint.read(tmp_path / "altered")


@pytest.mark.live
@pytest.mark.parametrize("kept", [0, 7, 15, 16, 100, 4096, 1 << 20, -33, -1])
def test_a_truncated_file_is_refused(file, tmp_path, kept):
    (tmp_path / "cut").write_bytes(file.read_bytes()[:kept])
    with pytest.raises(TraceError, match=r"truncated|is no checkpoint"):
        checkpoint.read(tmp_path / "cut")


@pytest.mark.live
def test_appended_bytes_are_refused(file, tmp_path):
    (tmp_path / "long").write_bytes(file.read_bytes() + b"x")
    with pytest.raises(TraceError, match="has something appended"):
        checkpoint.read(tmp_path / "long")


@pytest.mark.live
def test_a_wrong_memory_with_a_right_checksum_fails_the_proof(nursery, file, tmp_path):
    import hashlib

    data = bytearray(file.read_bytes()[:-32])
    data[checkpoint.read(file).memory_offset + 5000] ^= 1
    (tmp_path / "forged").write_bytes(bytes(data) + hashlib.sha256(data).digest())
    with pytest.raises(RunError, match="proof: the memory of the stopped guest at operation"):
        restore(tmp_path / "forged", lambda: None, nursery)


@pytest.mark.live
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
def test_a_captured_guest_is_saved_before_it_is_moved(nursery, tmp_path):
    from migkit.harness.options import Options
    from migkit.harness.run import run

    trace = run(SCENARIO, seed=SEED, options=Options(checkpoint=tmp_path / "guest"), nursery=nursery)
    assert trace.outcome.verified
    found = restore(tmp_path / "guest", lambda: None, nursery)
    assert 0 <= found.from_operations <= found.operations
