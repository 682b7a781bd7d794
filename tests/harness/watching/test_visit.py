"""Programs of many kinds are visited and notice nothing, or are refused before they are touched."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from migkit.errors import CapabilityError, RunError, UsageError
from migkit.harness import probe
from migkit.harness.linux import scanning
from migkit.harness.linux.ptrace import frozen
from migkit.harness.tracking.program import WriteProtectedProcess
from migkit.harness.watching import attach, keeper, watchable
from migkit.harness.watching.kept import Kept
from tests.conftest import require
from tests.harness.watched import PROGRAMS, build, facts, running, settled, watched
from tests.verification import watched_calls

pytestmark = pytest.mark.live
VISITS = 2
CAN_BE_REFUSED = ("recv-all",)  # stopped in the middle it would return too few bytes
RESTS = re.findall(r'\{ "([a-z_0-9-]+)", in_', (PROGRAMS / "rests.c").read_text())
CALLS = re.findall(r'\{ "([a-z_-]+)", do_', (PROGRAMS / "waiter.c").read_text())


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> Path:
    for key in ("gcc", "ptrace", "uffd-wp-async"):
        require(probe.probe(key).available, probe.probe(key).reason)
    return build(tmp_path_factory.mktemp("programs"))


def visit(pid: int, *, masks: bool = True) -> None:
    """Bring a userfaultfd out, drop it, and see that nothing of it is left."""
    before = facts(pid, masks=masks)
    with Kept() as keeper:
        descriptor, _ = keeper.watch(pid)
        os.close(descriptor)
    settled(pid, before, "visited", masks=masks)


def ended(process: subprocess.Popen[str]) -> str:
    return process.communicate(timeout=60)[0].split("\n")[0]


@pytest.mark.parametrize("call", CALLS)
def test_a_wait_in_a_call_never_notices(built, call):
    with running(built / "waiter", call) as process:
        refusable = call in CAN_BE_REFUSED
        for _ in range(1 if refusable else VISITS):  # 10 s pass until it is refused
            with contextlib.suppress(*([CapabilityError] if refusable else [])):
                visit(process.pid, masks=False)  # some calls change it while they wait; the program looks after each
        verdict, turns = ended(process).split()
    assert verdict == "intact"
    assert int(turns) > 0


@pytest.mark.parametrize("kind", ["busy", "blocked"])
def test_every_register_is_as_it_was(built, kind):
    with running(built / "registers", kind) as process:
        for _ in range(5 * VISITS):
            visit(process.pid)
            process.stdin.write("x")
            process.stdin.flush()
        process.send_signal(signal.SIGTERM)
        assert ended(process) == "intact"


@pytest.mark.parametrize(
    "kind",
    ["allowed", "threads", "vfork", "rseq", "idle", "reserve", "leaderless", "remains", "handles-here"],
)
def test_odd_programs_are_visited_unharmed(built, kind):
    with running(built / "odd", kind) as process:
        for _ in range(VISITS):
            visit(process.pid)
        assert ended(process) == "intact"


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("killed", "its seccomp filter refuses a visit: close_range kills the process"),
        ("denied", "its seccomp filter refuses a visit: close_range fails with EPERM"),
        ("sigsys", "its seccomp filter refuses a visit: close_range sends SIGSYS"),
        ("strict", "runs under strict seccomp"),
        ("notified", r"message queue /watched-\d+ \(mq_notify\)"),
        ("uffd", "handles its own memory with a userfaultfd"),
        pytest.param("held", "no moment was found within 10 s", marks=pytest.mark.verification),
        pytest.param(
            "handles-aside",
            "no moment was found within 10 s .*on a stack for signals",
            marks=pytest.mark.verification,
        ),
        ("small-stack", "no moment was found within 10 s .*stack"),
    ],
)
def test_what_would_be_harmed_is_refused_untouched(built, kind, reason):
    with running(built / "odd", kind) as process:
        with pytest.raises(CapabilityError, match=reason):
            visit(process.pid)
        assert ended(process) == "intact"


@pytest.mark.parametrize("computes", [pytest.param(0, marks=pytest.mark.verification), 200_000])
def test_a_program_that_may_not_resume_its_sleep_is_not_stopped_in_it(built, computes):
    """Its seccomp filter kills for ``restart_syscall``."""
    with running(built / "odd", "no-restart", str(computes)) as process:
        for _ in range(VISITS):
            with contextlib.suppress(CapabilityError):
                visit(process.pid)
        assert ended(process) == "intact"


def test_visits_at_the_same_time_leave_each_other_alone(built):
    """The thread that one visit makes is no candidate for another, whose chain would lie on that of the first."""

    def visits(pid: int) -> None:
        for _ in range(4 * VISITS):
            with contextlib.suppress(CapabilityError), Kept() as keeper:
                os.close(keeper.watch(pid)[0])

    with running(built / "odd", "remains") as process, ThreadPoolExecutor(4) as pool:
        list(pool.map(visits, [process.pid] * 4))
        assert ended(process) == "intact"


def test_the_end_of_an_ignored_child_wakes_nobody(built):
    with running(built / "odd", "family") as process:
        for _ in range(3 * VISITS):
            visit(process.pid, masks=False)
        assert ended(process) == "intact"


def test_a_write_of_much_is_not_cut_short(built):
    with running(built / "odd", "streams") as process:
        with contextlib.suppress(CapabilityError):
            visit(process.pid)
        assert ended(process) == "intact"


@pytest.mark.verification  # on a busy machine a visit may come too late
def test_calls_that_last_are_made_again_for_the_rest_of_their_time(built):
    """Each thread waits once, for longer than a visit waits for its end; it is not late by what it had waited."""
    limit_ms, late_ms = 9000, 1500
    with contextlib.ExitStack() as stack:
        programs = {kind: stack.enter_context(running(built / "rests", kind, str(limit_ms))) for kind in RESTS}
        with ThreadPoolExecutor(len(RESTS)) as pool:
            list(pool.map(visit, [process.pid for process in programs.values()]))
        waited_ms = {kind: int(ended(process)) for kind, process in programs.items()}
    assert all(limit_ms <= each < limit_ms + late_ms for each in waited_ms.values()), waited_ms


def test_a_stopped_program_is_refused(built):
    with running(built / "odd", "vfork") as process:
        os.kill(process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        with pytest.raises(CapabilityError, match="is stopped; let it run on"):
            visit(process.pid)
        os.kill(process.pid, signal.SIGCONT)
        visit(process.pid)
        assert ended(process) == "intact"


def test_a_traced_program_is_refused_and_runs_on(built):
    with running(built / "odd", "vfork") as process:
        with frozen(process.pid), pytest.raises(CapabilityError, match=f"is traced by process {os.getpid()}"):
            visit(process.pid)
        visit(process.pid)
        assert ended(process) == "intact"


def test_a_program_is_tracked_by_one_at_a_time(built):
    with running(built / "odd", "vfork") as process:
        with WriteProtectedProcess(process.pid) as tracked:
            tracked.arm()
            with pytest.raises(CapabilityError, match="is being tracked by another program"):
                visit(process.pid)
        visit(process.pid)
        assert ended(process) == "intact"


def test_a_tracker_that_comes_second_undoes_nothing_of_the_first(built):
    """Both came before either watched anything, so that only the kernel tells the second one of the first."""
    with running(built / "odd", "vfork") as process:
        before = facts(process.pid)
        with WriteProtectedProcess(process.pid) as first:
            with WriteProtectedProcess(process.pid) as second:
                first.arm()
                written = first.written_pages()
                with pytest.raises(CapabilityError, match="is being tracked by another program"):
                    second.arm()
            assert first.written_pages() - written < 10
            assert watched(process.pid)
        settled(process.pid, before, "tracked twice")
        assert ended(process) == "intact"


def test_a_thread_of_the_kernel_is_no_program():
    with pytest.raises(UsageError, match="is a thread of the kernel"):
        watchable.check(2)


def test_a_program_that_becomes_another_is_an_error(built):
    with running(built / "odd", "exec") as process, WriteProtectedProcess(process.pid) as tracked:
        tracked.arm()
        process.stdin.write("x")
        process.stdin.flush()
        with pytest.raises(RunError, match="executed another program while it was tracked"):
            all(tracked.written_pages() >= 0 for _ in iter(int, 1))


def test_tracking_ends_when_the_program_handles_its_own_memory(built):
    with running(built / "odd", "later-uffd") as process, WriteProtectedProcess(process.pid) as tracked:
        tracked.arm()
        process.stdin.write("x")
        process.stdin.flush()
        with pytest.raises(RunError, match="opened a userfaultfd of its own"):
            tracked.rest(60.0)
        assert not watched(process.pid)


def test_holes_of_any_size_are_passed(built):
    """Half a terabyte of which one page was written: no page tables grow for the rest of it."""
    with running(built / "odd", "reserve") as process:
        with WriteProtectedProcess(process.pid) as tracked:
            tables = watchable.status(process.pid)["VmPTE"]
            tracked.arm()
            assert tracked.written_pages() < 10
            assert watchable.status(process.pid)["VmPTE"] == tables
        assert ended(process) == "intact"


@pytest.mark.parametrize("victim", ["keeper", "owner"])
def test_whoever_dies_the_program_is_left_as_it_was(built, victim):
    code = (
        "import sys; from migkit.harness.tracking.program import WriteProtectedProcess as P;"
        "p = P(int(sys.argv[1])); p.arm(); print(p._keeper.pid, flush=True); p.rest(60)"
    )
    with running(built / "odd", "allowed") as process:
        before = facts(process.pid)
        command = [sys.executable, "-c", code, str(process.pid)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as owner:
            keeper = int(owner.stdout.readline())
            assert watched(process.pid)
            os.kill(keeper if victim == "keeper" else owner.pid, signal.SIGKILL)
            said = owner.communicate(timeout=60)[1]
        if victim == "keeper":
            assert f"its keeper, process {keeper}, was killed" in said
        settled(process.pid, before, victim)
        assert ended(process) == "intact"


def wait_for(holds, within_s: float = 30.0) -> None:
    limit = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL, signal.SIGINT])
def test_a_command_ends_with_whoever_started_it(number, tmp_path):
    require(probe.probe("ptrace").available, probe.probe("ptrace").reason)
    name = tmp_path / "pids"
    script = f"sleep 300 & echo $$ $! > {name}.new; mv {name}.new {name}; while true; do sleep 0.01; done"
    command: Sequence[str] = [sys.executable, "-m", "migkit", "dirty", "-q", "--", "sh", "-c", script]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as owner:
        wait_for(name.exists)
        pids = [int(word) for word in name.read_text().split()]
        owner.send_signal(number)
    wait_for(lambda: not any(alive(pid) for pid in pids))


def alive(pid: int) -> bool:
    return watchable.status(pid).get("State", "Z")[0] not in "ZX"


def test_huge_pages_that_tracking_splits_are_given_back(built):
    with running(built / "pauses", str(64 << 20), "4", "huge") as process:
        before = huge_kib(process.pid)
        require(before > 0, "this machine gives no huge pages")
        with WriteProtectedProcess(process.pid) as tracked:
            tracked.arm()
            wait_for(lambda: tracked.written_pages() > 100)
            assert huge_kib(process.pid) < before
        assert tracked.cost["huge_pages_split"] > 0
        assert tracked.cost["huge_pages_given_back"] == tracked.cost["huge_pages_split"]
        assert huge_kib(process.pid) == before


def huge_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("AnonHugePages"))


def test_killing_at_system_calls_of_tracking_harms_nothing(built):
    """A few of them; ``python -m tests.verification.watched_calls`` tries every one."""
    kills, calls = watched_calls.sweep("allowed", built, "caller", step=60, first=30)
    assert kills == len(range(30, calls + 1, 60))


def test_doctor_says_what_is_left(built):
    with running(built / "odd", "vfork") as process:
        clean = doctor(process.pid)
        assert clean == (
            f"process {process.pid}: looked for a tracer, blocked signals, userfaultfd descriptors, watched "
            "mappings: found nothing, so there is nothing to mend"
        )
        with WriteProtectedProcess(process.pid) as tracked:
            tracked.arm()
            said = doctor(process.pid)
        assert "found 1, changed nothing\n" in said
        assert re.search(rf"mappings are watched through a userfaultfd, .* process {os.getpid()} \(", said)
        assert doctor(process.pid) == clean
    assert watchable.status(process.pid) == {}


def doctor(pid: int) -> str:
    command = [sys.executable, "-m", "migkit", "doctor", "--pid", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_the_command_line_of_a_program_cannot_steer_the_terminal(built):
    evil = f"evil\x1b]0;title\x07{chr(0x202E)}"
    command = [sys.executable, "-m", "migkit", "dirty", "-q", "--longest", "20 ms", "--repeats", "1", "--pid"]
    child = subprocess.Popen([evil], executable="cat", stdin=subprocess.PIPE)
    with child:
        done = subprocess.run([*command, str(child.pid)], capture_output=True, text=True)
        child.kill()
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("evil\\x1b]0;title\\x07\\u202e: ")


def test_a_refusal_is_one_line_and_exit_4(built):
    with running(built / "odd", "killed") as process:
        command = [sys.executable, "-m", "migkit", "dirty", "--pid", str(process.pid)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 4
        assert done.stderr.startswith(f"migkit: process {process.pid}: its seccomp filter refuses a visit")
        assert len(done.stderr.splitlines()) == 1
        assert ended(process) == "intact"


def test_a_command_that_the_keeper_starts_does_not_hold_its_line_to_the_owner():
    with Kept() as keeper:
        pid = keeper.start(["sleep", "60"], 0.0)
        held = [target for _, target in watchable.descriptors(pid)]
    assert [target for target in held if target.startswith("socket:")] == []


def test_a_program_may_end_while_it_is_left_alone(built, monkeypatch):
    with running(built / "churn", str(2**25)) as process:
        watched_one = keeper._Watched(process.pid, attach.attach(process.pid, lambda: False))
        populated = scanning.populated

        def end_first(*what: object, **how: object) -> object:
            process.kill()
            process.wait()
            return populated(*what, **how)

        monkeypatch.setattr(scanning, "populated", end_first)
        assert watched_one.undo()["huge_pages_split"] == 0
