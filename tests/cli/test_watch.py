"""``migkit watch`` as a user meets it: a log that grows, a QEMU under way, and everything that may be wrong."""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psutil
import pytest

from migkit.calibrate.forecast.looks import Asked
from migkit.calibrate.forecast.measuring import ByQemu
from migkit.harness.tracking.program import WriteProtectedProcess
from migkit.models.dirty import unique_dirty_pages
from migkit.qemu.machine import QEMU
from migkit.traces import data
from tests.conftest import TOP, require
from tests.harness.watched import watched as is_held

SLOW = [
    "--memory",
    "48 MiB",
    "--zero",
    "28 MiB",
    "--max-bandwidth",
    "10 MB/s",
    "--accelerator",
    "tcg",
    "--warm-up",
    "0 s",
]
SLOW += ["--dirty", 'region = "8 MiB", writes_per_s = 900', "--downtime-limit", "50 ms"]
SLOWER = [
    {"10 MB/s": "1.5 MB/s", 'region = "8 MiB", writes_per_s = 900': 'region = "8 MiB", writes_per_s = 80'}.get(
        flag, flag
    )
    for flag in SLOW
]
HOT = [*SLOW[:-4], "--dirty", 'region = "16 MiB", writes_per_s = 20000', "--downtime-limit", "20 ms"]


def migkit(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "migkit", *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(TOP)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job ignores Ctrl-C
    )


def watched(*arguments, said=""):
    process = migkit("watch", *arguments)
    out, err = process.communicate(said, timeout=120)
    return process.returncode, out, err


@pytest.fixture
def answers():
    """The answers of a real migration, one a line."""
    import gzip

    path = data.data_path("kvm_database/precopy-4t-1.json.gz")
    return gzip.decompress(path.read_bytes()).decode().splitlines()


@pytest.fixture
def moving(tmp_path):
    """Start a real migration, return the socket of its source when it is under way, and its processes."""
    require(shutil.which(QEMU), "no QEMU; apt-get install qemu-system-x86")
    require(shutil.which("gcc"), "no gcc; apt-get install gcc")
    started = []

    def start(flags=SLOW):
        path = tmp_path / "vm.qmp"
        process = migkit("qemu", "capture", *flags, "--time-limit", "60 s", "--qmp", path)
        started.append(process)
        while "precopy" not in (line := process.stderr.readline()):
            assert line, process.stderr.read()
        return path, process

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


@pytest.fixture
def machine(tmp_path):
    """Start a QEMU with a small guest; return its process, its monitor, and the socket of another one for a watch."""
    require(shutil.which(QEMU), "no QEMU; apt-get install qemu-system-x86")
    with contextlib.ExitStack() as stack:

        def start(name, *options):
            paths = [tmp_path / f"{name}{at}.qmp" for at in range(2)]
            monitors = [word for path in paths for word in ("-qmp", f"unix:{path},server=on,wait=off")]
            command = [QEMU, "-accel", "tcg", "-m", "64", "-nodefaults", "-display", "none", *monitors, *options]
            process = stack.enter_context(subprocess.Popen(command))
            stack.callback(process.kill)
            while not paths[1].exists():
                assert process.poll() is None
            return process, stack.enter_context(Asked.opened(paths[0])), paths[1]

        yield start


def say(asked, command, **arguments):
    return asked.run(asked.followed.monitor.do(command, {name.replace("_", "-"): v for name, v in arguments.items()}))


def source_of(process):
    return next(one for one in psutil.Process(process.pid).children() if "source" in " ".join(one.cmdline()))


def test_a_log_that_grows_is_followed_to_its_end(tmp_path, answers):
    log = tmp_path / "migration.log"
    log.write_text("\n".join(answers[:70]) + "\n")
    code, out, _ = watched(log, "--once", "--json")
    early = json.loads(out)
    assert (code, early["phase"], early["iteration"]) == (0, "precopy", 1)
    process = migkit("watch", log, "--every", "100 ms", "--json")
    first = json.loads(process.stdout.readline())
    assert first["t_s"] == early["t_s"]
    with log.open("a") as stream:
        stream.write("\n".join(answers[70:]) + "\n")
    lines = process.communicate(timeout=60)[0].splitlines()
    last = json.loads(lines[-1])
    assert (process.returncode, last["phase"], last["verdict"], last["share"]) == (0, "done", "converges", 1.0)
    assert last["end_s"] == 17.717


