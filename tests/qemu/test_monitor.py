"""The monitor against sockets that are no monitor of QEMU, without a QEMU."""

import asyncio
import contextlib
import os
import socket
import threading
from pathlib import Path

import pytest

from migkit.qemu.monitor import LackingError, Monitor, NotQemuError
from migkit.qemu.resting import Resting
from tests.conftest import require


def connect(address, limit_s=60.0):
    async def attempt():
        return await Monitor.connect(address, limit_s=limit_s)

    return asyncio.run(attempt())


@contextlib.contextmanager
def served(path, answer):
    """Another program listens at ``path`` and does ``answer`` with its first connection."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve():
            connection, _ = listener.accept()
            with connection:
                answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


@pytest.mark.parametrize(
    ("greeting", "message"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not greet as a monitor of QEMU; it is the socket of another program"),
        (b'{"hello": 1}\n', "does not greet as a monitor of QEMU"),
        (b"[1, 2]\n", "does not greet as a monitor of QEMU"),
        (b"\xff\xfe\x00\x80\n", "does not greet as a monitor of QEMU"),
        (b'{"QMP": {"version": 1, "capabilities": []}}\n', "does not greet as a monitor of QEMU"),
        (b"", "closed the connection without a greeting"),
        (b"QEMU 7.2.22 monitor - type 'help' for more information\r\n(qemu) ", "does not greet as a monitor of QEMU"),
    ],
)
def test_another_program_is_told_from_qemu(tmp_path, greeting, message):
    def answer(connection):
        connection.sendall(greeting)

    with served(tmp_path / "s", answer), pytest.raises(NotQemuError) as error:
        connect(tmp_path / "s")
    assert f"monitor {tmp_path / 's'}: {message}" in str(error.value)
    assert error.value.exit_code == 2


def test_who_says_nothing_is_not_waited_for_without_end(tmp_path):
    def answer(connection):
        connection.recv(1)  # until the other side has gone

    with served(tmp_path / "s", answer), pytest.raises(NotQemuError, match=r"said nothing for 0\.3 s"):
        connect(tmp_path / "s", limit_s=0.3)


def test_a_path_without_a_socket_is_named(tmp_path):
    with pytest.raises(NotQemuError, match="there is no such socket"):
        connect(tmp_path / "none")


def test_a_socket_that_nobody_listens_at_is_named(tmp_path):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "s"))
    with pytest.raises(NotQemuError, match="nobody listens there"):
        connect(tmp_path / "s")


@pytest.mark.parametrize("made", [Path.mkdir, Path.touch])
def test_what_is_no_socket_is_not_said_to_have_been_one(tmp_path, made):
    made(tmp_path / "s")
    with pytest.raises(NotQemuError, match=r"/s: is no socket; give that of -qmp"):
        connect(tmp_path / "s")


def test_a_path_too_long_for_a_socket_is_told(tmp_path):
    path = tmp_path / ("s" * 100)
    with pytest.raises(
        NotQemuError, match=f"its path has {len(str(path))} bytes, and that of a socket has at most 107"
    ):
        connect(path)


def test_a_socket_where_as_many_wait_as_may_is_not_waited_for(tmp_path):
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(tmp_path / "s"))
        listener.listen(1)
        for _ in range(2):
            stack.enter_context(socket.socket(socket.AF_UNIX)).connect(str(tmp_path / "s"))
        for attempt in (connect, lambda path: asyncio.run(Resting.connect(path))):
            with pytest.raises(NotQemuError, match="lets nobody wait any more; another program is attached to it"):
                attempt(tmp_path / "s")


def test_a_socket_without_permission_is_named(tmp_path):
    require(os.geteuid() == 0, "needs root, to become another user")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        (tmp_path / "s").chmod(0o600)
        os.seteuid(65534)
        try:
            with pytest.raises(LackingError) as error:
                connect(tmp_path / "s")
        finally:
            os.seteuid(0)
    assert "may not be opened by this user" in str(error.value)
    assert error.value.exit_code == 4
