"""The capture command as a user meets it: results, errors in one line, interruption."""

import csv
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from migkit.traces import io
from tests.conftest import TOP

pytestmark = [pytest.mark.live, pytest.mark.untimed]
SMALL = ["--memory", "32 MiB", "--dirty", 'region = "4 MiB", writes_per_s = 5000', "--max-bandwidth", "60 MB/s"]
# Refuse userfaultfd and /dev/userfaultfd to this process and its children, then run migkit.
WITHOUT_USERFAULTFD = """
import ctypes, platform, struct
from migkit.harness.linux.calls import syscall_number
ioctl = {"x86_64": 16, "aarch64": 29}[platform.machine()]
load, equal, leave = 0x20, 0x15, 0x06
rules = [
    (load, 0, 0, 0), (equal, 4, 0, syscall_number("userfaultfd")), (equal, 0, 2, ioctl),
    (load, 0, 0, 24), (equal, 1, 0, 0xAA00), (leave, 0, 0, 0x7FFF0000), (leave, 0, 0, 0x00050001),
]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *rule) for rule in rules))
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(Program(len(rules), ctypes.addressof(code)))) == 0
from migkit.cli import main
main()
"""


def migkit(*arguments, code=None):
    start = [sys.executable, "-c", code] if code else [sys.executable, "-m", "migkit"]
    environment = os.environ | {"PYTHONPATH": str(TOP)}
    return subprocess.run(
        [*start, "capture", *map(str, arguments)], capture_output=True, text=True, env=environment, timeout=120
    )


def test_a_run_is_reported_and_recorded(tmp_path):
    result = migkit(*SMALL, "-o", tmp_path / "run.parquet", "--format", "json")
    assert result.returncode == 0, result.stderr
    outcome = json.loads(result.stdout)["outcome"]
    assert outcome["verified"]
    assert outcome["verdict"] == "converges"
    assert io.read(tmp_path / "run.parquet").outcome.transferred_bytes == outcome["transferred_bytes"]
    assert "precopy, round 1" in result.stderr


