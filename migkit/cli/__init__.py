"""The command line: one module a command, imported when it is called."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from migkit import __version__
from migkit.errors import MigkitError

__all__ = ["main"]

_COMMANDS: dict[str, str] = {
    "demo": "Capture real migrations, calibrate, predict one that was left out, write a report.",
    "predict": "Predict one migration: time, downtime, bytes, whether it converges, and why.",
    "compare": "Predict one migration under several policies and strategies, side by side.",
    "schema": "List the keys of a scenario file.",
    "lab": "Open the notebooks in JupyterLab.",
    "capture": "Migrate a real guest process, prove it, and record the run.",
    "dirty": "Measure how a running program dirties its memory.",
    "trackers": "Compare the dirty trackers: cost, missed and extra pages on one workload.",
    "restore": "Resume the guest of a checkpoint and prove it intact.",
    "doctor": "Show what this machine can do, each with the reason and the remedy.",
}


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
        command: click.Command = importlib.import_module(f"migkit.cli.{cmd_name}").command
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
    """Run a command; every error is one line on stderr and its documented exit code."""
    try:
        cli.main(prog_name="migkit", standalone_mode=False)
    except MigkitError as error:
        click.echo(f"migkit: {error}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        click.echo(f"migkit: {error.format_message()}", err=True)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("migkit: interrupted", err=True)
        sys.exit(130)