def test_a_log_that_is_rotated_meanwhile_is_followed_on(tmp_path, answers):
    log = tmp_path / "migration.log"
    log.write_text("\n".join(answers[:87]) + "\n")
    process = migkit("watch", log, "--every", "50 ms", "--json")
    first = json.loads(process.stdout.readline())
    log.rename(tmp_path / "migration.log.1")
    away = [json.loads(process.stdout.readline()) for _ in range(3)]
    log.write_text("")
    emptied = [json.loads(process.stdout.readline()) for _ in range(3)]
    log.write_text("\n".join(answers[87:]) + "\n")
    lines = process.communicate(timeout=60)[0].splitlines()
    assert {one["t_s"] for one in (*away, *emptied)} == {first["t_s"]}
    assert (process.returncode, json.loads(lines[-1])["outcome"]) == (0, "completed")


def test_a_log_is_read_no_more_often_than_was_asked_for(tmp_path, answers):
    """Its forecast says that the migration ends within half a second, and it grows no more."""
    log = tmp_path / "migration.log"
    log.write_text("\n".join(answers[:70]) + "\n")
    with migkit("watch", log, "--every", "2 s", "--json") as process:
        first = json.loads(process.stdout.readline())
        began_s = time.monotonic()
        assert json.loads(process.stdout.readline()) == first
        assert time.monotonic() - began_s > 1.5
        process.kill()


def test_a_person_reads_one_line_a_look(tmp_path, answers):
    log = tmp_path / "migration.log"
    log.write_text("\n".join(answers[:87]) + "\n")
    code, out, _ = watched(log, "--once")
    assert code == 0
    assert re.search(
        r"round [34], .* left .*converges \(probability \d+%\)  ends at 1\d(\.\d)? s \(.*\)  \d+% over", out
    )


def test_a_dumb_terminal_gets_a_line_a_look(tmp_path, answers):
    log = tmp_path / "migration.log"
    log.write_text("\n".join(answers[:87]) + "\n")
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "migkit", "watch", str(log), "--every", "50 ms"]
    with subprocess.Popen(
        command, stdout=theirs, env=os.environ | {"PYTHONPATH": str(TOP), "TERM": "dumb"}
    ) as process:
        os.close(theirs)
        with os.fdopen(ours) as stream:
            lines = [stream.readline() for _ in range(2)]
            process.kill()
    assert all("converges (probability" in line for line in lines)


def test_a_person_is_told_what_makes_an_unsure_forecast_surer(tmp_path, answers):
    log = tmp_path / "migration.log"
    log.write_text("\n".join(answers[:70]) + "\n")
    code, out, err = watched(log, "--once")
    assert (code, err.count("\n")) == (0, 1)
    assert err.startswith("surer: --guest with a profile of the guest (migkit qemu profile)")
    profile = tmp_path / "guest.toml"
    profile.write_text('[guest]\nmemory = "8209 MiB"\n[[guest.dirty]]\nregion = "1 GiB"\nwrites_per_s = 1000\n')
    code, out, err = watched(log, "--once", "--guest", profile)
    assert (code, err) == (0, "")
    assert "converges (probability" in out
    profile.write_text(profile.read_text().replace("8209 MiB", "2 GiB"))
    _, _, err = watched(log, "--once", "--guest", profile)
    assert err.startswith(
        "--guest: the profile is of a guest of 2 GiB, and 8.02 GiB are to be sent; give a profile of"
    )


