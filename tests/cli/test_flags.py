"""What all commands do alike with flags: none is guessed, and a person finds those that matter."""

import dataclasses
import importlib
import os
import signal
import subprocess
import sys
import threading
import time

import click
import pytest
from click.testing import CliRunner

from migkit.cli import cli, predict
from migkit.cli._command import Command
from migkit.cli._scenario import scenario_from
from migkit.cli.capture import describe
from migkit.errors import UsageError
from migkit.scenario.policy import presets
from migkit.traces import io
from tests.conftest import TOP

NAMES = [name for name in cli.list_commands(click.Context(cli)) if name not in ("qemu", "course")]
RULE = """
from migkit import register_policy
from migkit.policies import decision as policy

@register_policy("NAME")
def half(state, parameters):
    return policy.under_limit(state, parameters, 0.5 * parameters.downtime_limit_s)
"""


def migkit(*arguments, **options):
    command = [sys.executable, "-m", "migkit", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)


def refusal(*arguments):
    result = CliRunner().invoke(predict.command, arguments, standalone_mode=False)
    assert isinstance(result.exception, UsageError), result.output
    return str(result.exception)


def help_of(*arguments):
    result = CliRunner().invoke(cli, arguments, prog_name="migkit")
    assert result.exit_code == 0
    return result.output


def flags_in(text):
    return [line for line in text.splitlines() if line.startswith("  -")]


@pytest.mark.parametrize("name", NAMES)
def test_every_command_is_made_alike(name):
    command = cli.get_command(click.Context(cli), name)
    assert isinstance(command, Command)
    has_more = any(param.name == "help_all" for param in command.params)
    assert "--import" in help_of(name, "--help-all" if has_more else "--help")


def test_the_help_shows_at_most_fifteen_flags_in_groups():
    text = help_of("predict", "--help")
    assert len(flags_in(text)) <= 15
    for words in ("The guest:", "The link:", "The policy", "The strategy", "--memory SIZE", "--help-all"):
        assert words in text
    everything = help_of("predict", "--help-all")
    assert len(flags_in(everything)) > 80
    assert "--host-sync-base" in everything
    assert "--host-sync-base" not in text


def test_policies_and_strategies_are_listed_where_they_are_asked_for():
    words = "".join(help_of("predict", "--help").replace("-\n", "-").split())
    assert all(preset.name in words for preset in presets() if preset.rule is None)
    assert "precopy,stopcopy,postcopy,hybrid" in words


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--memory", "1 GiB", "--memory", "2 GiB"], "--guest-memory: it is given 2 times"),
        (["--memory", "1 GiB", "--guest-memory", "2 GiB"], "--guest-memory: it is given 2 times"),
        (["--memory", "1 GiB", "--tls", "--no-tls"], "--strategy-tls: it is given 2 times"),
        (["--memory", ""], "--guest-memory: it is empty"),
        (["--memory", "1 GiB", "-o", ""], "--output: it is empty"),
        ([""], "SCENARIO: it is empty"),
        (["--dirty-limit", "-o", "x.json"], "--strategy-dirty-limit: -o stands where its value belongs"),
        (
            ["--profile", "p", "--dirty", 'region = "1 MiB", writes_per_s = 1'],
            "guest.profile: --dirty is given as well",
        ),
        (["--memory", "1 GiB", "--import", "no_such_module"], "--import: 'no_such_module' cannot be imported"),
        (["--memory", "1 GiB", "--import", "no/such.py"], "--import: no/such.py: there is no such file"),
    ],
)
def test_what_would_be_guessed_is_refused(arguments, said):
    assert refusal(*arguments).startswith(said)


@pytest.mark.parametrize("arguments", [["demo", "-o", ""], ["capture", "--memory", "4 MiB", "--host", ""]])
def test_an_empty_value_is_refused_at_once(arguments, tmp_path):
    done = migkit(*arguments, cwd=tmp_path)
    assert (done.returncode, list(tmp_path.iterdir())) == (2, [])
    assert "it is empty" in done.stderr


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"strategy_postcopy_after": "2 s"}, "strategy.postcopy_after: changes nothing under precopy"),
        ({"strategy_prefetch_pages": "4"}, "strategy.prefetch_pages: changes nothing under precopy"),
        ({"strategy_name": "postcopy", "strategy_xbzrle": True}, "strategy.xbzrle: changes nothing under postcopy"),
        ({"strategy_name": "stopcopy", "policy_downtime_limit": "1 s"}, "policy.downtime_limit: changes nothing"),
        ({"policy_name": "xen", "policy_downtime_limit": "1 s"}, "policy.downtime_limit: changes nothing under xen"),
        (
            {"policy_name": "xen", "strategy_name": "hybrid"},
            "strategy.name: Xen 4.6 and later cannot do this: hybrid",
        ),
        (
            {"policy_name": "nova", "strategy_streams": "4"},
            "strategy.streams: Nova before 2026.1 cannot do this: several streams",
        ),
        ({"strategy_xbzrle_cache": "1 MiB"}, "strategy.xbzrle_cache: changes nothing without strategy.xbzrle"),
    ],
)
def test_a_field_that_changes_nothing_is_said(flags, said, capsys):
    scenario_from(None, {"guest_memory": "1 GiB", **flags})
    assert f"migkit: {said}" in capsys.readouterr().err
    scenario_from(None, {"guest_memory": "1 GiB", **flags}, quiet=True)
    assert capsys.readouterr().err == ""


