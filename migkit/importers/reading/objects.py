"""Objects inside text: JSON and Python dictionaries wherever they stand, and the text between them."""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Generator, Iterator
from typing import Any, Final, NamedTuple

__all__ = ["MAX_DEPTH", "Found", "Plain", "pieces"]

MAX_DEPTH: Final = 64
_MOST_DIGITS: Final = 30
_LITERAL_CHARS: Final = 1 << 20
_OPENER: Final = re.compile(r"\{\s*u?[\"']|\[\s*[\[{]")
_TOKEN: Final = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|[{}\[\]()]", re.DOTALL)
_NAN: Final = re.compile(r"([:\[,]\s*)[+-]?(?:nan|inf|infinity)(?=\s*[,}\]])", re.IGNORECASE)
_LONG: Final = re.compile(r"(?<=[ \[:,])(\d{1,20})L\b")  # Python 2
_TOO_DEEP_CHARS: Final = 1000
_WINDOW_CHARS: Final = 1 << 14
_MARGIN_CHARS: Final = 16  # a number or a word may be cut by the window's end


class Plain(NamedTuple):
    """A line, or what is left of it, that is not part of an object."""

    line: int
    text: str


class Found(NamedTuple):
    """An object, the line on which it begins, and what stands before it on that line."""

    line: int
    prefix: str
    value: Any
    form: str


def pieces(text: str, notes: list[str]) -> Iterator[Plain | Found]:
    """Yield the lines of ``text`` and the objects in it, in their order.

    ``nan``, ``-nan`` and ``inf``, which are no JSON, are read as NaN. Of an object that never ends (a log that was
    cut) those inside it are still found. Work on broken objects is bounded; ``notes`` says when that was reached.

    Examples
    --------
    >>> [piece[1:] for piece in pieces('12.5 {"mbps": -nan} x\\n', [])]
    [('12.5 ', {'mbps': nan}, 'JSON'), (' x',)]
    """
    yield from _Scanner(_NAN.sub(r"\1NaN", text), notes).pieces()


class _Scanner:
    def __init__(self, text: str, notes: list[str]) -> None:
        self._text = text
        self._notes = notes
        self._line = 1
        self._told = 0
        self._length = len(text.rstrip())
        self._budget = 4 * len(text) + (1 << 24)
        self._decoder = json.JSONDecoder(parse_int=_whole)

    def pieces(self) -> Iterator[Plain | Found]:
        at = 0
        while self._budget > 0:
            opener = _OPENER.search(self._text, at)
            if opener is None:
                break
            start = opener.start()
            value, form, end = self._object(start)
            if form is None:
                at = end
                continue
            prefix = yield from self._plain(start)
            yield Found(self._line, prefix, value, form)
            self._advance(end)
            at = end
        if self._budget <= 0:
            self._notes.append("too many broken objects: the rest was read as plain lines")
        rest = yield from self._plain(len(self._text))
        if rest:
            yield Plain(self._line, rest)

    def _plain(self, end: int) -> Generator[Plain, None, str]:
        """Yield whole lines up to ``end``; return what begins the line that ``end`` is on."""
        *whole, last = self._text[self._told : end].split("\n")
        for text in whole:
            if text.strip(" ,\t]["):
                yield Plain(self._line, text)
            self._line += 1
        self._told = end
        return last

    def _advance(self, end: int) -> None:
        self._line += self._text.count("\n", self._told, end)
        self._told = end

    def _object(self, start: int) -> tuple[Any, str | None, int]:
        """Return the object at ``start``, its form and its end; no form: there is none, go on at the end."""
        try:
            value, end, stop, message = self._json(start)
        except RecursionError:
            self._budget -= _TOO_DEEP_CHARS
            return None, None, start + _TOO_DEEP_CHARS
        if message is None:
            return value, "JSON", end
        self._note_cut(start, stop, message)
        self._budget -= stop - start + 16
        found = self._literal(start) if self._pythonic(stop) else None
        if found is not None:
            return found[0], "Python dictionary", found[1]
        return None, None, start + 1

    def _json(self, start: int) -> tuple[Any, int, int, str | None]:
        """Return the value and its end, or where JSON fails and why.

        A window of the text is tried first: an error counts all lines before it, so it must be looked for in few.
        """
        size = _WINDOW_CHARS
        while True:
            window = self._text[start : start + size]
            try:
                value, end = self._decoder.raw_decode(window)
                return value, start + end, 0, None
            except json.JSONDecodeError as error:
                whole = start + size >= len(self._text)
                inside = error.pos < len(window) - _MARGIN_CHARS and not error.msg.startswith("Unterminated")
                if whole or inside:
                    return None, 0, start + error.pos, error.msg
            size *= 8

    def _note_cut(self, start: int, stop: int, message: str) -> None:
        if stop >= self._length - 1 or message.startswith("Unterminated"):
            line = self._line + self._text.count("\n", self._told, start)
            self._length = 1 << 62  # told once
            self._notes.append(f"the object that begins in line {line} is cut off: only what is whole in it was read")

    def _pythonic(self, stop: int) -> bool:
        """Return whether JSON failed where Python would go on: at a quote, True, False, None or a tuple."""
        near = self._text[stop : stop + 1]
        return near in "'uTFNL(" and near != ""

    def _literal(self, start: int) -> tuple[Any, int] | None:
        end = self._extent(start)
        self._budget -= (end or start) - start
        if end is None:
            self._budget -= _LITERAL_CHARS // 16
            return None
        source = _LONG.sub(r"\1", self._text[start:end].replace("NaN", "1e999"))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return ast.literal_eval(source), end
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return None

    def _extent(self, start: int) -> int | None:
        """Return the end of the brackets that open at ``start``, if they close soon and are not nested too deep."""
        depth = 0
        for token in _TOKEN.finditer(self._text, start, start + _LITERAL_CHARS):
            mark = token[0]
            depth += (mark in "{[(") - (mark in "}])")
            if depth == 0 and len(mark) == 1:
                return token.end()
            if depth > MAX_DEPTH:
                return None
        return None


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MOST_DIGITS else float("inf")
