"""Files of settings against their documentation, and against the machines that are to be moved."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from migkit.planning.settings import loading
from migkit.planning.settings.catalogue import RULES, products_of
from migkit.planning.settings.cures import Cure, cures
from migkit.planning.settings.document import Document
from migkit.planning.settings.finding import LEVELS, Finding
from migkit.planning.settings.machines import Fleet
from migkit.planning.settings.product import Product, Settlement
from migkit.units import format_duration

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["Lint", "Machine", "lint"]

_SHOWN: Final = 5  # names in a sentence
_MOST_CURED: Final = 2000  # machines that cures are looked for; of more, these many of those that fail
_PREDICTED: Final = "https://www.qemu.org/docs/master/devel/migration/main.html"
_CURES_SHOWN: Final = 3


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What becomes of one machine under one set of values.

    Attributes
    ----------
    name
        Of the machine.
    settings
        Whom the values are for: the product, or a policy.
    outcome
        ``converges``, ``does not converge``, ``hits the timeout`` or ``is forced``.
    total_time_s, downtime_s
        As predicted [s]; infinite where it never ends.
    """

    name: str
    settings: str
    outcome: str
    total_time_s: float
    downtime_s: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; what is infinite is None."""
        record = dataclasses.asdict(self)
        return {key: None if isinstance(one, float) and math.isinf(one) else one for key, one in record.items()}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Lint:
    """Frozen result of :func:`lint`.

    Attributes
    ----------
    findings
        Errors first, then warnings and notes, each by file and line.
    machines
        One for each machine and each set of values; empty without a fleet.
    """

    findings: tuple[Finding, ...]
    machines: tuple[Machine, ...]

    @property
    def holds(self) -> bool:
        """There is no error, and every machine ends by itself or as the settings permit."""
        return not any(finding.level == "error" for finding in self.findings)


def lint(paths: Sequence[Path | str], fleet: Fleet | None = None) -> Lint:
    """Return what is wrong with files of settings, and which machines cannot be moved under them.

    Parameters
    ----------
    paths
        Files: ``nova.conf``, objects of KubeVirt, HyperConverged and migration policies, ``datacenter.cfg``, files of
        virtual machines, ``qemu.conf``, ``libvirt.conf``, ``vdsm.conf``, ``watcher.conf``, commands of virsh, qm,
        incus and QMP. Files that belong together are given together.
    fleet
        Machines to predict under the settings.

    Raises
    ------
    UsageError
        A file cannot be read or is not known, or rows of the fleet are wrong.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "nova.conf"
    >>> _ = path.write_text("[libvirt]\\nlive_migration_downtime = 50\\n")
    >>> [(finding.line, finding.what) for finding in lint([path]).findings]
    [(2, 'live_migration_downtime = 50: it must be at least 100 ms')]
    """
    documents = [document for path in paths for document in loading.load(Path(path))]
    return lint_documents(documents, fleet)


def lint_documents(documents: Sequence[Document], fleet: Fleet | None = None) -> Lint:
    """Return the same as :func:`lint` for documents that were read."""
    findings = [finding for rule in RULES for finding in rule.findings(documents)]
    machines: list[Machine] = []
    for product, settlement in settlements(documents) if fleet is not None else ():
        assert fleet is not None
        outcome = _Outcome(product, settlement, fleet)
        machines += outcome.machines()
        findings += outcome.findings(documents)
    findings.sort(key=lambda one: (LEVELS.index(one.level), one.file, one.line))
    return Lint(findings=tuple(findings), machines=tuple(machines))


def settlements(documents: Sequence[Document]) -> Iterator[tuple[Product, Settlement]]:
    """Yield each set of values in force: that of a product, and that of each migration policy over it."""
    for product in products_of(documents):
        own = [document for document in documents if document.kind in product.kinds]
        policies = [document for document in own if document.kind == "MigrationPolicy"]
        shared = [document for document in own if document.kind != "MigrationPolicy"]
        if shared or not policies:
            yield product, product.in_force(shared)
        for policy in policies:
            yield product, product.in_force([*shared, policy], f"MigrationPolicy {policy.name}")


class _Outcome:
    """What becomes of a fleet under one set of values, with and without the limit on time."""

    def __init__(self, product: Product, settlement: Settlement, fleet: Fleet) -> None:
        self.product = product
        self.settlement = settlement
        self.fleet = fleet
        self.frame = fleet.outcomes(product, settlement.values)
        self.ends = self._is(self.frame)
        endless = settlement.values | ({product.patience: 0.0} if product.patience else {})
        self.patient = self.frame if not product.patience else fleet.outcomes(product, endless)
        self.would_end = self._is(self.patient)
        if not self._may_force():
            self.would_end = self.would_end | self.ends

    def _may_force(self) -> bool:
        """Say whether the values permit an end that the timeout forces."""
        at_timeout = [manner.values for manner in self.product.manners if manner.at_timeout]
        return any(self.settlement.values.get(name) == one for values in at_timeout for name, one in values.items())

    @staticmethod
    def _is(frame: pd.DataFrame) -> np.ndarray:
        return (frame["verdict"] == "converges").to_numpy()

    def machines(self) -> list[Machine]:
        rows = zip(self.fleet.names, self._words(), self.frame["total_time_s"], self.frame["downtime_s"], strict=True)
        return [
            Machine(
                name=name,
                settings=self.settlement.name,
                outcome=word,
                total_time_s=float(total_s),
                downtime_s=float(downtime_s),
            )
            for name, word, total_s, downtime_s in rows
        ]

    def _words(self) -> list[str]:
        words = {
            (True, True): "converges",
            (True, False): "is forced",
            (False, True): "hits the timeout",
            (False, False): "does not converge",
        }
        return [words[pair] for pair in zip(self.ends.tolist(), self.would_end.tolist(), strict=True)]

    def findings(self, documents: Sequence[Document]) -> Iterator[Finding]:
        failing = ~self.ends
        if failing.any():
            few = failing & (failing.cumsum() <= _MOST_CURED)
            found = cures(self.product, self.settlement.values, self.fleet.only(few))
            do = _advice(found)
            yield from self._group(~self.ends & self.would_end, "error", "machine-hits-timeout", _TIMEOUT, do)
            yield from self._group(~self.ends & ~self.would_end, "error", "machine-does-not-converge", _ENDLESS, do)
        forced = self.ends & ~self.would_end
        longest_s = float(self.frame["downtime_s"][forced].max()) if forced.any() else 0.0
        do = f"expect a downtime of up to {format_duration(longest_s)}, or make it converge by itself"
        yield from self._group(forced, "warning", "machine-is-forced", _FORCED, do)

    def _group(self, rows: np.ndarray, level: str, rule: str, words: str, do: str) -> Iterator[Finding]:
        if not rows.any():
            return
        names = [name for name, wanted in zip(self.fleet.names, rows.tolist(), strict=True) if wanted]
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        file, line = self._place(rule)
        what = f"{len(names)} of {len(self.fleet.names)} machines {words}: {', '.join(names[:_SHOWN])}{more}"
        yield Finding(
            file=file,
            line=line,
            level=level,
            rule=rule,
            what=f"{self.settlement.name}: {what}",
            why=_WHY[rule],
            do=do,
            source=self._source(rule),
        )

    def _place(self, rule: str) -> tuple[str, int]:
        """Return the line that a finding is about: of the timeout, else of the first value set; else no line."""
        lines = self.settlement.lines
        if rule != "machine-does-not-converge" and self.product.patience in lines:
            return lines[self.product.patience]
        return next(iter(lines.values()), (self.settlement.name, 0))

    def _source(self, rule: str) -> str:
        timed = rule != "machine-does-not-converge" and self.product.patience
        return self.product.option(self.product.patience).source if timed else _PREDICTED


_TIMEOUT: Final = "hit the timeout"
_ENDLESS: Final = "do not converge"
_FORCED: Final = "end only because the timeout forces them"
_WHY: Final = {
    "machine-hits-timeout": "The migration is cancelled at its timeout, though it would end with more time.",
    "machine-does-not-converge": "What they dirty in a round takes longer than the downtime limit to send.",
    "machine-is-forced": "At the timeout the guest is stopped, or goes on at the destination without its memory.",
}


def _advice(found: list[Cure]) -> str:
    if not found:
        return "no single setting cures them: give them a wider link, or move them cold"
    return f"set {'; or '.join(cure.words for cure in found[:_CURES_SHOWN])}"