def test_fields_that_count_are_not_spoken_of(capsys):
    flags = {"strategy_name": "hybrid", "strategy_postcopy_after": "2 s", "policy_downtime_limit": "1 s"}
    scenario_from(None, {"guest_memory": "1 GiB", **flags})
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("form", ["name", "file"])
def test_a_policy_of_ones_own_is_imported(form, tmp_path):
    name = f"own-{form}"
    (tmp_path / f"rule_{form}.py").write_text(RULE.replace("NAME", name))
    module = f"rule_{form}" if form == "name" else f"./rule_{form}.py"
    question = ["predict", "--memory", "64 MiB", "--policy", name]
    assert "is not known" in migkit(*question, cwd=tmp_path).stderr
    done = migkit(*question, "--import", module, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"by the rule of {name}" in done.stdout


def test_a_module_that_fails_is_one_line(tmp_path):
    (tmp_path / "broken.py").write_text("1 / 0\n")
    done = migkit("schema", "--import", "broken", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "ZeroDivisionError" in done.stderr


@pytest.mark.parametrize(
    ("command", "code"), [(["schema"], 1), (["predict", "--memory", "1 MiB"], 1), (["--version"], 1)]
)
def test_a_full_device_is_one_line_and_one_exit_code(command, code):
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [sys.executable, "-m", "migkit", *command], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == code
    assert done.stderr.count("\n") == 1
    assert "No space left on device" in done.stderr


def test_the_same_fault_has_one_exit_code():
    for command in (["trackers", "--memory", "900 TiB"], ["capture", "--memory", "900 TiB"]):
        done = migkit(*command)
        assert done.returncode == 2
        assert "shrink the guest or free memory" in done.stderr


def test_a_place_is_checked_before_anything_is_measured(tmp_path):
    for command in (
        ["trackers", "--memory", "8 MiB", "--region", "4 MiB", "-o", tmp_path / "no" / "file.csv"],
        ["dirty", "-o", tmp_path / "no" / "profile.json", "--", "sh", "-c", f"touch {tmp_path}/started; sleep 60"],
    ):
        done = migkit(*command)
        assert done.returncode == 2
        assert "does not exist" in done.stderr
    assert not (tmp_path / "started").exists()


def sample(time_s, sent_bytes):
    return {"monotonic_ns": int(time_s * 1e9), "sent_bytes": sent_bytes} | {
        "phase": "precopy",
        "iteration": 3,
        "remaining_bytes": 2**28,
    }


def test_a_pause_between_two_samples_does_not_say_that_hours_are_to_go():
    assert "to go" not in describe(sample(0.001, 5), sample(0.0, 0))
    assert describe(sample(2.0, 2**28), sample(0.0, 0)).endswith("2 s to go if nothing more is written")


@pytest.mark.parametrize("moment", ["import numpy", "import click", "import migkit.scenario"])
def test_ctrl_c_while_modules_are_imported_is_one_line(moment, tmp_path):
    trap = (
        "import builtins, os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "real = builtins.__import__\n"
        "def spy(name, *rest, **more):\n"
        f"    if name.startswith({moment.split()[1]!r}):\n"
        "        builtins.__import__ = real\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    return real(name, *rest, **more)\n"
        "from migkit.__main__ import main\n"
        "builtins.__import__ = spy\n"
        "sys.argv = ['migkit', 'predict', '--memory', '1 MiB']\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", trap], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "migkit: interrupted\n")


def test_jupyterlab_is_ended_with_the_command(tmp_path):
    server = importlib.import_module("migkit.cli._server")
    body = (
        "import signal, sys\n"
        "def end(number, frame):\n"
        f"    open({str(tmp_path / 'ended')!r}, 'w').close()\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        f"open({str(tmp_path / 'started')!r}, 'w').close()\n"
        "signal.pause()\n"
    )

    def told_to_end(number, frame):
        raise KeyboardInterrupt

    def tell():
        while not (tmp_path / "started").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, told_to_end)
    telling = threading.Thread(target=tell, daemon=True)
    telling.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            server._until_it_ends([sys.executable, "-c", body], cwd=tmp_path)
    finally:
        telling.join(60)
        signal.signal(signal.SIGUSR1, before)
    assert (tmp_path / "ended").exists()


def test_a_trace_of_a_policy_of_ones_own_is_read_where_its_module_is_imported(tmp_path):
    (tmp_path / "mine.py").write_text(RULE.replace("NAME", "mine"))
    importlib.import_module("migkit.cli._command")._import(str(tmp_path / "mine.py"))
    trace = io.read(sorted((TOP / "data" / "traces").glob("*.parquet"))[0])
    policy = dataclasses.replace(trace.scenario.policy, name="mine")
    scenario = dataclasses.replace(trace.scenario, policy=policy)
    io.write(dataclasses.replace(trace, scenario=scenario), tmp_path / "run.parquet")
    refused = migkit("import", "run.parquet", cwd=tmp_path)
    assert refused.returncode == 2
    assert "import the module that registers it, on the command line with --import MODULE" in refused.stderr
    done = migkit("import", "run.parquet", "--import", "mine", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
