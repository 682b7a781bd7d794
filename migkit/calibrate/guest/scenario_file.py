"""A fitted guest as a scenario file that ``migkit predict`` reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from migkit import __version__, files
from migkit.errors import UsageError, printable
from migkit.scenario import DirtyClass, Guest

__all__ = ["text", "write"]

Tables = Mapping[str, Mapping[str, str | Mapping[str, float]]]

_COUNTED: Final[Tables] = {"host": {"firmware": "0 B"}}  # a log counts firmware as memory, so the host adds none


def text(guest: Guest, comments: Iterable[str] = (), tables: Tables = _COUNTED) -> str:
    """Return the file; what the measurement says of itself stands in comments, what else it knows in further tables.

    Examples
    --------
    >>> print(text(Guest(memory_bytes=2**20), ["made by hand"]))
    # made by hand
    <BLANKLINE>
    [guest]
    memory = "1048576 B"
    zero = "0 B"
    <BLANKLINE>
    [host]
    firmware = "0 B"
    <BLANKLINE>
    """
    lines = [f"# {' '.join(printable(line).split())}" for line in comments]
    lines += ["", "[guest]", f'memory = "{guest.memory_bytes} B"', f'zero = "{guest.zero_bytes} B"']
    if guest.layout != "interleaved":
        lines.append(f'layout = "{guest.layout}"')
    if guest.devices:
        lines.append(f"devices = {{ {', '.join(f'{kind} = {number:g}' for kind, number in guest.devices)} }}")
    if guest.restart_blocks:
        lines.append(f"restart_blocks = {guest.restart_blocks:g}")
    lines.append("")
    for one in guest.dirty:
        lines += [*_class(one), ""]
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{key} = {_value(value)}" for key, value in table.items()), ""]
    return "\n".join(lines)


def _value(value: str | Mapping[str, float]) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    return f"{{ {', '.join(f'{name} = {number!r}' for name, number in value.items())} }}"


def _class(one: DirtyClass) -> Iterator[str]:
    yield "[[guest.dirty]]"
    yield f'region = "{one.region_bytes} B"'
    yield f"writes_per_s = {one.writes_per_s!r}"
    if one.kind != "random":
        yield f'kind = "{one.kind}"'
    if one.zero_share:
        yield f"zero_share = {one.zero_share!r}"
    if one.phases:
        steps = ", ".join(f'["{duration_s:.6g} s", {intensity}]' for duration_s, intensity in one.phases)
        yield f"phases = [{steps}]"


def write(path: Path, guest: Guest, comments: Sequence[str] = (), tables: Tables = _COUNTED) -> None:
    """Write the file; it appears whole or not at all.

    Raises
    ------
    UsageError
        It cannot be written.
    """
    head = [f"migkit {__version__} fit", *comments]
    try:
        with files.appearing(path, private=False) as stream:
            stream.write(text(guest, head, tables).encode())
    except OSError as error:
        raise UsageError(f"guest {path}: cannot be written ({error.strerror}); choose another file") from error
