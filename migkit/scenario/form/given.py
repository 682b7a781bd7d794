"""What somebody gave to be predicted, simulated or run, as a scenario."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from migkit.errors import UsageError, shown
from migkit.scenario.form import schema
from migkit.scenario.guest import Guest
from migkit.scenario.installation.host import Host
from migkit.scenario.link import Link
from migkit.scenario.policy import Policy
from migkit.scenario.scenario import Scenario
from migkit.scenario.strategy import Strategy

__all__ = ["Given", "scenario_of"]

Given = Guest | Scenario | Mapping[str, Any] | str | os.PathLike[str]
"""A guest, a whole scenario, the path of a scenario file, or its tables as a mapping."""


def scenario_of(
    given: Given | None,
    call: str,
    *,
    guest: Guest | None = None,
    link: Link | None = None,
    host: Host | None = None,
    policy: Policy | None = None,
    strategy: Strategy | None = None,
) -> Scenario:
    """Return the scenario that the arguments of a public function say.

    Parameters
    ----------
    given
        The first argument: a guest, a scenario, the path of a scenario file, or its tables with text as in a file.
    call
        The function's name, for messages.
    guest, link, host, policy, strategy
        Parts; each but the guest has a documented default. They go with a guest and with nothing else.

    Raises
    ------
    UsageError
        No guest was given, a scenario and parts of one were given, or an argument is of another type.

    Examples
    --------
    >>> scenario_of(Guest(memory_bytes=2**30), "predict", policy=Policy(name="nova")).policy.name
    'nova'
    >>> scenario_of({"guest": {"memory": "1 GiB"}}, "predict").guest.memory_pages
    262144
    """
    parts = {"link": link, "host": host, "policy": policy, "strategy": strategy}
    parts = {name: part for name, part in parts.items() if part is not None}
    if isinstance(given, Guest):
        if guest is not None:
            raise UsageError(f"{call}: two guests were given; give one")
        guest, given = given, None
    if given is not None:
        if guest is not None or parts:
            raise UsageError(f"{call}: a scenario and parts of one were given; give one or the other")
        return _whole(given, call)
    if guest is None:
        raise UsageError(f"{call}: no guest was given; give a scenario or a guest")
    return Scenario(guest=_checked(guest, "guest", call), **{n: _checked(p, n, call) for n, p in parts.items()})


def _whole(given: Any, call: str) -> Scenario:
    if isinstance(given, Scenario):
        return given
    if isinstance(given, Mapping):
        return schema.from_mapping(given)
    if isinstance(given, str | os.PathLike):
        return schema.load(Path(given))
    raise UsageError(
        f"{call}: {shown(given)} is no scenario; give a Guest, a Scenario, the path of a scenario file, or a mapping"
    )


_TYPES = {"guest": Guest, "link": Link, "host": Host, "policy": Policy, "strategy": Strategy}


def _checked(part: Any, name: str, call: str) -> Any:
    kind = _TYPES[name]
    if not isinstance(part, kind):
        raise UsageError(f"{call}: {name} {shown(part)} is no {kind.__name__}; write {kind.__name__}(...)")
    return part
