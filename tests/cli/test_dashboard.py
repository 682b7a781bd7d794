import json
import signal
import urllib.request

import psutil
import pytest
from click.testing import CliRunner

from migkit.cli import dashboard as module
from migkit.errors import CapabilityError
from tests.served import dashboard

START_S = 120.0


def below(process):
    """Return the command lines of all processes that a process has started."""
    every = psutil.Process(process.pid).children(recursive=True)
    return " ".join(word for one in every for word in one.as_dict(["cmdline"])["cmdline"] or ())


@pytest.fixture(params=[signal.SIGTERM, signal.SIGKILL], ids=["told to end", "killed"])
def ending(request):
    return request.param


def test_a_page_needs_its_token_and_an_end_leaves_nothing_behind(tmp_path, ending):
    with dashboard(tmp_path) as served:
        with urllib.request.urlopen(served.address, timeout=START_S) as asked:
            assert asked.url.startswith(f"{served.address}/login")
        assert "ipykernel" not in below(served.process)
        page = urllib.request.urlopen(served.url, timeout=START_S).read()  # ends when the kernel has run the cell
        assert b"display_data" in page
        assert "ipykernel" in below(served.process)
        started = psutil.Process(served.process.pid).children(recursive=True)
        served.process.send_signal(ending)
        served.process.wait(START_S)
        _, left = psutil.wait_procs(started, timeout=60.0)
        assert left == []
    if ending == signal.SIGTERM:
        assert [path.name for path in tmp_path.glob("migkit-dashboard-*")] == []


def test_the_notebook_behind_the_page_is_one_call_and_asks_no_other_host(tmp_path):
    notebook = json.loads(module._lay_out(tmp_path).read_text())
    [cell] = notebook["cells"]
    assert cell["source"].splitlines()[-1] == "Dashboard()"
    assert "://" not in (tmp_path / "voila/templates/migkit/index.html.j2").read_text()


def test_without_voila_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    result = CliRunner().invoke(module.command, [])
    assert isinstance(result.exception, CapabilityError)
    assert "pip install 'migkit[dashboard]'" in str(result.exception)


def test_a_port_that_is_none_is_refused():
    result = CliRunner().invoke(module.command, ["--port", "70000"])
    assert result.exit_code == 2
    assert "70000" in result.output
