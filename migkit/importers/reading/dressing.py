"""What tools and people put around the lines of a log: colours, quotation, numbers of lines, names of files."""

from __future__ import annotations

import html
import itertools
import re
from typing import Final

__all__ = ["bare", "undressed"]

_SPACES: Final = str.maketrans({"\u00a0": " ", "\u2007": " ", "\u202f": " "})
_TERMINAL: Final = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_ENTITIES: Final = re.compile(r"[{\[,:]\s*&(?:quot|#34|#39|apos);|^\s*&gt;", re.MULTILINE)
_QUOTED: Final = re.compile(r"^[ \t]*(?:>[ \t]?)+", re.MULTILINE)
_NUMBERED: Final = re.compile(r"[ \t]*(\d{1,7})(?:[:|](?!\d\d:\d\d)|\t|\.[ \t]|[ \t]{2,}|\)[ \t])[ \t]?")
_FILED: Final = re.compile(r"[\w./@+-]{1,200}\.(?:log|txt|out|jsonl?|err)(?:\.\d{1,3})?[:-]")
_SOFT_BREAK: Final = re.compile(r"(?<=[^\n]{60})=\n")  # of a mail in quoted-printable, before its column 76
_CODED: Final = re.compile(r"=([0-9A-F]{2})")
_FEWEST: Final = 3
_LEVEL: Final = re.compile(
    r"[^{}:]{0,80}?(?<![A-Za-z])(?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|CRITICAL)\b[\]|:\s-]{1,8}"
    r"(?:[A-Za-z][\w.]{0,60}(?::(?=\S)|\s?[-|]\s))?\s*"
)


def undressed(text: str) -> tuple[str, list[str]]:
    """Return a text without what stands around each of its lines, and notes on that.

    It has as many lines as before, except where a mail broke them.

    Examples
    --------
    >>> undressed("> total time: 5 ms\\n> > downtime: 1 ms\\n")
    ('total time: 5 ms\\ndowntime: 1 ms\\n', ['marks of quotation before lines were left out'])
    >>> undressed("7: a\\n8: b\\n9: c")[0]
    'a\\nb\\nc'
    """
    notes = []
    text = _TERMINAL.sub("", text.translate(_SPACES))
    if len(_SOFT_BREAK.findall(text)) >= _FEWEST - 1:
        text = _CODED.sub(lambda found: chr(int(found[1], 16)), _SOFT_BREAK.sub("", text))
        notes.append("lines that a mail broke (quoted-printable) were joined")
    if _ENTITIES.search(text):
        text = html.unescape(text)
        notes.append("entities of HTML were read as the characters that they stand for")
    quoted = _QUOTED.sub("", text)
    if quoted != text:
        text = quoted
        notes.append("marks of quotation before lines were left out")
    for pattern, what in ((_FILED, "names of files"), (_NUMBERED, "numbers of lines")):
        cut = _without(text, pattern)
        if cut is not None:
            text = cut
            notes.append(f"{what} before lines were left out")
    return text, notes


def bare(line: str) -> str:
    """Return a line without the level and the name of its logger.

    Examples
    --------
    >>> bare("- INFO - total time: 5 ms"), bare("INFO:root:setup: 4 ms"), bare("downtime: 7 ms")
    ('total time: 5 ms', 'setup: 4 ms', 'downtime: 7 ms')
    """
    found = _LEVEL.match(line)
    return line[found.end() :] if found else line


def _without(text: str, pattern: re.Pattern[str]) -> str | None:
    """Return the text without what the pattern finds before each of its lines; numbers must grow."""
    lines = text.split("\n")
    found = [pattern.match(line) for line in lines]
    kept = [match for match in found if match]
    if len(kept) < max(_FEWEST, sum(bool(line.strip()) for line in lines)):
        return None
    numbers = [int(match[1]) for match in kept if match.re.groups]
    if any(late <= early for early, late in itertools.pairwise(numbers)):
        return None
    return "\n".join(line[match.end() :] if match else line for line, match in zip(lines, found, strict=True))