def test_virsh_domjobinfo_appended_to_a_file_is_read(tmp_path):
    form = (
        "Job type:         Unbounded   \nTime elapsed:     {} ms\nData processed:   {:.3f} MiB\n"
        "Data remaining:   {:.3f} MiB\nData total:       1024.000 MiB\nMemory processed: {:.3f} MiB\n"
        "Memory remaining: {:.3f} MiB\nMemory total:     1024.000 MiB\nMemory bandwidth: 100.000 MiB/s\n"
        "Iteration:        1\n\n"
    )
    blocks = [form.format(1000 * t, 100.0 * t, 1024.0 - 100.0 * t, 100.0 * t, 1024.0 - 100.0 * t) for t in (1, 2, 3)]
    log = tmp_path / "job.log"
    log.write_text("".join(blocks))
    code, out, _ = watched(log, "--once", "--json")
    outlook = json.loads(out)
    assert (code, outlook["verdict"]) == (0, "not_known")
    assert outlook["end_s"] == pytest.approx(10.2, rel=0.05)


def test_a_page_of_metrics_is_watched(answers):
    from prometheus_client import CollectorRegistry, Gauge, start_http_server

    registry = CollectorRegistry()
    ram = [json.loads(line)["query_migrate"]["ram"] for line in answers if '"remaining"' in line]
    for name, value in (("remaining", ram[20]["remaining"]), ("processed", ram[20]["transferred"])):
        Gauge(f"kubevirt_vmi_migration_data_{name}_bytes", name, ["name"], registry=registry).labels("vm1").set(value)
    Gauge("kubevirt_vmi_migration_data_bytes_total", "all", registry=registry).set(ram[20]["total"])
    Gauge("kubevirt_vmi_migration_memory_transfer_rate_bytes", "speed", registry=registry).set(134e6)
    server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
    code, out, _ = watched(f"http://127.0.0.1:{server.server_port}/metrics", "--vm", "vm1", "--once", "--json")
    server.shutdown()
    thread.join()
    server.server_close()
    outlook = json.loads(out)
    assert (code, outlook["phase"], outlook["remaining_bytes"]) == (0, "precopy", ram[20]["remaining"])


