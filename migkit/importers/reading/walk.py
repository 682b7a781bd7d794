"""Down into objects: every answer, report, sample or message in them, however deep it is wrapped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from migkit.importers.context import Context
from migkit.importers.findings import Emit
from migkit.importers.reading.objects import MAX_DEPTH
from migkit.importers.tools import criu, dirtyrate, guestperf, jobstats, kubevirt, metrics, qmp

__all__ = ["walk"]

_TAKERS: Final = (dirtyrate.take, guestperf.take, criu.take, metrics.take, jobstats.take, kubevirt.take, qmp.take)
_MESSAGES: Final = ("msg", "message", "MESSAGE", "log", "line", "body", "reply", "output", "stdout")

_REASONS: Final = ("reason", "error")  # beside the message in structured logs


def walk(value: Any, context: Context, emit: Emit, read_text: Callable[[str, Context], None]) -> int:
    """Emit all that ``value`` says of migrations, messages in it through ``read_text``; return how many parts did."""
    return _Walker(emit, read_text).visit(value, context, 0)


class _Walker:
    def __init__(self, emit: Emit, read_text: Callable[[str, Context], None]) -> None:
        self._emit = emit
        self._read_text = read_text

    def visit(self, value: Any, context: Context, depth: int) -> int:
        if depth > MAX_DEPTH:
            return 0
        if isinstance(value, Mapping):
            return self._mapping(value, context, depth)
        if isinstance(value, list | tuple):
            if isinstance(value, list) and qmp.take_list(value, context, self._emit):
                return 1
            if _is_text(value):
                self._read_text("\n".join(value), context)
                return 1
            return sum(
                self.visit(held, context, depth + 1) for held in value if isinstance(held, Mapping | list | tuple)
            )
        return 0

    def _mapping(self, value: Mapping[str, Any], context: Context, depth: int) -> int:
        value = value if all(isinstance(key, str) for key in value) else {str(k): v for k, v in value.items()}
        for take in _TAKERS:
            if take(value, context, self._emit):
                return 1
        inner = context.within(value)
        said = self._messages(value, inner)
        held = (v for v in value.values() if isinstance(v, Mapping | list | tuple))
        return said + sum(self.visit(v, inner, depth + 1) for v in held)

    def _messages(self, value: Mapping[str, Any], context: Context) -> int:
        texts = [text for key in _MESSAGES if (text := _text(value.get(key))) is not None]
        reason = next((value[key] for key in _REASONS if isinstance(value.get(key), str)), "")
        for text in texts:
            self._read_text(f"{text}: {reason}" if reason else text, context)
        return len(texts)


def _is_text(value: list[Any] | tuple[Any, ...]) -> bool:
    """Return whether these are the lines of a text, as Ansible writes them."""
    return len(value) > 1 and all(isinstance(held, str) for held in value) and any(":" in held for held in value)


def _text(value: Any) -> str | None:
    """Return a message; journald writes one with characters that do not print as a list of bytes."""
    if isinstance(value, list) and value and all(type(byte) is int and 0 <= byte < 256 for byte in value):
        return bytes(value).decode("utf-8", errors="replace")
    return value if isinstance(value, str) else None
