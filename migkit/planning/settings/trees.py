"""YAML and QMP as entries with their lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import yaml

from migkit import files
from migkit.planning.settings.document import Entry

__all__ = ["objects", "qmp"]

_DEEPEST: Final = 40


class _TreeError(ValueError):
    """A tree that is not taken apart; the message says why."""


def objects(text: str) -> Iterator[list[Entry]]:
    """Yield the entries of each YAML document; the items of a list of objects are documents of their own.

    Raises
    ------
    ValueError
        It is no YAML, refers to itself, or is nested too deeply.

    Examples
    --------
    >>> [entry for document in objects("spec:\\n  allowPostCopy: true") for entry in document]
    [Entry(path=('spec', 'allowPostCopy'), text='true', line=2, group=0, type='switch')]
    """
    _check_depth(text)
    try:
        for root in yaml.compose_all(text, Loader=yaml.SafeLoader):
            for node in _items(root):
                yield list(_entries(node, (), 0, set()))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark is not None else ""
        raise ValueError(f"{where}{getattr(error, 'problem', None) or 'not YAML'}") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _check_depth(text: str) -> None:
    """Refuse what the parser would take long for: its time grows with the square of the depth of brackets."""
    depth = 0
    for one in re.finditer(r"[\[\]{}]", text):
        depth += 1 if one[0] in "[{" else -1
        if depth > _DEEPEST:
            raise _TreeError("it is nested too deeply")


def _items(root: Any) -> list[Any]:
    """Return the objects of a list as kubectl prints it, or the one object; nothing of what is no object."""
    if not isinstance(root, yaml.MappingNode):
        return []
    found = {getattr(key, "value", ""): value for key, value in root.value}
    listed = str(getattr(found.get("kind"), "value", "")).endswith("List")
    items = found.get("items")
    if not listed or not isinstance(items, yaml.SequenceNode):
        return [root]
    return [item for item in items.value if isinstance(item, yaml.MappingNode)]


def _entries(node: Any, path: tuple[str, ...], depth: int, seen: set[int]) -> Iterator[Entry]:
    if node is None:
        return
    if depth > _DEEPEST:
        raise _TreeError("it is nested too deeply")
    if isinstance(node, yaml.ScalarNode):
        yield from _scalar(node, path)
        return
    if id(node) in seen:
        raise _TreeError(f"line {node.start_mark.line + 1}: an alias stands for a whole part; write it out")
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            for entry in _entries(value, (*path, str(key.value)), depth + 1, seen):
                yield entry._replace(line=key.start_mark.line + 1) if entry.path[:-1] == path else entry
    else:
        for at, value in enumerate(node.value):
            yield from _entries(value, (*path, str(at)), depth + 1, seen)


def _scalar(node: yaml.ScalarNode, path: tuple[str, ...]) -> Iterator[Entry]:
    """Yield one value with its type; null is not given, yes and on are true, and quotes make a text of a value."""
    tag, text = node.tag.rpartition(":")[2], str(node.value)
    if tag == "bool":
        text = "true" if text.lower() in ("true", "yes", "on") else "false"
    if tag != "null":
        yield Entry(path, text, node.start_mark.line + 1, type="text" if node.style else _TYPES.get(tag, ""))


_TYPES: Final = {"bool": "switch", "int": "number", "float": "number"}


def qmp(text: str) -> Iterator[Entry]:
    """Yield the entries of commands of QEMU's monitor, one JSON object behind the other.

    A capability is an entry of its own; the group counts the commands.

    Raises
    ------
    ValueError
        It is no such list, or an object in it has a key twice.

    Examples
    --------
    >>> command = '{"execute": "migrate-set-parameters", "arguments": {"downtime-limit": 500}}'
    >>> list(qmp(command))
    [Entry(path=('migrate-set-parameters', 'downtime-limit'), text='500', line=1, group=0, type='number')]
    """
    decoder, at, group = json.JSONDecoder(object_pairs_hook=files.each_key_once), 0, 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        line = text.count("\n", 0, at) + 1
        try:
            command, end = decoder.raw_decode(text, at)
        except (json.JSONDecodeError, RecursionError) as error:
            raise ValueError(f"line {line}: not a JSON object") from error
        except ValueError as error:
            raise ValueError(f"line {line}: {error}") from error
        if not isinstance(command, dict) or not isinstance(command.get("execute"), str):
            raise ValueError(f'line {line}: not a command; write {{"execute": ..., "arguments": ...}}')
        yield from _command(command, text, at, end, group)
        at, group = end, group + 1


def _command(command: dict[str, Any], text: str, at: int, end: int, group: int) -> Iterator[Entry]:
    name, given = command["execute"], command.get("arguments") or {}
    if not isinstance(given, dict):
        raise ValueError(f"line {text.count(chr(10), 0, at) + 1}: arguments are not an object")
    if not given:
        yield Entry((name,), "", text.count("\n", 0, at) + 1, group)
    for key, value in given.items():
        capabilities = value if key == "capabilities" and isinstance(value, list) else None
        pairs = [
            (str(one.get("capability")), one.get("state")) for one in capabilities or [] if isinstance(one, dict)
        ]
        for word, held in pairs if capabilities is not None else [(key, value)]:
            place = text.find(f'"{word}"', at, end)
            plain = held if isinstance(held, str) else json.dumps(held)
            line = text.count("\n", 0, max(place, at)) + 1
            yield Entry((name, word), plain, line, group, _JSON_TYPES.get(type(held), ""))


_JSON_TYPES: Final = {bool: "switch", int: "number", float: "number", str: "text"}