@pytest.mark.parametrize(("status", "code"), [(404, 2), (503, 1)])
def test_a_server_that_fails_is_told_from_a_wrong_address(status, code):
    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(status)

        def log_message(self, *what):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        found, out, err = watched(f"http://127.0.0.1:{server.server_port}/metrics", "--once")
        server.shutdown()
        thread.join()
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert f"answers {status} " in err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["http://127.0.0.1:9/metrics"], 1, "nobody answers"),
        (["job.log", "--vm", "vm1"], 2, "--vm: only metrics tell of several machines"),
        (["http://127.0.0.1:9/metrics", "--apply", "post-copy"], 2, "--apply"),
    ],
)
def test_an_address_that_does_not_do_says_so(arguments, code, said):
    found, out, err = watched(*arguments, "--once")
    assert (found, out) == (code, "")
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.live
def test_a_real_migration_is_forecast_to_its_end(moving):
    path, process = moving()
    code, out, err = watched(path, "--every", "200 ms", "--json")
    outlooks = [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (0, ""), out
    assert [outlooks[-1][key] for key in ("phase", "verdict")] == ["done", "converges"]
    told = [one for one in outlooks if one["verdict"] == "converges" and one["phase"] == "precopy"]
    assert told[-1]["end_s"] == pytest.approx(outlooks[-1]["end_s"], rel=0.15)
    out, _ = process.communicate(timeout=60)
    assert "intact" in out


@pytest.mark.live
def test_a_guest_is_measured_from_outside_while_it_moves(moving):
    path, process = moving(SLOWER)
    source = source_of(process).pid
    with migkit("watch", path, "--every", "200 ms", "--json") as watching:
        outlooks = [json.loads(watching.stdout.readline())]
        was_held = False
        for line in watching.stdout:
            was_held = was_held or is_held(source)
            outlooks.append(json.loads(line))
        assert (watching.wait(), watching.stderr.read()) == (0, "")
    assert was_held
    assert (outlooks[0]["iteration"], outlooks[0]["verdict"]) == (1, "not_known"), "it is shown at once"
    told = [one for one in outlooks if one["iteration"] == 1 and one["verdict"] == "converges"]
    assert told, "from its counters alone nothing is known in the first pass"
    assert told[-1]["end_s"] == pytest.approx(outlooks[-1]["end_s"], rel=0.1)
    assert "intact" in process.communicate(timeout=60)[0]


@pytest.mark.live
@pytest.mark.parametrize("flags", [["--no-measure"], ["--guest"]])
def test_a_guest_is_left_alone_where_that_is_asked_for(moving, tmp_path, flags):
    profile = tmp_path / "guest.toml"
    profile.write_text('[guest]\nmemory = "48 MiB"\n[[guest.dirty]]\nregion = "8 MiB"\nwrites_per_s = 80\n')
    path, process = moving(SLOWER)
    source = source_of(process).pid
    flags = [*flags, profile] if flags == ["--guest"] else flags
    with migkit("watch", path, "--every", "100 ms", "--json", *flags) as watching:
        for line in watching.stdout:
            assert not is_held(source)
            if json.loads(line)["t_s"] > 2.0:
                break
        watching.kill()
    assert "intact" in process.communicate(timeout=60)[0]


@pytest.mark.live
def test_looking_once_waits_for_the_measurement(moving):
    path, _ = moving(SLOWER)
    code, out, err = watched(path, "--once", "--json")
    outlook = json.loads(out)
    assert (code, err, outlook["iteration"], outlook["verdict"]) == (0, "", 1, "converges")


@pytest.mark.live
@pytest.mark.untimed
def test_where_the_guest_may_not_be_measured_one_line_says_so(moving):
    path, process = moving(SLOWER)
    with WriteProtectedProcess(source_of(process).pid) as held:
        held.arm()
        code, out, err = watched(path, "--every", "200 ms")
        assert (code, err.count("\n")) == (0, 1)
        assert re.match(r"not measured from outside: process \d+: is being tracked by another program; ", err)
        assert "not known before the first pass has ended" in out
        assert "completed" in out
    assert "intact" in process.communicate(timeout=60)[0]


@pytest.mark.live
def test_a_watch_that_is_killed_leaves_the_migration_alone(moving):
    path, process = moving(SLOWER)
    source, draw = source_of(process).pid, random.Random(5)
    for _ in range(3):
        with migkit("watch", path, "--every", "100 ms", "--json") as watching:
            assert "precopy" in watching.stdout.readline()
            time.sleep(draw.uniform(0.0, 1.0))
            watching.kill()
    limit_s = time.monotonic() + 20.0
    while is_held(source):
        assert time.monotonic() < limit_s, "something of the watch is left in QEMU"
    assert "intact" in process.communicate(timeout=60)[0]


@pytest.mark.live
def test_qemu_samples_the_pages_of_a_guest_that_moves(moving):
    flags = [{"48 MiB": "160 MiB", "28 MiB": "112 MiB", "10 MB/s": "6 MB/s"}.get(flag, flag) for flag in SLOW]
    path, process = moving(flags)
    with Asked.opened(path) as asked:
        measuring = ByQemu(asked, asked.memory_bytes())
        assert measuring.told() is None
        limit_s = time.monotonic() + 30.0
        while (told := measuring.told()) is None and time.monotonic() < limit_s:
            asked.log()
        assert told is not None
        assert unique_dirty_pages(told.guest, 1.0) == pytest.approx(720, rel=0.6)  # of 2048, 900 writes a second
    assert "intact" in process.communicate(timeout=60)[0]


@pytest.mark.live
def test_a_change_is_made_once_it_was_confirmed(moving):
    path, process = moving(HOT)
    code, out, err = watched(path, "--every", "200 ms", "--apply", "max-bandwidth", said="y\n" * 9)
    assert "does not converge" in out
    assert re.search(r"Make this change now: a cap of .*\? \[y/N\]", err)
    assert "made: a cap of" in err
    assert code == 0
    assert "intact" in process.communicate(timeout=60)[0]


@pytest.mark.live
def test_on_a_terminal_the_question_stands_below_the_forecast(moving):
    path, process = moving(HOT)
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "migkit", "watch", path, "--every", "200 ms", "--apply", "max-bandwidth"]
    environment = os.environ | {"PYTHONPATH": str(TOP), "COLUMNS": "90", "LINES": "50", "TERM": "xterm"}
    watching = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    seen, answered = "", 0
    with os.fdopen(ours, "r+b", 0) as terminal, contextlib.suppress(OSError):  # the terminal ends with an error
        while more := terminal.read(1 << 16):
            seen += more.decode()
            if seen.count("Make this change now") > answered:
                answered += 1
                terminal.write(b"y\n")
    assert watching.wait(60) == 0
    assert "intact" in process.communicate(timeout=60)[0]
    before, asked, after = seen.partition("Make this change now: ")
    screen = before.rpartition("\x1b[2K")[2]
    assert re.match(r"time .*\r\nnow .*\r\nverdict .*\r\nwould change  a cap of ", screen)
    assert all(re.match(r"\w+ |would change  | {14}\S|\x1b", line) for line in screen.splitlines()), "it is indented"
    assert re.match(r"a cap of .*\? \[y/N\]: y\r\nmade: a cap of .*\r\n\S*time ", after), (
        "the answer is left standing"
    )
    assert asked
    assert "completed" in after


