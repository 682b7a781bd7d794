"""What breaks in the middle of a drain: a link that carries less or nothing, a host that fails."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from migkit.errors import UsageError, shown
from migkit.planning.rehearsal import dispatch
from migkit.units import duration

__all__ = ["Failure", "damage_of", "failure_of"]

_TEXT: Final = re.compile(r"(?:(link|host)[: ])?(.+)@(.+)")


class Failure(NamedTuple):
    """One thing that breaks.

    Migrations over a link that carries nothing fail, and may be tried again once it is back. A host that fails takes
    the machines on it down, and what migrates to or from it fails.

    Attributes
    ----------
    kind
        ``link`` or ``host``.
    host
        Whose link, or which host.
    time_s
        When [s].
    left
        Of a link: the part of what it carries that is left; 1: it is whole again.
    """

    kind: str
    host: str
    time_s: float
    left: float = 0.0


def failure_of(text: str) -> Failure:
    """Return what ``link:HOST@TIME``, ``link:HOST@TIME=PART`` or ``host:HOST@TIME`` says.

    Raises
    ------
    UsageError
        It says none of these.

    Examples
    --------
    >>> failure_of("link:a@10 min=50 %")
    Failure(kind='link', host='a', time_s=600.0, left=0.5)
    >>> failure_of("host:a@90 s")
    Failure(kind='host', host='a', time_s=90.0, left=0.0)
    """
    found = _TEXT.fullmatch(text.strip())
    if found is None or found[1] is None:
        raise UsageError(
            f"failure: {shown(text)} says nothing; write link:HOST@TIME, link:HOST@TIME=PART % or host:HOST@TIME"
        )
    kind, host, when = found.groups()
    when, _, part = when.partition("=")
    return Failure(kind, host.strip(), duration(when.strip(), "failure"), _part(part, text) if part else 0.0)


def _part(text: str, whole: str) -> float:
    try:
        part = float(text.strip().removesuffix("%")) / 100.0
    except ValueError:
        part = -1.0
    if not 0.0 <= part <= 1.0:
        raise UsageError(f"failure: {shown(whole)}: {shown(text)} is no part of a link; write 0 to 100 %")
    return part


def damage_of(failures: Sequence[Failure], hosts: Sequence[str]) -> dispatch.Damage:
    """Return failures as the dispatcher takes them.

    Raises
    ------
    UsageError
        A host is not known.

    Examples
    --------
    >>> damage_of([Failure("host", "b", 9.0), Failure("link", "a", 5.0)], ["a", "b"]).host
    array([0, 1])
    """
    ordered = sorted(failures, key=lambda one: one.time_s)
    place = {name: at for at, name in enumerate(hosts)}
    for one in ordered:
        if one.host not in place:
            near = difflib.get_close_matches(one.host, hosts, n=1)
            hint = f' (did you mean "{near[0]}"?)' if near else ""
            raise UsageError(f"failure: {shown(one.host)} is not among the {len(hosts)} hosts; check its name{hint}")
    return dispatch.Damage(
        np.array([one.time_s for one in ordered]),
        np.array([dispatch.HOST if one.kind == "host" else dispatch.LINK for one in ordered], dtype=np.int64),
        np.array([place[one.host] for one in ordered], dtype=np.int64),
        np.array([one.left for one in ordered]),
    )
