"""A fitted guest as a scenario file that ``migkit predict`` reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from migkit import __version__, files
from migkit.errors import UsageError, printable
from migkit.scenario import DirtyClass, Guest

__all__ = ["text", "write"]


def text(guest: Guest, comments: Iterable[str] = ()) -> str:
    """Return the file; what the measurement says of itself stands in comments.

    The memory counts what the source counted, firmware included, so the host adds none.

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
    lines += ["", "[guest]", f'memory = "{guest.memory_bytes} B"', f'zero = "{guest.zero_bytes} B"', ""]
    for one in guest.dirty:
        lines += [*_class(one), ""]
    return "\n".join([*lines, "[host]", 'firmware = "0 B"', ""])


def _class(one: DirtyClass) -> Iterator[str]:
    yield "[[guest.dirty]]"
    yield f'region = "{one.region_bytes} B"'
    yield f"writes_per_s = {one.writes_per_s!r}"
    if one.kind != "random":
        yield f'kind = "{one.kind}"'
    if one.phases:
        steps = ", ".join(f'["{duration_s:.6g} s", {intensity}]' for duration_s, intensity in one.phases)
        yield f"phases = [{steps}]"


def write(path: Path, guest: Guest, comments: Sequence[str] = ()) -> None:
    """Write the file; it appears whole or not at all.

    Raises
    ------
    UsageError
        It cannot be written.
    """
    head = [f"migkit {__version__} fit", *comments]
    try:
        with files.appearing(path, private=False) as stream:
            stream.write(text(guest, head).encode())
    except OSError as error:
        raise UsageError(f"guest {path}: cannot be written ({error.strerror}); choose another file") from error