@pytest.mark.live
@pytest.mark.untimed
def test_where_nobody_answers_nothing_is_changed(moving):
    path, _ = moving(HOT)
    with migkit("watch", path, "--every", "100 ms", "--json", "--apply", "max-bandwidth") as watching:
        watching.stdin.close()
        assert "[y/N]" in watching.stderr.readline()
        assert watching.stderr.readline() == "nobody answered: nothing is changed\n"
        assert watching.stdout.readline(), "it goes on"
        watching.kill()


@pytest.mark.live
@pytest.mark.untimed
def test_nothing_is_changed_without_a_yes_and_postcopy_needs_its_capability(moving):
    path, _ = moving(HOT)
    code, out, _ = watched(path, "--once", "--apply", "post-copy", said="n\n")
    while "not known" in out:
        code, out, _ = watched(path, "--once", "--apply", "post-copy", said="n\n")
    assert code == 3
    assert re.search(r"^would change: a cap of .*: ends at ", out, re.MULTILINE)
    code, _, err = watched(path, "--once", "--apply", "post-copy", said="y\n")
    assert code == 2
    assert "the migration was started without the capability postcopy-ram" in err


@pytest.mark.live
@pytest.mark.untimed
def test_a_migration_cancelled_by_someone_else_ends_the_watch(moving):
    path, process = moving(HOT)
    watching = migkit("watch", path, "--every", "100 ms", "--json")
    assert "precopy" in watching.stdout.readline()
    process.send_signal(signal.SIGINT)  # it cancels, and ends its machines
    _, err = watching.communicate(timeout=60)
    assert watching.returncode == 1
    assert re.fullmatch(r"migkit: (the migration was cancelled; |QEMU: QEMU ended before it answered).*\n", err)


@pytest.mark.live
@pytest.mark.untimed
@pytest.mark.parametrize(
    ("options", "uri", "what", "where"),
    [
        ([], "exec:cat >/dev/null", "was cancelled", "the guest runs on at the source"),
        (["-S"], "exec:cat >/dev/null", "was cancelled", "the guest does not run .* state is prelaunch"),
        ([], "exec:head -c 1000 >/dev/null", r"failed \(.*Broken pipe\)", "the guest runs on at the source"),
    ],
)
def test_how_a_migration_was_given_up_is_said_now_and_later(machine, options, uri, what, where):
    _, asked, path = machine("vm", *options)
    say(asked, "migrate-set-parameters", max_bandwidth=10_000)
    say(asked, "migrate", uri=uri)
    watching = migkit("watch", path, "--every", "100 ms")
    assert re.match(r"(.* m?s  precopy|done)\b", watching.stdout.readline())
    if "cat" in uri:
        say(asked, "migrate_cancel")
    _, said = watching.communicate(timeout=60)
    for code, err in ((watching.returncode, said), watched(path, "--no-measure")[::2]):
        assert code == 1
        assert re.fullmatch(rf"(surer: .*\n)?migkit: the migration {what}; {where}.*\n", err)
    assert re.fullmatch(r"done  (cancelled|failed)\n", watched(path)[1])


