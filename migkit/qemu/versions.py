"""What a QEMU can do, asked of the binary itself by ``query-qmp-schema``, never taken from its version number."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Final

from migkit.qemu.monitor import Monitor

__all__ = ["KNOWN_CAPABILITIES", "KNOWN_FIELDS", "KNOWN_PARAMETERS", "Interface", "ask"]

# What QEMU 7.2 to 11.1 have between them and a reader of traces may look for.
KNOWN_CAPABILITIES: Final = (
    *("auto-converge", "dirty-limit", "events", "multifd", "postcopy-blocktime", "postcopy-preempt", "postcopy-ram"),
    *("return-path", "switchover-ack", "xbzrle", "zero-copy-send"),
)
KNOWN_PARAMETERS: Final = (
    *("avail-switchover-bandwidth", "downtime-limit", "max-bandwidth", "max-postcopy-bandwidth", "mode"),
    *("multifd-channels", "multifd-compression", "tls-creds", "vcpu-dirty-limit", "zero-page-detection"),
)
KNOWN_FIELDS: Final = (
    *(
        "cpu-throttle-percentage",
        "dirty-limit-throttle-time-per-round",
        "downtime",
        "expected-downtime",
        "setup-time",
    ),
    *("postcopy-blocktime", "postcopy-latency", "postcopy-vcpu-blocktime", "remaining", "total-time", "xbzrle-cache"),
    *("ram.dirty-sync-missed-zero-copy", "ram.downtime-bytes", "ram.multifd-bytes", "ram.postcopy-bytes"),
    *("ram.precopy-bytes", "status.postcopy-device"),
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """The part of a QEMU's interface that migrations use.

    Attributes
    ----------
    commands, capabilities, parameters
        Names.
    fields
        Of the answer of ``query-migrate``; those of its parts as ``ram.transferred``, its states as
        ``status.completed``.
    """

    commands: frozenset[str]
    capabilities: frozenset[str]
    parameters: frozenset[str]
    fields: frozenset[str]

    def lacks(self) -> dict[str, list[str]]:
        """Return what other versions have and this one lacks, by kind."""
        found = {
            "capabilities": _missing(KNOWN_CAPABILITIES, self.capabilities),
            "parameters": _missing(KNOWN_PARAMETERS, self.parameters),
            "fields": _missing(KNOWN_FIELDS, self.fields),
        }
        return {kind: names for kind, names in found.items() if names}


async def ask(monitor: Monitor) -> Interface:
    """Ask a running QEMU."""
    return interface_of(await monitor.do("query-qmp-schema"))


def interface_of(schema: Iterable[Mapping[str, Any]]) -> Interface:
    """Read the answer of ``query-qmp-schema`` (QEMU docs/devel/qapi-code-gen, "Client JSON Protocol introspection").

    Examples
    --------
    >>> found = interface_of([
    ...     {"name": "query-migrate", "meta-type": "command", "ret-type": "1"},
    ...     {"name": "1", "meta-type": "object", "members": [{"name": "ram", "type": "2"}]},
    ...     {"name": "2", "meta-type": "object", "members": [{"name": "normal", "type": "int"}]},
    ... ])
    >>> sorted(found.fields), sorted(found.capabilities)
    (['ram', 'ram.normal'], [])
    """
    entities = {entity["name"]: entity for entity in schema}
    query = entities.get("query-migrate", {}).get("ret-type")
    fields = set(_members(entities, query))
    for part, kind in _members(entities, query).items():
        fields |= {f"{part}.{name}" for name in (*_members(entities, kind), *_values(entities, kind))}
    capabilities = _members(entities, _argument(entities, "migrate-set-capabilities")).get("capabilities")
    element = entities.get(capabilities or "", {}).get("element-type")
    return Interface(
        commands=frozenset(name for name, entity in entities.items() if entity["meta-type"] == "command"),
        capabilities=frozenset(_values(entities, _members(entities, element).get("capability"))),
        parameters=frozenset(_members(entities, _argument(entities, "migrate-set-parameters"))),
        fields=frozenset(fields),
    )


def _argument(entities: Mapping[str, Any], command: str) -> str | None:
    found: str | None = entities.get(command, {}).get("arg-type")
    return found


def _members(entities: Mapping[str, Any], name: str | None) -> dict[str, str]:
    return {
        member["name"]: member["type"]
        for member in entities.get(name or "", {}).get("members", ())
        if "type" in member
    }


def _values(entities: Mapping[str, Any], name: str | None) -> list[str]:
    """Return the values of an enumeration; all versions so far list them in ``values``."""
    return list(entities.get(name or "", {}).get("values", ()))


def _missing(known: Iterable[str], found: frozenset[str]) -> list[str]:
    return [name for name in known if name not in found]
