"""Metrics of a migration under way, asked of where Prometheus keeps them or of what it asks itself.

An address that ends with ``/metrics`` serves the text format, which holds only what is now; what was read is kept.
Any other address is a Prometheus server, whose HTTP API (https://prometheus.io/docs/prometheus/latest/querying/api/,
a range selector in ``query``) tells the samples of the last hour at once.
"""

from __future__ import annotations

import http.client
import itertools
import math
import re
import statistics
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Final

from migkit.errors import RunError, UsageError
from migkit.files import parse_json
from migkit.importers.tools.metrics import machine_in, machine_of

if TYPE_CHECKING:
    from migkit.importers import Log

__all__ = ["Endpoint", "is_address"]

_LIMIT_S: Final = 10.0
_LARGEST_BYTES: Final = 64 * 2**20
_PIECE_BYTES: Final = 2**20
_SERVER_FAILS: Final = 500  # and above: the address may be right (RFC 9110, section 15.6)
_PAST_S: Final = 3600.0
_FAILS_FOR_S: Final = 60.0
_MISSED: Final = 4.0  # samples that have not come
_SHORTEST_LAPSE_S: Final = 5.0
_FIRST_LAPSE_S: Final = 120.0
_METRICS: Final = "kubevirt_vmi_migration_.+|kubevirt_migrate_vmi_.+|libvirt_domain_job_.+"
_LINE: Final = re.compile(rf"({_METRICS.replace('.+', '[a-z_]+')})(\{{[^}}]*\}})? +([^ ]+)( +\d+)?\s*")


def is_address(source: str) -> bool:
    """Return whether a source is an address rather than a path.

    Examples
    --------
    >>> is_address("http://localhost:9090"), is_address("/run/vm.qmp")
    (True, False)
    """
    return source.startswith(("http://", "https://"))


class Endpoint:
    """Where metrics of migrations are served.

    Parameters
    ----------
    address
        ``http://HOST:PORT/metrics``, or a Prometheus server's ``http://HOST:PORT``.
    vm
        The machine, where metrics tell of several.

    Examples
    --------
    >>> Endpoint("http://localhost:1/metrics").log()
    Traceback (most recent call last):
        ...
    migkit.errors.RunError: http://localhost:1/metrics: nobody answers ([Errno ...]...
    """

    def __init__(self, address: str, vm: str | None = None) -> None:
        self._address, self._vm = address.rstrip("/"), vm
        self._lines: list[str] = []
        self._last: list[str] = []
        self._told = False
        self._known: Log | None = None
        self._answered_s = -math.inf

    def log(self) -> Log | None:
        """Ask once, and return all that is known; None: what told of the migration before tells no more of it.

        A server that has told of the migration may fail for a minute: then what it told is all that is known.

        Raises
        ------
        UsageError
            The address serves something else; it tells of no migration, or of several machines and none was named.
        RunError
            Nobody answers, or the server fails.
        """
        try:
            self._known = self._asked()
        except RunError:
            if self._known is None or time.monotonic() - self._answered_s > _FAILS_FOR_S:
                raise
        else:
            self._answered_s = time.monotonic()
        return self._known

    def _asked(self) -> Log | None:
        from migkit.importers.recognise import read

        text, moving = self._page() if self._address.endswith("/metrics") else self._samples()
        found = [log for log in read(text) if log.kind == "migration" and log.meta["vm"] in moving] if moving else []
        machines = sorted({str(log.meta["vm"]) for log in found})
        if self._vm is None and len(machines) > 1:
            raise UsageError(f"{self._address}: tells of {', '.join(machines)}; name one of them with --vm")
        chosen = [log for log in found if self._vm in (None, log.meta["vm"])]
        if not chosen and not self._told:
            raise UsageError(self._why_none(machines))
        self._told = True
        if self._vm is None and machines:
            self._vm = machines[0]
        return chosen[-1] if chosen else None

    def _why_none(self, machines: list[str]) -> str:
        if machines:
            return f"--vm: {self._address} tells nothing of {self._vm}, but of {', '.join(machines)}"
        return (
            f"{self._address}: tells of no migration under way; expected metrics such as "
            "kubevirt_vmi_migration_data_remaining_bytes"
        )

    def _page(self) -> tuple[str, set[str]]:
        """Return all lines so far, each with its time, and the machines that the page tells of now."""
        now_ms = round(1e3 * time.time())
        found = [match for line in self._get(self._address).splitlines() if (match := _LINE.fullmatch(line))]
        lines = [match[0] for match in found]
        if lines != self._last:
            self._last = lines
            self._lines += [match[0] if match[4] else f"{match[0].rstrip()} {now_ms}" for match in found]
        return "\n".join(self._lines) + "\n", {machine_of(match[2] or "") for match in found}

    def _samples(self) -> tuple[str, set[str]]:
        """Return the answer of a server, and the machines of which its samples tell now."""
        query = urllib.parse.urlencode({"query": f'{{__name__=~"{_METRICS}"}}[{_PAST_S:.0f}s]'})
        text = self._get(f"{self._address}/api/v1/query?{query}")
        try:
            times_s: dict[str, set[float]] = {}
            for one in parse_json(text)["data"]["result"]:
                if at_s := {float(at) for at, _ in one["values"]}:
                    times_s.setdefault(machine_in(one["metric"]) or "", set()).update(at_s)
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"{self._address}: is no Prometheus server; give its address, or one that ends with /metrics"
            ) from error
        now_s = time.time()
        return text, {vm for vm, at_s in times_s.items() if now_s - max(at_s) < _lapse_s(sorted(at_s))}

    def _get(self, address: str) -> str:
        try:
            with urllib.request.urlopen(address, timeout=_LIMIT_S) as answer:
                body = _within(answer, time.monotonic() + _LIMIT_S)
        except urllib.error.HTTPError as error:
            said = f"{self._address}: answers {error.code} {error.reason}"
            if error.code >= _SERVER_FAILS:
                raise RunError(f"{said}; the server has trouble, ask again later") from error
            raise UsageError(f"{said}; check the address") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise RunError(
                f"{self._address}: nobody answers ({reason}); is it served, and reached from here?"
            ) from error
        if len(body) > _LARGEST_BYTES:
            raise UsageError(f"{self._address}: answers with more than 64 MiB; give an address that serves metrics")
        return str(body, "utf-8", "replace")


def _within(answer: http.client.HTTPResponse, until_s: float) -> bytes:
    """Return a body, or just more than may be read of it; a server that sends it drop by drop is not waited for.

    Raises
    ------
    TimeoutError
        The time is over.
    """
    body = bytearray()
    while len(body) <= _LARGEST_BYTES and (piece := answer.read1(_PIECE_BYTES)):
        body += piece
        if time.monotonic() > until_s:
            raise TimeoutError(f"the answer takes longer than {_LIMIT_S:g} s")
    return bytes(body)


def _lapse_s(times_s: list[float]) -> float:
    """Return after which time without a sample a migration is over: some times the usual time between two [s]."""
    apart_s = [late - early for early, late in itertools.pairwise(times_s)]
    return max(_SHORTEST_LAPSE_S, _MISSED * statistics.median(apart_s)) if apart_s else _FIRST_LAPSE_S