def test_a_file_and_flags_make_one_scenario(tmp_path):
    path = tmp_path / "s.toml"
    path.write_text('[guest]\nmemory = "32 MiB"\nzero = "8 MiB"\n[policy]\nmax_bandwidth = "50 MB/s"\n')
    result = migkit(path, "--strategy", "stopcopy", "-o", tmp_path / "run.parquet")
    assert result.returncode == 0, result.stderr
    scenario = io.read(tmp_path / "run.parquet").scenario
    assert (scenario.strategy.name, scenario.guest.zero_bytes) == ("stopcopy", 8 << 20)
    assert scenario.policy.max_bandwidth_bytes_per_s == 50e6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "scenario: none was given; name a file, or use flags"),
        (["--memory", "64"], 'guest.memory: "64" has no unit; write it with one of B, kB'),
        (["--memory", "64 Mb"], 'guest.memory: "Mb" is not a unit of size'),
        (["--memory", "-64 MiB"], 'guest.memory: "-64 MiB" is negative'),
        (
            ["--memory", "64 MiB", "--max-bandwidth", "0 MB/s"],
            "policy.max_bandwidth: 0 bit/s is too",
        ),
        (
            ["--memory", "64 MiB", "--dirty", 'region = "65 MiB", writes_per_s = 10'],
            "guest: dirty regions (65 MiB) and zero pages (0 B) exceed",
        ),
        (["--memory", "64 MiB", "--dirty", "1 MiB"], "guest.dirty: '1 MiB' is not written as in a file"),
        (["--memory", "64 MiB", "--tracker", "guess"], "tracker: 'guess' is not known"),
        (["--memory", "64 MiB", "--pacing", "fast"], "pacing: 'fast' is not known"),
        (["--memory", "64 MiB", "--port", "70000"], "port: 70000 is out of range"),
        (["--memory", "64 MiB", "--recovery", "60"], "recovery: "),
        (["missing.toml"], "scenario missing.toml: cannot be read (No such file or directory)"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(arguments, message):
    result = migkit(*arguments)
    assert result.returncode == 2
    assert result.stderr.startswith(f"migkit: {message}")
    assert len(result.stderr.splitlines()) == 1


def test_a_guest_that_does_not_fit_is_not_admitted():
    result = migkit("--memory", "1 PiB")
    assert result.returncode == 2
    assert result.stderr.startswith("migkit: guest: source and destination need 2 PiB together, ")
    assert result.stderr.rstrip().endswith(
        "are available here; shrink the guest or free memory; no guest was started"
    )


def test_repeats_are_recorded_one_by_one_without_the_warm_up(tmp_path):
    result = migkit(*SMALL, "--repeat", 2, "-o", tmp_path / "run.parquet")
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run-1.parquet", "run-2.parquet"]
    assert result.stdout.count("verified") == 2
    assert [io.read(path).provenance["seed"] for path in sorted(tmp_path.iterdir())] == [1, 2]


def test_one_guest_is_moved_there_and_back(tmp_path):
    result = migkit(*SMALL, "--moves", 3, "-o", tmp_path / "run.parquet")
    assert result.returncode == 0, result.stderr
    operations = [io.read(tmp_path / f"run-{number}.parquet").outcome.guest_operations for number in (1, 2, 3)]
    assert operations == sorted(operations)
    assert operations[0] < operations[2]


def test_a_design_is_run_in_random_order_and_resumed(tmp_path):
    design, folder = tmp_path / "design.toml", tmp_path / "runs"
    design.write_text('[grid.strategy]\nname = ["stopcopy", "precopy"]\ntls = [true, false]\n')
    memory = ["--memory", "8 MiB"]
    small = ["--max-bandwidth", "100 MB/s", "--grid", design, "-o", folder, "--repeat", 2]
    result = migkit(*memory, *small)
    assert result.returncode == 0, result.stderr
    with (folder / "index.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 8
    assert [row["trace"] for row in rows] == sorted(path.name for path in folder.glob("*.parquet"))
    for row in rows:
        trace = io.read(folder / row["trace"])
        assert trace.scenario.strategy.name == row["strategy.name"]
        assert str(trace.scenario.strategy.tls) == row["strategy.tls"]
        assert trace.outcome.total_time_s == float(row["total_time_s"])
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.parquet")}
    gone = folder / rows[3]["trace"]
    gone.unlink()
    result = migkit(*memory, *small)
    assert result.returncode == 0, result.stderr
    assert {path.name for path in folder.glob("*.parquet") if path.stat().st_mtime_ns != before[path.name]} == {
        gone.name
    }
    result = migkit(*small, "--memory", "4 MiB")
    assert result.returncode == 2
    assert "is of another scenario; use another folder or remove it" in result.stderr


def test_repeats_go_into_a_folder_that_is_there(tmp_path):
    result = migkit("--memory", "4 MiB", "--repeat", 2, "-o", tmp_path)
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run-1.parquet", "run-2.parquet"]


def test_a_design_and_its_scenario_may_be_one_file(tmp_path):
    design = tmp_path / "design.toml"
    design.write_text('[guest]\nmemory = "4 MiB"\n[grid.strategy]\nname = ["stopcopy"]\n')
    result = migkit("--grid", design, "-o", tmp_path / "runs")
    assert result.returncode == 0, result.stderr
    assert io.read(tmp_path / "runs" / "001-1.parquet").scenario.guest.memory_bytes == 4 << 20
    both = migkit(design, "--grid", design, "-o", tmp_path / "runs")
    assert both.returncode == 2
    assert "the design has a scenario as well" in both.stderr


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    design, taken = tmp_path / "design.toml", tmp_path / "runs"
    design.write_text('[grid.strategy]\nname = ["stopcopy"]\n')
    taken.write_text("mine")
    result = migkit(*SMALL, "--grid", design, "-o", taken)
    assert result.returncode == 2
    assert result.stderr == f"migkit: grid: {taken} cannot be made (File exists); name another folder with -o\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--repeat", 2, "--moves", 2], "moves: with --repeat as well it is not clear which guest is meant"),
        (["--grid", "design.toml"], "grid: no folder was given; name one for the traces with -o FOLDER"),
        (["--grid", "design.toml", "-o", "runs"], "scenario design.toml: cannot be read"),
    ],
)
def test_contradictions_of_runs_are_one_line(arguments, message):
    result = migkit(*SMALL, *arguments)
    assert result.returncode == 2
    assert result.stderr.startswith(f"migkit: {message}")


