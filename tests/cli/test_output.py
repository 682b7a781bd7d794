"""Where results go: a full disk, a reader that has gone, names given twice."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from migkit.cli import _output, cli
from migkit.harness import probe
from tests.conftest import require

MIGKIT = (sys.executable, "-m", "migkit")
GUEST = ("--memory", "64 MiB")


@pytest.mark.parametrize("arguments", [("schema",), ("predict", *GUEST), ("predict", *GUEST, "--format", "parquet")])
def test_a_full_standard_output_is_one_line(arguments):
    require(Path("/dev/full").exists(), "no /dev/full here")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*MIGKIT, *arguments], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr == (
        "migkit: standard output: cannot be written (No space left on device); name a file with -o\n"
    )


def test_a_reader_that_has_gone_is_no_error():
    with subprocess.Popen([*MIGKIT, "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0


@pytest.mark.live
def test_what_was_measured_is_printed_where_its_file_cannot_be_written_any_more(tmp_path):
    require(probe.probe("ptrace").available, probe.probe("ptrace").reason)
    gone = tmp_path / "gone"
    gone.mkdir()
    asked = ["dirty", "--longest", "100 ms", "--repeats", "1", "-q", "-o", str(gone / "profile.json")]
    program = ["--", "sh", "-c", f"rmdir {gone} && sleep 60"]
    done = subprocess.run([*MIGKIT, *asked, *program], capture_output=True, text=True)
    assert done.returncode == 2
    assert "unique pages" in done.stdout
    assert done.stderr.endswith("profile.json: cannot be written (No such file or directory); choose another file\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--memory", "900 TiB"], "guest: source and destination need"),
        (["--windows", "1000000000000"], "Invalid value for '--windows': 1000000000000 is not in the range"),
        (["--seed", "9" * 23], "Invalid value for '--seed'"),
    ],
)
def test_trackers_refuses_what_never_ends(arguments, message):
    done = subprocess.run([*MIGKIT, "trackers", *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(f"migkit: {message}")
    assert len(done.stderr.splitlines()) == 1


def on_a_terminal(code):
    """Run code whose stderr is a terminal; return what it wrote to stdout and there."""
    ours, theirs = os.openpty()
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=theirs, text=True, check=True)
    os.close(theirs)
    with os.fdopen(ours, "rb") as stream, contextlib.suppress(OSError):  # the terminal ends with an error
        return done.stdout, stream.read1(1 << 16).decode()
    return done.stdout, ""


@pytest.mark.parametrize(("quiet", "shown"), [(False, True), (True, False)])
def test_progress_is_drawn_on_a_terminal_without_a_thread_beside_what_is_measured(quiet, shown):
    code = (
        "import sys, threading\n"
        "from migkit.cli._output import bars\n"
        f"with bars({quiet}, ticking=False) as bar, bar('counting', 2) as step:\n"
        "    step(1), step(1), print(threading.active_count(), file=sys.__stdout__)\n"
    )
    threads, drawn = on_a_terminal(code)
    assert threads == "1\n"
    assert ("counting" in drawn and "100%" in drawn) == shown


INPUT = "vm,host,memory\nweb,a,4 GiB\n"
HOSTS = "host,memory,link\na,64 GiB,10 Gbit/s\nb,64 GiB,10 Gbit/s\n"
DRAIN = ("drain", "--inventory", "vms.csv", "--hosts", "hosts.csv", "--empty", "a", "--improve", "0 s", "-q")


def run_in(folder, *arguments):
    (folder / "vms.csv").write_text(INPUT)
    (folder / "hosts.csv").write_text(HOSTS)
    (folder / "guest.toml").write_text('guest.memory = "64 MiB"\n')
    (folder / "link.csv").symlink_to("vms.csv")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    done = subprocess.run([*MIGKIT, *arguments], cwd=folder, capture_output=True, text=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert done.returncode == 2
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((*DRAIN, "-o", "vms.csv"), "--output: vms.csv is also the file of --inventory; name another file"),
        ((*DRAIN, "-o", "./hosts.csv"), "--output: hosts.csv is also the file of --hosts; name another file"),
        ((*DRAIN, "--report", "link.csv"), "--report: link.csv is also the file of --inventory; name another file"),
        (
            (*DRAIN, "-o", "plan", "--report", "plan"),
            "--report: plan is also the file of --output; name another file",
        ),
        (
            (*DRAIN, "-o", "plan.json", "--report", "absent/plan.html"),
            "output absent/plan.html: cannot be written (No such file or directory); choose another file",
        ),
        (("predict", "guest.toml", "-o", "guest.toml"), "--output: guest.toml is also the file of SCENARIO"),
        (("lint", "vms.csv", "-o", "vms.csv"), "--output: vms.csv is also the file of FILES;"),
        (("fit", "vms.csv", "-o", "vms.csv"), "--output: vms.csv is also the file of "),
    ],
)
def test_an_output_never_destroys_an_input_and_is_looked_at_before_the_work(tmp_path, arguments, said):
    lines = run_in(tmp_path, *arguments).splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"migkit: {said}")


@pytest.mark.parametrize("name", sorted(set(cli.list_commands(None)) - {"demo", "qemu"}))
def test_every_output_is_declared_as_one(name):
    command = cli.get_command(None, name)
    outputs = [one for one in command.params if {"-o", "--report", "--plot", "--checkpoint"} & set(one.opts)]
    assert all(isinstance(one.type, _output.Output) for one in outputs)


def test_a_table_wider_than_the_terminal_breaks_its_last_text(monkeypatch):
    monkeypatch.setattr(_output, "_terminal_width", lambda: 40)
    rows = [["h0", "has 16 GiB, takes 11.1 s; the link of h0 is what is scarce"], ["h1", "short"]]
    assert _output.columns(["host", "why"], rows, left=2).splitlines() == [
        "host  why",
        "h0    has 16 GiB, takes 11.1 s; the link",
        "      of h0 is what is scarce",
        "h1    short",
    ]
    whole = "host                                                         why"
    assert _output.columns(["host", "why"], rows, left=1).splitlines()[0] == whole
    monkeypatch.setattr(_output, "_terminal_width", lambda: 20)
    assert len(_output.columns(["host", "why"], rows, left=2).splitlines()) == 3


def test_the_width_is_that_of_the_terminal():
    code = "from migkit.cli import _output; print(_output._terminal_width())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "inf\n"
    leader, follower = os.openpty()
    with os.fdopen(leader, "rb", 0) as seen, os.fdopen(follower, "wb", 0) as terminal:
        subprocess.run([sys.executable, "-c", code], stdout=terminal, env={**os.environ, "COLUMNS": "57"}, check=True)
        assert seen.read(4) == b"57\r\n"
