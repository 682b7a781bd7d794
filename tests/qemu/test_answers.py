"""A program that greets as QEMU's monitor does and then answers what no QEMU answers."""

import contextlib
import json
import math
import socket
import threading

import pytest
from click.testing import CliRunner

from migkit.cli import predict, qemu_profile, watch
from migkit.errors import RunError
from migkit.qemu.monitor import NotQemuError

GREETING = {
    "QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""}, "capabilities": ["oob"]}
}
RAM = {
    "total": 2**29,
    "transferred": 2**27,
    "remaining": 2**28,
    "dirty-sync-count": 1,
    "page-size": 4096,
    "mbps": 268.4,
}
SCHEMA = [
    {"name": "query-migrate", "meta-type": "command", "ret-type": "1"},
    {"name": "1", "meta-type": "object", "members": [{"name": "status", "type": "2"}, {"name": "ram", "type": "3"}]},
    {"name": "2", "meta-type": "enum", "values": ["active"]},
    {"name": "3", "meta-type": "object", "members": [{"name": "dirty-sync-count", "type": "int"}]},
]
ANSWERS = {
    "query-qmp-schema": SCHEMA,
    "query-kvm": {"enabled": False, "present": True},
    "query-status": {"status": "running", "running": True},
    "query-memory-size-summary": {"base-memory": 2**29, "plugged-memory": 0},
    "query-migrate-parameters": {"max-bandwidth": 2**27, "downtime-limit": 300},
    "query-migrate-capabilities": [{"capability": "xbzrle", "state": False}],
    "query-pci": [{"bus": 0, "devices": [{"id": {"vendor": 0x1AF4, "device": 1}}]}],
    "human-monitor-command": "TB count 1000\r\n",
    "query-dirty-rate": {"status": "measured", "dirty-rate": 30, "start-time": 1, "calc-time": 1},
}
MOVING = {"query-migrate": {"status": "active", "total-time": 1000, "expected-downtime": 300, "ram": RAM}}
COMMANDS = {
    "profile": (qemu_profile.command, ("--means", "monitor", "--longest", "1 s"), {"query-migrate": {}}),
    "watch": (watch.command, ("--once",), MOVING),
    "predict": (predict.command, ("--qmp",), {"query-migrate": {}}),
}


def line(said):
    return said if isinstance(said, bytes) else json.dumps(said).encode() + b"\n"


@contextlib.contextmanager
def serving(path, replies):
    """Greet whoever comes to ``path`` and give to each command what ``replies`` has for it, bytes as they are."""

    def serve(listener):
        with contextlib.suppress(OSError):  # the listener is shut, or the client has seen enough
            while True:
                connection, _ = listener.accept()
                with connection:
                    converse(connection)

    def converse(connection):
        connection.sendall(line(replies.get("greeting", GREETING)))
        left = ""
        while received := connection.recv(65536):
            left += received.decode()
            while left:  # a client ends no line
                asked, end = json.JSONDecoder().raw_decode(left)
                left = left[end:]
                told = replies.get(asked["execute"], {})
                said = told if isinstance(told, bytes) else line({"return": told, "id": asked.get("id")})
                connection.sendall(said.replace(b"ID", json.dumps(asked.get("id")).encode()))

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        yield
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def asked(command, path, **replies):
    """Return the error that a command ends with, None when it ends well."""
    command, flags, moving = COMMANDS[command]
    flags = [*flags, path] if flags == ("--qmp",) else [path, *flags]
    with serving(path, ANSWERS | moving | {name.replace("_", "-"): said for name, said in replies.items()}):
        result = CliRunner().invoke(command, list(map(str, flags)), standalone_mode=False)
    return result.exception


@pytest.mark.parametrize("command", COMMANDS)
def test_a_program_that_answers_as_qemu_does_is_taken_for_one(command, tmp_path):
    assert asked(command, tmp_path / "s") is None


NO_OBJECT = "it is not an object"
STRANGE = {
    "no JSON": (b"nonsense\n", "Failed to deserialize"),
    "no object": (b"[1]\n", "not a JSON object"),
    "no text": (b"\xff\xfe\n", "can't decode"),
    "nested without end": (b"[" * 100_000 + b"\n", "recursion depth"),
    "longer than a line may be": (b"x" * (11 << 20) + b"\n", "exceed the limit"),
    "another kind of id": (b'{"return": {}, "id": [ID]}\n', "unhashable"),
    "without return": (b'{"id": ID}\n', "neither return nor error"),
    "an error that is none": (b'{"id": ID, "error": 5}\n', "neither return nor error"),
    "an error without its text": (b'{"id": ID, "error": {"class": 1}}\n', "neither return nor error"),
    "nothing": (None, NO_OBJECT),
    "a number": (5, NO_OBJECT),
    "a list": ([], NO_OBJECT),
    "a status that is no string": ({"status": [1], "running": True}, "status is not a string"),
}


