"""What every command does alike: its short help, ``--import``, and no flag that is empty or given twice."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import click

from migkit.cli._output import check_outputs
from migkit.errors import UsageError, printable, shown

__all__ = ["Command"]

_TITLES: Final = {
    "guest": "The guest",
    "link": "The link",
    "host": "The hosts",
    "policy": "The policy: when the migration ends",
    "strategy": "The strategy: how it is made",
    "": "Options",
}
_FEW: Final = {  # of the fields of a scenario, those that most people need
    *("guest_memory", "guest_dirty", "guest_profile", "link_bandwidth", "link_rtt"),
    *("policy_name", "policy_max_bandwidth", "policy_downtime_limit", "strategy_name"),
}


class Command(click.Command):
    """A command of migkit.

    Its help shows the fields of a scenario that most people need, in groups; ``--help-all`` shows every flag.
    A flag that is given twice or without a value is refused rather than guessed.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.params.append(
            click.Option(
                ["--import", "imported"],
                multiple=True,
                metavar="MODULE",
                is_eager=True,
                expose_value=False,
                callback=_import_all,
                help="Import this module first, a name or a file: it may register policies; repeat it for more.",
            )
        )
        if any(_table(param) for param in self.params):
            self.params.append(
                click.Option(
                    ["--help-all"],
                    is_flag=True,
                    is_eager=True,
                    expose_value=False,
                    callback=_show_all,
                    help="Show every flag, also those for all the other fields of a scenario.",
                )
            )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse what would be guessed, take the arguments as click does, then look at what is to be written."""
        if not ctx.resilient_parsing:
            values, _, order = self.make_parser(ctx).parse_args(args=list(args))
            flags = {flag for param in self.get_params(ctx) for flag in (*param.opts, *param.secondary_opts)}
            for param, count in Counter(order).items():
                _refuse_guess(param, values.get(param.name or ""), count, flags)
        rest = super().parse_args(ctx, args)
        if not ctx.resilient_parsing:
            check_outputs(self.get_params(ctx), ctx.params)
        return rest

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the flags in groups, one a table of a scenario."""
        everything = bool(ctx.meta.get("migkit.help_all"))
        groups: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            shown_here = isinstance(param, click.Option) and (everything or self._is_short(param))
            record = _record(param, ctx, everything) if shown_here else None
            if record is not None:
                groups.setdefault(_table(param), []).append(record)
        for table, title in _TITLES.items():
            if table in groups:
                with formatter.section(title):
                    formatter.write_dl(groups[table])

    def _is_short(self, param: click.Parameter) -> bool:
        return (not _table(param) and param.name not in self._rare) or param.name in _FEW

    @property
    def _rare(self) -> Iterable[str]:
        """Flags of the command itself that few people need, where it has so many of a scenario."""
        return (
            ("calibration", "level", "seed", "imported", "quiet")
            if any(_table(param) for param in self.params)
            else ()
        )


def _table(param: click.Parameter) -> str:
    """Return the table of a scenario that a flag belongs to; empty: it is the command's own."""
    return str(getattr(param, "table", ""))


def _record(param: click.Parameter, ctx: click.Context, everything: bool) -> tuple[str, str] | None:
    """Return a flag and its help; the short help leaves out the longer of two names of a field."""
    record = param.get_help_record(ctx)
    if everything or record is None or not _table(param):
        return record
    return record[0].replace(f"{max(param.opts, key=len)}, ", ""), record[1]


def _refuse_guess(param: click.Parameter, value: Any, count: int, flags: set[str]) -> None:
    if not isinstance(param, click.Option):
        if value == "":
            raise UsageError(f"{param.human_readable_name}: it is empty; name a file or leave it out")
        return
    name = param.opts[-1] if len(param.opts) == 1 else max(param.opts, key=len)
    plain = param.is_flag and not param.secondary_opts
    if count > 1 and not (param.multiple or param.count or plain):
        raise UsageError(f"{name}: it is given {count} times; give it once")
    given = value if isinstance(value, list | tuple) else (value,)
    if "" in given:
        raise UsageError(f"{name}: it is empty; give a value or leave it out")
    for one in given:
        if isinstance(one, str) and one.startswith("-") and one in flags:
            raise UsageError(f"{name}: {one} stands where its value belongs; give a value before {one}")


def _show_all(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        ctx.meta["migkit.help_all"] = True
        click.echo(ctx.get_help())
        ctx.exit()


def _import_all(ctx: click.Context, param: click.Parameter, names: tuple[str, ...]) -> None:
    for name in names if not ctx.resilient_parsing else ():
        _import(name)


def _import(name: str) -> None:
    """Import a module by its name, or from its file; one that lies in the working folder is its file.

    Raises
    ------
    UsageError
        There is no such module, or it fails.
    """
    file = Path(name) if name.endswith(".py") else Path(f"{name.replace('.', '/')}.py")
    try:
        if file.is_file():
            _load(file.stem if name.endswith(".py") else name, file.absolute())
        elif name.endswith(".py"):
            raise UsageError(f"--import: {printable(name)}: there is no such file; check the path")
        else:
            importlib.import_module(name)
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(
            f"--import: {shown(name)} cannot be imported ({type(error).__name__}: {error}); "
            "name a module on the path, or its file"
        ) from error


def _load(name: str, file: Path) -> None:
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UsageError(f"--import: {file}: is no Python file")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
