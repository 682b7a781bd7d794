"""Commands as people paste them into a shell, as entries: virsh, qm, incus, openstack optimize."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Final

from migkit.planning.settings.document import Entry

__all__ = ["PROGRAMS", "commands"]

PROGRAMS: Final = ("virsh", "qm", "incus", "openstack")
_VIRSH_POSITIONS: Final = {  # values of commands that people give without a flag, behind the domain
    "migrate-setspeed": ("bandwidth",),
    "migrate-setmaxdowntime": ("downtime",),
    "migrate-compcache": ("size",),
    "migrate": ("desturi", "migrateuri", "graphicsuri", "listen-address", "dname", "timeout"),
}
_SWITCHES: Final = (  # flags of virsh migrate without a value
    *("live", "offline", "direct", "p2p", "tunnelled", "persistent", "undefinesource", "suspend", "unsafe"),
    *("copy-storage-all", "copy-storage-inc", "copy-storage-synchronous-writes", "change-protection", "verbose"),
    *("rdma-pin-all", "abort-on-error", "postcopy", "postcopy-after-precopy", "postcopy-resume", "zerocopy"),
    *("timeout-suspend", "timeout-postcopy", "compressed", "auto-converge", "tls", "parallel"),
)


def commands(text: str) -> Iterator[tuple[str, list[Entry]]]:
    """Yield the program of each command and its entries, whose paths begin with the subcommand.

    Raises
    ------
    ValueError
        A line is no command, or a quote has no end.

    Examples
    --------
    >>> list(commands("virsh migrate-setmaxdowntime web1 500"))
    [('virsh', [Entry(path=('migrate-setmaxdowntime', 'downtime'), text='500', line=1, group=0, type='')])]
    """
    for group, (line, command) in enumerate(_joined(text)):
        try:
            words = shlex.split(command, comments=True)
        except ValueError as error:
            raise ValueError(f"line {line}: {error}") from error
        if words and words[0] == "sudo":
            words = words[1:]
        if not words:
            continue
        program = words[0].rpartition("/")[2]
        if program not in PROGRAMS:
            raise ValueError(f"line {line}: {words[0]} is none of {', '.join(PROGRAMS)}")
        pairs = _READERS[program](words[1:])
        yield program, [Entry(path, value, line, group) for path, value in pairs]


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """Yield commands with the line that they begin in; a backslash at the end goes on with the next line."""
    held, begin = "", 1
    for number, line in enumerate(text.splitlines(), 1):
        if not held:
            begin = number
        held += line.rstrip()
        if held.endswith("\\"):
            held = f"{held[:-1]} "
            continue
        if held.strip():
            yield begin, held
        held = ""
    if held.strip():
        yield begin, held


Pairs = Iterator[tuple[tuple[str, ...], str]]


def _flags(words: list[str], switches: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield flags with their values, and words without a flag under an empty name."""
    at = 0
    while at < len(words):
        word, at = words[at], at + 1
        if not word.startswith("--"):
            yield "", word
            continue
        name, sign, value = word[2:].partition("=")
        if not sign and name not in switches and at < len(words) and not words[at].startswith("--"):
            value, at = words[at], at + 1
        yield name, value


def _virsh(words: list[str]) -> Pairs:
    while len(words) > 1 and words[0].startswith("-"):
        words = words[2:] if words[0] in ("-c", "--connect") else words[1:]
    if not words:
        return
    command, rest = words[0], list(_flags(words[1:], _SWITCHES))
    given = {name for name, _ in rest}
    places = [name for name in ("domain", *_VIRSH_POSITIONS.get(command, ())) if name not in given]
    if not rest:
        yield (command,), ""
    for name, value in rest:
        place = name or (places.pop(0) if places else "")
        if place and place != "domain":
            yield (command, place), value
        elif place:
            yield from (((command,), "") for _ in range(len(rest) == 1))


def _qm(words: list[str]) -> Pairs:
    if words:
        doubled = [f"-{word}" if re.match(r"-[a-z]", word) else word for word in words[1:]]  # qm takes -x as --x
        yield from (((words[0], name), value) for name, value in _flags(doubled, ("online",)) if name)


def _incus(words: list[str]) -> Pairs:
    pairs = [word for word in words if "." in word or "=" in word]
    if words[:2] != ["config", "set"]:
        return
    for at, word in enumerate(pairs):
        name, sign, value = word.partition("=")
        if sign:
            yield ("config", name), value
        elif at == 0:
            behind = words[words.index(word) + 1 :]
            yield ("config", name), behind[0] if behind else ""


def _openstack(words: list[str]) -> Pairs:
    for at, word in enumerate(words[:-1]):
        if word in ("-p", "--parameter"):
            name, _, value = words[at + 1].partition("=")
            yield ("parameters", name), value
    for name in ("goal", "strategy"):
        found = re.search(rf"(?:^| )(?:-{name[0]}|--{name})[ =](\S+)", " ".join(words))
        if found:
            yield (name,), found[1]


_READERS: Final = {"virsh": _virsh, "qm": _qm, "incus": _incus, "openstack": _openstack}
