"""Python for people: the call behind a picture, as somebody would write it."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

__all__ = ["call", "literal"]


def call(name: str, arguments: Mapping[str, Any]) -> str:
    """Return a call with keyword arguments, over several lines where it is long.

    Values that are text are taken as they are: they are Python already. Use :func:`literal` for others.

    Examples
    --------
    >>> call("Link", {"rtt_s": "0.1"})
    'Link(rtt_s=0.1)'
    """
    written = [f"{key}={value}" for key, value in arguments.items()]
    short = f"{name}({', '.join(written)})"
    if len(short) <= 90 and "\n" not in short:
        return short
    lines = "\n".join(f"    {line}" for item in written for line in f"{item},".split("\n"))
    return f"{name}(\n{lines}\n)"


def literal(value: Any) -> str:
    """Return a value as Python; of a record, only the fields that differ from its defaults.

    Examples
    --------
    >>> from migkit import Host
    >>> literal(Host(quiesce_s=0.005, receive_bytes_per_s=1e9))
    'Host(receive_bytes_per_s=1000000000.0, quiesce_s=0.005)'
    >>> print(literal({"memory": "4 GiB", "cap": float("inf")}))
    {"memory": "4 GiB", "cap": float("inf")}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return call(type(value).__name__, {name: literal(item) for name, item in _told(value).items()})
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{literal(key)}: {literal(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(literal, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, float) and math.isinf(value):
        return 'float("inf")' if value > 0 else '-float("inf")'
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return repr(value)


def _told(record: Any) -> dict[str, Any]:
    """Return the fields that must be said: those without a default, and those that differ from it."""
    values = {field: getattr(record, field.name) for field in dataclasses.fields(record)}
    return {field.name: value for field, value in values.items() if not _goes_unsaid(value, field.default)}


def _goes_unsaid(value: Any, default: Any) -> bool:
    """Return whether a record has the value without being told.

    What is typical of a platform or usual under a policy is a kind of float of its own; a plain one was stated.
    """
    is_filled_in = isinstance(value, float) and type(value) is not float
    return is_filled_in or (type(value) is type(default) and bool(value == default))
