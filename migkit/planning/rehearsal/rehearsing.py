"""The question and its answer: ``rehearse``."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Final

from migkit.errors import UsageError
from migkit.planning.drain.planned import numbers_of
from migkit.planning.inventory import Inventory
from migkit.planning.rehearsal.answer import Rehearsal, answered
from migkit.planning.rehearsal.damage import Failure
from migkit.planning.rehearsal.fixes import fixes as settings
from migkit.planning.rehearsal.managers import Manager, manager_of
from migkit.planning.rehearsal.play import Asked
from migkit.scenario import Guest, Policy, Scenario

__all__ = ["DRAWS", "rehearse", "size_of"]

DRAWS: Final = (1, 17, 31, 61, 127, 257, 509, 1021)


def rehearse(
    inventory: Inventory,
    empty: Sequence[str] | str,
    *,
    manager: Manager | str = "kubevirt",
    base: Scenario | None = None,
    deadline_s: float = math.inf,
    at_once: int | None = None,
    service_s: float = 0.0,
    failures: Sequence[Failure] = (),
    fixes: bool = False,
    draws: int = 509,
    seed: int = 0,
    step: Callable[[float], None] = lambda amount: None,
) -> Rehearsal:
    """Return how a manager would empty hosts, with its probabilities.

    Each draw plays the whole drain: the manager's queue and slots, migrations that share links, its rule that ends
    them, gives them up or goes post-copy, its retries and their back-off. Durations are drawn as the intervals of
    :func:`migkit.predict` draw them: hosts and links alike for all machines of a draw, each guest for itself.

    Parameters
    ----------
    inventory
        Machines and hosts.
    empty
        Hosts to empty, or ``"all"``.
    manager
        One of :data:`migkit.planning.rehearsal.managers.PRODUCTS`, or one of your own; ``plan``: what
        :func:`migkit.planning.drain.drain` plans, carried out in its order.
    base
        Policy, strategy and constants of the hosts; its guest and its bandwidth do not count. None: the manager's
        policy, and the defaults.
    deadline_s
        By when the hosts must be empty [s].
    at_once
        Hosts in a wave, where they are emptied one wave after the other; None: all in one.
    service_s
        How long a wave is worked on once it is empty [s].
    failures
        What breaks meanwhile; see :class:`migkit.planning.rehearsal.damage.Failure`.
    fixes
        Rehearse it with each single setting changed as well, and say which change helps most.
    draws
        How often it is played: 17, 31, 61, 127, 257, 509 or 1021; 1: once, as is expected.
    seed
        From which the draws come.
    step
        With ``fixes``: called with the part of the changes that was rehearsed since the last call.

    Raises
    ------
    UsageError
        A name is not known, or a number is out of range.
    Conflict
        ``plan``, and there is none.

    Examples
    --------
    >>> fleet = Inventory.read(
    ...     [{"vm": f"vm{k}", "host": "a", "memory": "4 GiB"} for k in range(4)],
    ...     [{"host": name, "memory": "64 GiB", "link": "10 Gbit/s"} for name in "abc"])
    >>> found = rehearse(fleet, ["a"], manager="nova", deadline_s=60.0, draws=61)
    >>> found.probability, found.empty_by_s(0.5) < found.empty_by_s(0.95) < 60
    (1.0, True)
    """
    who = manager_of(manager)
    _check(deadline_s, at_once, service_s, draws)
    hosts = numbers_of(inventory, empty, at_once is not None)
    asked = Asked(
        inventory=inventory,
        hosts=hosts,
        manager=who,
        base=base if base is not None else Scenario(guest=Guest(memory_bytes=4096), policy=Policy(name=who.policy)),
        deadline_s=deadline_s,
        at_once=at_once if at_once is not None else max(1, hosts.size),
        service_s=service_s,
        failures=tuple(failures),
        draws=draws,
        seed=seed,
    )
    found = answered(asked)
    return dataclasses.replace(found, fixes=settings(asked, found, step)) if fixes else found


def size_of(draws: int) -> int:
    """Return the number of draws that can be asked for, at least so many.

    Examples
    --------
    >>> size_of(1000)
    1021
    """
    return next((size for size in DRAWS if size >= draws), DRAWS[-1])


def _check(deadline_s: float, at_once: int | None, service_s: float, draws: int) -> None:
    if not deadline_s > 0:
        raise UsageError(f"deadline: {deadline_s:g} s is out of range; it must be above 0 s")
    if not 0 <= service_s < math.inf:
        raise UsageError(f"service_s: {service_s!r} is out of range; it must be at least 0, and finite")
    if at_once is not None and at_once < 1:
        raise UsageError(f"at_once: {at_once!r} is out of range; it must be at least 1")
    if draws not in DRAWS:
        raise UsageError(f"draws: {draws!r} is no number that can be drawn; use one of {', '.join(map(str, DRAWS))}")
