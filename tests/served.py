"""``migkit dashboard`` as a running program."""

import os
import secrets
import socket
import subprocess
import sys
import threading
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.conftest import TOP

__all__ = ["Dashboard", "dashboard"]


@dataclass(frozen=True)
class Dashboard:
    """A running dashboard: its process, its address and its token."""

    process: Any
    address: str
    token: str

    @property
    def url(self):
        return f"{self.address}/?token={self.token}"


@contextmanager
def dashboard(folder, *options):
    """Start the dashboard in a folder, and end it."""
    token = secrets.token_hex(16)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "migkit", "dashboard", "--no-browser", f"--port={port}", f"--token={token}"]
    path = os.pathsep.join(filter(None, (str(TOP), os.environ.get("PYTHONPATH"))))
    own = {f"JUPYTER_{kind}_DIR": str(folder / f".{kind.lower()}") for kind in ("CONFIG", "DATA", "RUNTIME")}
    own |= {"IPYTHONDIR": str(folder / ".ipython"), "PYTHONPATH": path, "TMPDIR": str(folder)}
    process = subprocess.Popen(
        [*command, *options],
        cwd=folder,
        env={**os.environ, **own},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    said = deque(maxlen=40)
    try:
        for line in process.stderr:
            said.append(line)
            if "http://" in line:
                break
        else:
            pytest.fail("the dashboard did not start:\n" + "".join(said))
        reader = threading.Thread(target=said.extend, args=(process.stderr,))  # so that it never waits for us
        reader.start()
        yield Dashboard(process, f"http://localhost:{port}", token)
        process.terminate()
        reader.join()
    finally:
        with process:
            process.kill()
