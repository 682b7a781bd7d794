"""The settings of a product with which a migration keeps its limits, as texts to paste, read back and predicted."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any, Final

from migkit.errors import InfeasibleError
from migkit.models.goodput import goodput
from migkit.models.result import Prediction
from migkit.planning.settings import loading
from migkit.planning.settings.catalogue import product_named
from migkit.planning.settings.finding import Finding
from migkit.planning.settings.lint import lint_documents
from migkit.planning.settings.option import Value, ValueTextError
from migkit.planning.settings.product import LONGEST_LIMIT_S, Manner, Product, Snippet, text_of
from migkit.planning.targets import Targets
from migkit.scenario import Scenario
from migkit.scenario.form.given import Given, scenario_of
from migkit.units import GIB

__all__ = ["Advice", "advise"]

_MARGIN: Final = 1.25  # above the cap that does
_SLOWER: Final = 2.0  # times the total time without a cap, that a cap may cost
_SHARES: Final = (0.75, 0.6, 0.5, 0.4, 0.3)  # of what the path carries: caps, before the margin
_LEAST_LIMIT: Final = 1 / 64  # of the longest downtime limit: shorter ones are not looked at
_LIMITS: Final = 12
_PATIENT: Final = 1.5  # times the predicted total time, before a timeout
_WORTH: Final = 1.05  # times what fewer streams carry
_PASSES: Final = 10.0  # over the memory, for which people wait where another manner does
_STREAMS: Final = (1.0, 2.0, 4.0, 8.0, 16.0)
_MOST_TOGETHER: Final = 16


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """Frozen result of :func:`advise`.

    Attributes
    ----------
    product
        Title of the product.
    manner
        How the migration is made.
    settings
        Texts of the values that are set, by the names of their options.
    units
        Unit of each.
    sources
        Where each is documented.
    snippets
        What to paste, and where.
    cannot
        What people ask of the product and cannot set, in sentences.
    notes
        What the reader found in the texts, below an error.
    result
        The prediction under what the reader read back.
    targets
        The limits that it keeps.
    """

    product: str
    manner: str
    settings: dict[str, str]
    units: dict[str, str]
    sources: dict[str, str]
    snippets: tuple[Snippet, ...]
    cannot: tuple[str, ...]
    notes: tuple[Finding, ...]
    result: Prediction
    targets: Targets

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "product": self.product,
            "manner": self.manner,
            "settings": self.settings,
            "units": self.units,
            "sources": self.sources,
            "snippets": [snippet._asdict() for snippet in self.snippets],
            "cannot": list(self.cannot),
            "notes": [dataclasses.asdict(note) for note in self.notes],
            "result": self.result.to_dict(),
        }


def advise(scenario: Given, product: str, targets: Targets | None = None) -> Advice:
    """Return the settings of a product under which a migration keeps its limits.

    The manners of the product are tried in its order, the least intrusive first, each with few streams before many.
    One that takes longer than ten passes over the memory is advised only where no other does.
    The downtime limit stays as it is where that does, else it is the shortest of a dozen in equal ratios that does.
    The cap is a quarter above the least share of what the path carries that does and at most doubles the total time;
    where three quarters do not, there is none. Each text is read back by the reader of
    :mod:`migkit.planning.settings.lint`, and the limits must hold for what was read.

    Parameters
    ----------
    scenario
        Guest, link, hosts; its policy does not count, and of its strategy encryption and disks alone.
    product
        One of :data:`migkit.planning.settings.catalogue.PRODUCTS`.
    targets
        The limits; None: it must converge.

    Raises
    ------
    UsageError
        The product is not known, or as in :func:`migkit.models.predict.predict`.
    InfeasibleError
        Nothing that the product can be told keeps the limits.

    Examples
    --------
    >>> from migkit import DirtyClass, Guest
    >>> guest = Guest(memory_bytes=2**32, dirty=(DirtyClass(region_bytes=2**28, writes_per_s=60_000),))
    >>> advise(guest, "nova").result.verdict
    'converges'
    """
    case = scenario_of(scenario, "advise", guest=None, link=None, host=None, policy=None, strategy=None)
    chosen, wanted = product_named(product), targets if targets is not None else Targets()
    attempts = [one for manner in chosen.manners for one in _attempts(chosen, case, wanted, manner)]
    for patient in (False, True):
        for attempt in attempts:
            advice = attempt.advice(patient=patient)
            if advice is not None:
                return advice
    raise InfeasibleError(_nothing(chosen, wanted, attempts[0].nearest))


def _attempts(product: Product, case: Scenario, targets: Targets, manner: Manner) -> Iterator[_Attempt]:
    """Yield one manner with more and more streams, as long as they carry more."""
    carried = 0.0
    for streams in _STREAMS if product.streams else (1.0,):
        attempt = _Attempt(product, case, targets, manner, streams)
        if attempt.carried <= carried * _WORTH:
            return
        carried = attempt.carried
        yield attempt


def _nothing(product: Product, targets: Targets, nearest: Prediction) -> str:
    why = targets.failure(nearest) or "they hold only between two values that can be written"
    cure = "ease the limits, or find the link that they need (migkit size)"
    return f"advise: nothing that {product.name} can be told keeps the limits: {why}; {cure}"


class _Attempt:
    """One manner with one number of streams: the values that keep the limits, if any do."""

    def __init__(self, product: Product, case: Scenario, targets: Targets, manner: Manner, streams: float) -> None:
        self.product = product
        self.case = case
        self.asked = self.targets = targets
        self.manner = manner
        self.given: dict[str, Value] = dict(manner.values)
        if streams > 1.0:
            self.given |= {**product.several, product.streams: streams}
        if product.cap:
            self.given[product.cap] = math.inf
        if product.together in product.defaults():
            self.given[product.together] = float(case.link.migrations)
        if product.patience:
            self.given[product.patience] = 0.0
        self.first = dict(self.given)

    @property
    def carried(self) -> float:
        """What path and hosts carry with this many streams [B/s]."""
        return float(goodput(self._scenario()))

    @property
    def nearest(self) -> Prediction:
        """The prediction with the default downtime limit, without a cap and a timeout."""
        return self._predict()

    def _scenario(self) -> Scenario:
        return self.product.scenario({**self.product.defaults(), **self.given}, self.case)

    def _predict(self) -> Prediction:
        return self.targets.predict(self._scenario())

    def _holds(self) -> bool:
        return not self.targets.missed(self._predict())

    def advice(self, *, patient: bool) -> Advice | None:
        """Return the advice; None: nothing keeps the limits in this manner, or nobody would wait for it."""
        self.given = dict(self.first)
        most_s = math.inf if patient else _PASSES * self._pass_s()
        self.targets = dataclasses.replace(self.asked, total_time_s=min(self.asked.total_time_s, most_s))
        if not self._limit() or not self._wait():
            return None
        for _ in self._caps():
            found = self._verified()
            if found is not None:
                return found
        return None

    def _limit(self) -> bool:
        """Find the downtime limit, the least change first: the default, then with a cap, then the nearest that does.

        Where none does, force the end.
        """
        name = self.product.downtime_limit
        if self._holds() or self._capped():
            return True
        if not name or name not in self.product.defaults() or not self._limit_counts():
            return self._forced()
        for value in self._limits():
            self.given[name] = value
            if self._holds():
                return True
        del self.given[name]
        return self._forced()

    def _capped(self) -> bool:
        """Set the largest cap that keeps the limits of a migration that converges without; else leave the cap off."""
        name = self.product.cap
        if not name or self._predict().verdict != "converges":
            return False
        carried = goodput(self._scenario())
        for share in _SHARES:
            self.given[name] = share * carried
            if self._holds():
                return True
        self.given[name] = math.inf
        return False

    def _limits(self) -> Iterator[float]:
        """Yield downtime limits as they are written, the one nearest to the default first."""
        option, longest_s = self.product.option(self.product.downtime_limit), self._longest_limit_s()
        usual_s = float(self.product.defaults()[option.name])
        values = [longest_s * _LEAST_LIMIT ** (1.0 - step / (_LIMITS - 1)) for step in range(_LIMITS)]
        for value in sorted(values, key=lambda one: abs(math.log(one / usual_s))):
            if option.can_write(value):
                yield float(option.read(option.write(value)))

    def _longest_limit_s(self) -> float:
        """Return the longest limit to look at: what the targets allow, else what is no outage [s]."""
        asked_s = self.targets.downtime_s
        longest_s = asked_s if math.isfinite(asked_s) else LONGEST_LIMIT_S
        option = self.product.option(self.product.downtime_limit)
        return min(longest_s, option.high * option.unit.factor)

    def _limit_counts(self) -> bool:
        """Say whether the product's rule looks at the limit that can be set."""
        name = self.product.downtime_limit
        here = self._scenario().policy.downtime_limit_s
        self.given[name] = 2.0 * here
        there = self._scenario().policy.downtime_limit_s
        del self.given[name]
        return there != here

    def _forced(self) -> bool:
        """Say whether an end that the timeout forces keeps the limits in this manner; set the timeout so."""
        name = self.product.patience
        if not name or not self.manner.at_timeout:
            return False
        for passes in (3.0, 2.0, 1.0, 0.5):
            self.given[name] = self._per_gib(passes * self._pass_s())
            if self._holds():
                return True
        return False

    def _pass_s(self) -> float:
        """Return how long one pass over the memory takes at most [s]."""
        case = self._scenario()
        return float((case.guest.memory_bytes + case.strategy.storage_bytes) / goodput(case))

    def _per_gib(self, seconds: float) -> float:
        case = self._scenario()
        moved_gib = (case.guest.memory_bytes + case.strategy.storage_bytes) / GIB
        option = self.product.option(self.product.patience)
        return float(option.read(option.write(max(1.0, seconds / max(moved_gib, 1.0)))))

    def _wait(self) -> bool:
        """Set the timeout, where it has not been set: the default where that does, else what the total time needs."""
        name = self.product.patience
        if not name or float(self.given[name]) > 0.0:
            return True
        total_s = self._predict().total_time_s
        self.given[name] = max(float(self.product.defaults()[name]), self._per_gib(_PATIENT * total_s))
        return self._holds()

    def _caps(self) -> Iterator[None]:
        """Set caps to try: a margin above the least that does, where that leaves something to others; then none.

        A cap that is needed is tried as it is, too.
        """
        name = self.product.cap
        if not name:
            yield
            return
        needed, self.given[name] = float(self.given[name]), math.inf
        carried, longest_s = goodput(self._scenario()), _SLOWER * self._predict().total_time_s
        least = needed
        for share in _SHARES:
            if share * carried >= needed:
                continue
            self.given[name] = share * carried
            found = self._predict()
            if self.targets.missed(found) or found.total_time_s > longest_s:
                break
            least = share * carried
        for cap in (least * _MARGIN, needed):
            if math.isfinite(cap):
                self.given[name] = cap
                self._together()
                yield
        self.given[name] = math.inf
        self._together()
        yield

    def _together(self) -> None:
        """Set how many may go at once: as many as keep the limits, up to the product's default."""
        name, defaults = self.product.together, self.product.defaults()
        if name not in defaults:
            return
        usual = float(defaults[name])
        self.given[name] = float(self.case.link.migrations)
        while float(self.given[name]) < min(usual, _MOST_TOGETHER):
            self.given[name] = float(self.given[name]) + 1.0
            if not self._holds():
                self.given[name] = float(self.given[name]) - 1.0
                return

    def _verified(self) -> Advice | None:
        """Return the advice where the limits hold for what the reader reads in the texts."""
        product, values = self.product, {**self.product.defaults(), **self.given}
        assert product.write is not None
        try:
            snippets = product.write(self.given, values)
        except ValueTextError:
            return None
        documents = [one for text in snippets for one in loading.documents_of(_file_of(text), text.text)]
        own = [document for document in documents if document.kind in product.kinds]
        read = product.in_force(own).values
        result = self.targets.predict(product.scenario(read, self.case))
        found = lint_documents(documents).findings
        if self.targets.missed(result) or any(finding.level == "error" for finding in found):
            return None
        known = {option.name: option for option in reversed(product.options)}
        names = [name for name in self.given if name in known and known[name].can_write(self.given[name])]
        return Advice(
            product=product.title,
            manner=self.manner.name,
            settings={name: text_of(product, self.given, name) for name in names},
            units={name: product.option(name).unit.text for name in names},
            sources={name: product.option(name).source for name in names},
            snippets=snippets,
            cannot=product.cannot,
            notes=found,
            result=result,
            targets=self.asked,
        )


def _file_of(snippet: Snippet) -> str:
    """Return a name by which the reader knows the file."""
    return snippet.kind if snippet.kind.endswith((".conf", ".cfg")) else f"{snippet.kind} of the advice"
