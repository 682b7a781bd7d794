"""``migkit qemu``: real virtual machines, started, migrated and recorded."""

from __future__ import annotations

import importlib

import click

__all__ = ["command"]

_COMMANDS = {
    "capture": "Migrate a real virtual machine from one QEMU to another, and record the run.",
    "image": "Make a Linux guest with real applications, from packages of Debian.",
    "profile": "Measure how a running virtual machine writes its memory, before it moves.",
}


class _Commands(click.Group):
    """Commands by name, each imported only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"migkit.cli.qemu_{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.command("qemu", cls=_Commands)
def command() -> None:
    """Work with real virtual machines of QEMU, on this machine; nothing of them is left behind."""