@pytest.mark.parametrize("name", STRANGE)
@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_no_answer_to_a_question_is_told_in_one_line(command, name, tmp_path):
    said, wrong = STRANGE[name]
    error = asked(command, tmp_path / "s", query_migrate=said)
    assert isinstance(error, NotQemuError), error
    assert error.exit_code == 2
    assert "\n" not in str(error)
    assert "to query-migrate is none of QEMU's" in str(error)
    assert wrong in str(error)


@pytest.mark.parametrize(
    ("command", "question", "said", "wrong"),
    [
        ("profile", "query-status", {"status": "running", "running": 1}, "running is not true or false"),
        ("profile", "query-kvm", {"present": True}, "enabled is missing"),
        ("profile", "query-memory-size-summary", {"base-memory": "512"}, "base-memory is not a whole number"),
        ("profile", "query-memory-size-summary", {"base-memory": 2**70}, "base-memory is not a number below 2^64"),
        ("profile", "query-migrate-parameters", {"downtime-limit": "x"}, "downtime-limit is not a whole number"),
        ("profile", "query-pci", [{"devices": [{"id": 3}]}], "0.devices.0.id is not an object"),
        ("profile", "human-monitor-command", {}, "it is not a string"),
        ("profile", "query-dirty-rate", {"status": "active"}, "status is not one of unstarted, measuring, measured"),
        ("profile", "query-dirty-rate", {"status": "measured"}, "dirty-rate is missing"),
        ("predict", "query-dirty-rate", {"status": "measured", "dirty-rate": "x"}, "dirty-rate is not a number"),
        ("watch", "query-qmp-schema", [{"name": [], "meta-type": "enum"}], "0.name is not a string"),
        ("watch", "query-migrate", {"status": "active", "ram": 5}, "ram is not an object"),
        ("watch", "query-migrate", {"status": "active", "ram": RAM | {"x": True}}, "ram.x is not a number"),
        ("watch", "query-migrate", {"status": "active", "ram": RAM | {"mbps": math.nan}}, "ram.mbps is not a number"),
        ("watch", "query-migrate-capabilities", [{"capability": 1, "state": 2}], "0.capability is not a string"),
    ],
)
def test_an_answer_of_another_form_is_told_with_what_is_wrong(command, question, said, wrong, tmp_path):
    error = asked(command, tmp_path / "s", **{question: said})
    assert isinstance(error, NotQemuError), error
    assert f"QEMU: its answer to {question} is none of QEMU's ({wrong}" in str(error)


STAMP = {"seconds": 1_700_000_000, "microseconds": 5}


def with_event(event, path):
    """Return the error of a measurement in whose midst an event comes."""
    told = line(event) + line({"return": ANSWERS["query-dirty-rate"]}).replace(b"{", b'{"id": ID, ', 1)
    return asked("profile", path, query_dirty_rate=told)


def test_an_event_is_heard(tmp_path):
    assert with_event({"event": "RTC_CHANGE", "data": {"offset": 0}, "timestamp": STAMP}, tmp_path / "s") is None
    stopped = with_event({"event": "STOP", "timestamp": STAMP}, tmp_path / "t")
    assert isinstance(stopped, RunError), stopped
    assert "was stopped while it was measured" in str(stopped)


@pytest.mark.parametrize(
    ("event", "wrong"),
    [
        ({"event": 5}, "event is not a string"),
        ({"event": "STOP", "data": 5}, "data is not an object"),
        ({"event": "STOP", "timestamp": STAMP | {"seconds": "x"}}, "timestamp.seconds is not a whole number"),
    ],
)
def test_an_event_of_another_form_is_told(event, wrong, tmp_path):
    error = with_event(event, tmp_path / "s")
    assert isinstance(error, NotQemuError), error
    assert f"QEMU: an event that it tells is none of QEMU's ({wrong})" in str(error)


@pytest.mark.parametrize("version", [{"qemu": "7.2"}, {"qemu": {"major": "x"}}])
def test_a_version_of_another_form_is_no_greeting(version, tmp_path):
    error = asked("watch", tmp_path / "s", greeting={"QMP": {"version": version, "capabilities": []}})
    assert isinstance(error, NotQemuError), error
    assert "does not greet as a monitor of QEMU" in str(error)
