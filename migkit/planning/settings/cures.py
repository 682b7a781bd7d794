"""The smallest change of settings with which machines converge that do not."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, NamedTuple

from migkit.planning.settings.machines import Fleet
from migkit.planning.settings.option import Option, Value
from migkit.planning.settings.product import LONGEST_LIMIT_S, Product, Values

__all__ = ["Cure", "cures"]

_FACTORS: Final = (1.25, 1.5, 2.0, 3.0, 5.0, 8.0, 16.0, 32.0, 64.0)
_STREAMS: Final = (2.0, 4.0, 8.0)
_HALVINGS: Final = 5


class Cure(NamedTuple):
    """One change, how it is written, and how many machines it cures of those that fail."""

    name: str
    text: str
    cured: int
    of: int

    @property
    def words(self) -> str:
        """The change and its effect in a few words."""
        return f"{self.text} ({self.cured} of {self.of} converge)"


def cures(product: Product, values: Values, fleet: Fleet) -> list[Cure]:
    """Return the changes of one option, or of the manner, that cure machines; those that cure most come first.

    Of each option the smallest change is taken that cures all that it can. Among equals the less intrusive one is
    first, in the order of the product.

    Parameters
    ----------
    product, values
        What is set, and the values in force.
    fleet
        The machines that fail.
    """
    found = [cure for name in product.cures if (cure := _turned(product, values, fleet, name)) is not None]
    for manner in product.manners[1:]:
        cured = _converging(product, {**values, **manner.values}, fleet)
        text = ", ".join(f"{name} = {_shown(product, name, value)}" for name, value in manner.values.items())
        if cured and not all(values.get(name) == value for name, value in manner.values.items()):
            found.append(Cure(manner.name, text, cured, len(fleet.names)))
    return sorted(found, key=lambda cure: -cure.cured)


def _shown(product: Product, name: str, value: Value) -> str:
    known = any(option.name == name for option in product.options)
    return product.option(name).write(value) if known else str(value)


def _turned(product: Product, values: Values, fleet: Fleet, name: str) -> Cure | None:
    """Return the smallest change of an option that cures as many machines as it can; None: it cures none."""
    option, before = product.option(name), values.get(name)
    best: tuple[int, float] | None = None
    last = float(before) if before is not None else math.inf
    for value in _trials(product, option, before):
        cured = _converging(product, _with(product, values, name, value), fleet)
        if cured > (best[0] if best else 0):
            best = cured, _between(product, values, fleet, name, last, value, cured)
        if cured == len(fleet.names):
            break
        last = value
    if best is None:
        return None
    return Cure(name, f"{name} = {option.write(best[1])}", best[0], len(fleet.names))


def _with(product: Product, values: Values, name: str, value: float) -> dict[str, Value]:
    """Return values with one changed as it is written, and what must stand beside it."""
    option = product.option(name)
    beside = product.several if name == product.streams else {}
    return {**values, **beside, name: option.read(option.write(value))}


def _trials(product: Product, option: Option, before: Value | None) -> Iterator[float]:
    """Yield other values of an option that can be written, the smallest change first."""
    if option.name == product.together:
        count = int(before) if before is not None else 1
        yield from (float(fewer) for fewer in range(count - 1, 0, -1))
        return
    if option.name == product.streams:
        yield from (count for count in _STREAMS if count > float(before or 1.0))
        return
    start = float(before) if before is not None else math.inf
    if math.isinf(start) or start <= 0.0:
        return
    longest = LONGEST_LIMIT_S if option.name == product.downtime_limit else math.inf
    raised = [start * factor for factor in _FACTORS if start * factor <= longest]
    for value in [*raised, *([math.inf] if option.zero_is_unlimited else [])]:
        if not option.can_write(value):
            return
        yield value


def _between(
    product: Product, values: Values, fleet: Fleet, name: str, worse: float, better: float, cured: int
) -> float:
    """Halve what lies between two values; the one returned cures as many as the better one."""
    whole = name in (product.together, product.streams)
    if whole or math.isinf(worse) or math.isinf(better):
        return better
    for _ in range(_HALVINGS):
        middle = math.sqrt(worse * better)
        if _converging(product, _with(product, values, name, middle), fleet) >= cured:
            better = middle
        else:
            worse = middle
    return better


def _converging(product: Product, values: Values, fleet: Fleet) -> int:
    """Return how many machines converge."""
    return int((fleet.outcomes(product, values)["verdict"] == "converges").sum())
