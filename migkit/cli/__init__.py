"""The command line: one module a command, imported when it is called."""

from __future__ import annotations

import contextlib
import importlib
import sys
from typing import Any

import click

from migkit import __version__
from migkit.errors import MigkitError, printable
from migkit.interruption import heed_no_more, heed_once

__all__ = ["main"]

_COMMANDS: dict[str, str] = {
    "demo": "Capture real migrations, calibrate, predict one that was left out, write a report.",
    "predict": "Predict one migration: time, downtime, bytes, whether it converges, and why.",
    "compare": "Predict one migration under several policies and strategies, side by side.",
    "size": "Find the link, limit, streams, writes, memory or parallel migrations that just keep given limits.",
    "tradeoffs": "Show which settings of a system are worth a choice for one guest, and the best one.",
    "advise": "Find the settings of a product with which a migration keeps its limits, and write them to paste.",
    "lint": "Check files of settings, and say which machines cannot be moved under them.",
    "sweep": "Predict every scenario of a space, millions of them, into a folder.",
    "drain": "Plan how hosts are emptied: which machine goes where, when, and by when all is done.",
    "rehearse": "Play a drain as a manager carries it out: when hosts are empty, with which probability, and why.",
    "schema": "List the keys of a scenario file.",
    "lab": "Open the notebooks in JupyterLab.",
    "dashboard": "Open the questions of planners as a page in the browser, without code.",
    "course": "Hand out the course of the notebooks, and grade what comes back.",
    "capture": "Migrate a real guest process, prove it, and record the run.",
    "qemu": "Migrate a real virtual machine of QEMU, and record the run.",
    "watch": "Forecast a migration under way: its end, its downtime, whether it converges, what would help.",
    "replay": "Say what other rules would have done in a recorded migration, and when.",
    "dirty": "Measure how a running program dirties its memory.",
    "trackers": "Compare the dirty trackers: cost, missed and extra pages on one workload.",
    "import": "Say what a log of a migration holds: QEMU, libvirt, Proxmox, Nova, KubeVirt, Xen and more.",
    "fit": "Fit a guest to logs of its migrations or to readings of its dirty rate.",
    "calibrate": "Fit the constants of hosts to traces and logs of migrations.",
    "accuracy": "Compare predictions with what was measured, on the data that ship or on runs of your own.",
    "restore": "Resume the guest of a checkpoint and prove it intact.",
    "doctor": "Show what this machine can do, each with the reason and the remedy.",
}
_MODULES: dict[str, str] = {"import": "import_"}  # where a command's name is a word of Python


_BEFORE = dict.fromkeys(("capture", "demo"), "; no guest was started")


class _InterruptedError(MigkitError):
    """Ctrl-C where no run was under way."""

    exit_code = 130


class _Commands(click.Group):
    """Commands by name, each imported from ``migkit.cli.NAME`` only when it is called.

    Their one-line helps stand here so that ``migkit --help`` imports none of them.
    """

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:  # click would print an empty line for it
            raise _InterruptedError("interrupted") from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        try:
            module = importlib.import_module(f"migkit.cli.{_MODULES.get(cmd_name, cmd_name)}")
        except KeyboardInterrupt as error:
            raise _InterruptedError(f"interrupted{_BEFORE.get(cmd_name, '')}") from error
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if _COMMANDS:
            with formatter.section("Commands"):
                formatter.write_dl(list(_COMMANDS.items()))


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="migkit")
def cli() -> None:
    """Predict, measure and plan live migrations of running virtual machines."""


def main() -> None:
    """Run a command; every error is one line on stderr and its documented exit code.

    SIGTERM and SIGHUP end a command in the same order as Ctrl-C. Only the first of them counts.
    """
    heed_once()
    code, line = _outcome()
    heed_no_more()
    if line:
        with contextlib.suppress(OSError):  # stderr is full or closed: nobody hears it
            click.echo(f"migkit: {line}", err=True)
    sys.exit(code)


def _outcome() -> tuple[int, str]:
    """Run the command that was asked for; return its exit code and what is to be said of its end."""
    try:
        cli.main(prog_name="migkit", standalone_mode=False)
    except MigkitError as error:
        return error.exit_code, str(error)
    except click.ClickException as error:
        return error.exit_code, printable(" ".join(error.format_message().split()))
    except (click.Abort, KeyboardInterrupt):
        return _InterruptedError.exit_code, "interrupted"
    except (OSError, MemoryError, ImportError) as error:
        what = (
            "out of memory"
            if isinstance(error, MemoryError)
            else getattr(error, "strerror", None) or " ".join(str(error).split())
        )
        where = _BEFORE.get(sys.argv[1], "") if len(sys.argv) > 1 else ""
        return 1, f"{printable(what)}; free memory or disk, or raise the limits (ulimit){where}"
    return 0, ""