@pytest.mark.live
@pytest.mark.untimed
def test_a_watch_goes_on_with_the_next_migration(machine):
    _, asked, path = machine("vm")
    say(asked, "migrate-set-parameters", max_bandwidth=20_000)
    say(asked, "migrate", uri="exec:cat >/dev/null")
    watching = migkit("watch", path, "--every", "2 s", "--json")
    first = json.loads(watching.stdout.readline())
    say(asked, "migrate_cancel")
    while say(asked, "query-migrate")["status"] != "cancelled":
        pass
    say(asked, "migrate", uri="exec:cat >/dev/null")
    say(asked, "migrate-set-parameters", max_bandwidth=10_000_000)
    *_, last = (json.loads(line) for line in watching.communicate(timeout=60)[0].splitlines())
    assert (watching.returncode, last["outcome"]) == (0, "completed")
    assert first["phase"] == "precopy"
    assert last["end_s"] == pytest.approx(say(asked, "query-migrate")["total-time"] / 1e3)


@pytest.mark.live
@pytest.mark.untimed
def test_a_destination_is_no_source(machine, tmp_path):
    uri = f"unix:{tmp_path / 'way'}"
    _, there, path = machine("there", "-incoming", "defer")
    _, here, _ = machine("here")
    before = watched(path)
    say(there, "migrate-incoming", uri=uri)
    meanwhile = watched(path)
    say(here, "migrate", uri=uri)
    while say(here, "query-migrate")["status"] != "completed":
        pass
    for code, out, err in (before, meanwhile, watched(path, "--once")):
        assert (code, out) == (2, "")
        assert "QEMU: is the destination of the migration" in err


@pytest.mark.live
@pytest.mark.untimed
def test_a_source_killed_in_a_post_copy_has_not_completed_it(machine, tmp_path):
    uri, on = f"unix:{tmp_path / 'way'}", [{"capability": "postcopy-ram", "state": True}]
    _, there, _ = machine("there", "-incoming", "defer")
    source, here, path = machine("here")
    for one in (there, here):
        say(one, "migrate-set-capabilities", capabilities=on)
        say(one, "migrate-set-parameters", max_bandwidth=10_000, max_postcopy_bandwidth=10_000)
    say(there, "migrate-incoming", uri=uri)
    say(here, "migrate", uri=uri)
    watching = migkit("watch", path, "--every", "100 ms", "--json", "--no-measure")
    assert json.loads(watching.stdout.readline())["phase"] == "precopy"
    say(here, "migrate-start-postcopy")
    while json.loads(watching.stdout.readline())["phase"] != "postcopy":
        pass
    source.kill()
    _, err = watching.communicate(timeout=60)
    assert watching.returncode == 1
    assert re.fullmatch(r"migkit: QEMU: ended in post-copy; at the last look .* at the destination\n", err)


@pytest.mark.live
@pytest.mark.untimed
def test_a_qemu_killed_in_mid_migration_ends_the_watch(moving):
    path, process = moving(HOT)
    watching = migkit("watch", path, "--every", "100 ms", "--json")
    assert "precopy" in watching.stdout.readline()
    source_of(process).kill()
    _, err = watching.communicate(timeout=60)
    assert watching.returncode == 1
    assert re.fullmatch(r"migkit: QEMU: QEMU ended before it answered \S+; see its log\n", err)