def test_a_trace_that_is_in_the_way_is_noticed_before_the_run(tmp_path):
    (tmp_path / "run.parquet").write_text("mine")
    result = migkit(*SMALL, "-o", tmp_path / "run.parquet")
    assert result.returncode == 2
    assert "it exists; write elsewhere or overwrite it with --force" in result.stderr


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("/dev/full", "is a folder or a device; name a file"),
        ("/proc/run.parquet", "cannot be written"),
        ("folder", "is a folder or a device; name a file"),
        ("missing/run.parquet", "does not exist; create it or write elsewhere"),
    ],
)
def test_a_place_where_no_trace_can_be_is_noticed_before_the_run(tmp_path, place, message):
    (tmp_path / "folder").mkdir()
    result = migkit(*SMALL, "-o", tmp_path / place, "--force")
    assert result.returncode == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_what_a_killed_run_had_written_is_removed(tmp_path):
    parts = [tmp_path / f".run.parquet.{name}.part" for name in ("old", "new")]
    for part in parts:
        part.touch()
    os.utime(parts[0], (0, 0))
    assert migkit(*SMALL, "-o", tmp_path / "run.parquet").returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [parts[1].name, "run.parquet"]


def test_a_port_in_use_is_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = migkit(*SMALL, "--port", port)
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith(f"migkit: port: {port} on 127.0.0.1 is in use; choose another")


def test_without_userfaultfd_the_tracker_is_refused_with_the_remedy():
    result = migkit(*SMALL, "--tracker", "uffd-async", code=WITHOUT_USERFAULTFD)
    assert result.returncode == 4, result.stderr
    last = result.stderr.splitlines()[-1]
    assert last.startswith("migkit: tracker uffd-async: userfaultfd: not permitted")
    assert "run as root, or sysctl vm.unprivileged_userfaultfd=1" in last


def test_without_userfaultfd_the_writers_are_asked(tmp_path):
    result = migkit(*SMALL, "--format", "json", code=WITHOUT_USERFAULTFD)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["machine"]["tracker"] in ("instrumented", "soft-dirty")


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_migration_leaves_the_guest_at_one_side_and_no_file(tmp_path, kind):
    output = tmp_path / "run.parquet"
    arguments = [
        "--memory",
        "64 MiB",
        "--dirty",
        'region = "4 MiB", writes_per_s = 5000',
        "--max-bandwidth",
        "10 MB/s",
        "-o",
        str(output),
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "migkit", "capture", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(kind, signal.SIG_DFL),  # a background job ignores Ctrl-C
        env=os.environ | {"PYTHONPATH": str(TOP)},
    )
    said = ""
    while "precopy" not in said:
        said += process.stderr.readline()
    children = descendants(process.pid)
    assert len(children) >= 5
    process.send_signal(kind)
    said += process.communicate()[1]
    assert process.returncode == 130
    assert re.fullmatch(
        r"migkit: interrupted; the guest runs on at the source \(operation \d+\)", said.splitlines()[-1]
    )
    assert list(tmp_path.iterdir()) == []
    assert [pid for pid in children if alive(pid)] == []


def test_killing_the_command_leaves_no_process(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "migkit", "capture", "--memory", "64 MiB", "--max-bandwidth", "5 MB/s"],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(TOP)},
    )
    while "precopy" not in process.stderr.readline():
        pass
    watched = [os.pidfd_open(pid) for pid in descendants(process.pid)]
    process.kill()
    process.wait()
    process.stderr.close()
    for child in watched:
        assert select.select([child], [], [], 30)[0], "a process outlived the command"
        os.close(child)


def descendants(pid):
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            found += [child, *descendants(child)]
    return found


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
