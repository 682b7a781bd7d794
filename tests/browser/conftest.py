"""JupyterLab as ``migkit lab`` starts it, and an installed Chromium."""

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from tests.conftest import TOP, require

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab: its address, its token and its folder."""

    address: str
    token: str
    folder: Path

    def url(self, notebook):
        return f"{self.address}/doc/tree/notebooks/{notebook}?token={self.token}"


@pytest.fixture(scope="module")
def browser():
    require(CHROMIUM, "there is no Chromium; apt-get install chromium fonts-dejavu-core")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    # High enough for a whole notebook: JupyterLab draws only what is in sight.
    page = browser.new_page(viewport={"width": 1280, "height": 6000})
    yield page
    page.close()


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    token = secrets.token_hex(16)
    command = [
        sys.executable,
        "-m",
        "migkit",
        "lab",
        "--no-browser",
        "--ip=127.0.0.1",
        f"--IdentityProvider.token={token}",
        "--LabApp.expose_app_in_browser=True",
    ]
    server = subprocess.Popen(
        command, cwd=folder, env=_environment(folder), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    said = deque(maxlen=40)
    try:
        address = _address(server, said)
        reader = threading.Thread(target=said.extend, args=(server.stderr,))  # so that it never waits for us
        reader.start()
        yield Lab(address, token, folder)
        os.killpg(server.pid, signal.SIGTERM)
        reader.join()
    finally:
        with server:
            server.kill()


def _environment(folder):
    own = {f"JUPYTER_{kind}_DIR": str(folder / f".{kind.lower()}") for kind in ("CONFIG", "DATA", "RUNTIME")}
    path = os.pathsep.join(filter(None, (str(TOP), os.environ.get("PYTHONPATH"))))
    return {**os.environ, **own, "IPYTHONDIR": str(folder / ".ipython"), "PYTHONPATH": path}


def _address(server, said):
    """Return where the server says that it listens."""
    for line in server.stderr:
        said.append(line)
        found = re.search(r"(http://127\.0\.0\.1:\d+)/", line)
        if found:
            return found[1]
    pytest.fail("JupyterLab did not start:\n" + "".join(said))