@pytest.mark.live
@pytest.mark.untimed
def test_a_guest_that_is_not_moving_is_said_so(tmp_path):
    require(shutil.which(QEMU), "no QEMU; apt-get install qemu-system-x86")
    path = tmp_path / "vm.qmp"
    command = [QEMU, "-M", "none", "-display", "none", "-nodefaults", "-qmp", f"unix:{path},server=on,wait=off"]
    with subprocess.Popen(command) as process:
        try:
            while not path.exists():
                assert process.poll() is None
            code, _, err = watched(path)
        finally:
            process.kill()
    assert code == 1
    assert "QEMU: no migration is under way, nor has one ended" in err


def test_what_is_no_source_is_refused_in_one_line(tmp_path):
    (tmp_path / "empty").write_text("")
    (tmp_path / "prose").write_text("Dear diary,\ntoday nothing moved.\n")
    (tmp_path / "events").write_text('{"event": "MIGRATION", "data": {"status": "setup"}}\n' * 2)
    (tmp_path / "rates").write_text('{"status": "measured", "dirty-rate": 16, "start-time": 1, "calc-time": 2}\n')
    lines = {
        "missing": "No such file or directory; name a monitor's socket, or a log",
        ".": "is no socket and no file",
        "empty": "nothing in it is of a migration",
        "prose": "nothing in it is of a migration",
        "events": "holds no reading of a migration",
        "rates": "holds no reading of a migration",
    }
    for name, said in lines.items():
        code, out, err = watched(tmp_path / name)
        assert (code, out) == (2, ""), name
        assert said in err, name
        assert err.count("\n") == 1


def test_a_log_is_watched_with_what_it_has_and_without_what_it_lacks(tmp_path):
    """A cap as large as it can be is none; a source without rounds has no round 0; a job that is gone is over."""
    block = (
        "max-bandwidth: 9223372036853727232 bytes/second\nMigration status: active\ntotal time: 130000 ms\n"
        "transferred ram: 18000000 kbytes\nthroughput: 860.00 mbps\nremaining ram: 376892 kbytes\n"
        "total ram: 8388864 kbytes\nduplicate: 1678265 pages\nnormal: 4536795 pages\ndirty sync count: 6\n"
        "page size: 4 kbytes\ndirty pages rate: 39044 pages\n"
    )
    job = "Job type:         Unbounded\nTime elapsed:     2000         ms\nMemory remaining: 3.9 GiB\n"
    lines = {
        block: (3, "precopy, round 6, 368 MiB left"),
        "Migration: [  5 %]\nMigration: [ 62 %]\n": (0, "precopy  not known: its source does not count bitmap syncs"),
        f"{job}\nJob type:         None\n": (1, "its job is gone, so the migration is over"),
        "Displaying dump stats:\nFreezing time: 10 us\nFrozen time: 90 us\n": (0, "done  completed  downtime 100 us"),
    }
    for text, (code, said) in lines.items():
        (tmp_path / "log").write_text(text)
        ended, out, err = watched(tmp_path / "log", "--once")
        assert (ended, said in out + err) == (code, True), (out, err)


def test_the_socket_of_another_program_is_refused(tmp_path):
    path = tmp_path / "other"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        threading.Thread(target=_greet_wrongly, args=(server,), daemon=True).start()
        code, _, err = watched(path)
    assert code == 2
    assert "the socket of another program" in err
    code, _, err = watched(path)
    assert code == 2
    assert "nobody listens there" in err


def _greet_wrongly(server):
    connection, _ = server.accept()
    with connection:
        connection.sendall(b"220 mail.example ESMTP\r\n")
        connection.recv(1)


def test_a_log_cannot_be_told_anything(tmp_path, answers):
    log = tmp_path / "migration.log"
    log.write_text("\n".join(answers[:87]) + "\n")
    code, _, err = watched(log, "--once", "--apply", "post-copy")
    assert (code, err) == (2, "migkit: --apply: a log cannot be told anything; watch the socket of a QEMU monitor\n")
    assert watched(log, "--every", "1 ms")[0] == 2
    code, _, err = watched(log, "--measure")
    assert (code, err.partition(";")[0]) == (2, "migkit: --measure: a log has no guest to measure")
