"""Logs of what manages virtual machines: Proxmox VE, OpenStack Nova, KubeVirt's virt-launcher."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Final

from migkit.importers.context import Context
from migkit.importers.findings import Emit, Event, Sample, Setting
from migkit.importers.meanings import TIMED_OUT
from migkit.importers.names import TABLES, Name
from migkit.importers.reading.numbers import number, quantity, scaled, words

__all__ = ["BYTES", "KubeVirt", "Lines", "Nova", "Proxmox"]

_SIZE: Final = r"(\d{1,20}(?:\.\d{1,6})?\s?[KMGT]?i?B?)"
BYTES: Final = Name("bytes", "B")


class Lines:
    """A reader of single lines: the first pattern that is found in a line takes it."""

    family = ""
    whole = True  # it sees lines with their stamps
    hints: tuple[str, ...] = ()  # one of them stands in every line that a pattern takes
    programs: tuple[str, ...] = ()  # one of them stands in its lines, or in their envelope
    patterns: tuple[tuple[re.Pattern[str], str], ...] = ()
    alike: tuple[tuple[re.Pattern[str], str], ...] = ()
    """What other tools write alike: taken where the program is named, or after a line that is surely its own."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._known = False

    def take(self, text: str, context: Context) -> bool:
        """Take the line if it is one of this tool; return whether it is."""
        if not any(hint in text for hint in self.hints):
            return False
        own = self._first(self.patterns, text, context)
        self._known = self._known or own
        named = self._known or any(name in text or name in context.program for name in self.programs)
        return own or (named and self._first(self.alike, text, context))

    def _first(self, patterns: tuple[tuple[re.Pattern[str], str], ...], text: str, context: Context) -> bool:
        for pattern, method in patterns:
            match = pattern.search(text)
            if match:
                return getattr(self, method)(match, context) is not False
        return False

    def end(self) -> None:
        """Nothing is under way between lines."""

    def _request(self, match: re.Match[str], context: Context) -> None:
        self._event("request", context, begins=True)

    def _completed(self, match: re.Match[str], context: Context) -> None:
        self._event("state", context, status="completed")

    def _cancelled(self, match: re.Match[str], context: Context) -> None:
        self._event("state", context, status="cancelled")

    def _failed(self, match: re.Match[str], context: Context) -> None:
        self._event(words(match[1]), context, status="failed")

    def _told(self, match: re.Match[str], context: Context) -> None:
        self._event(words(match[1]), context)

    def _event(self, what: str, context: Context, status: str | None = None, begins: bool = False) -> None:
        self._emit(Event(**context.item(self.family), what=what, status=status, begins=begins))

    def _setting(self, name: str, value: Any, context: Context) -> None:
        self._emit(Setting(**context.item(self.family), name=name, value=value))

    def _sizes(self, **said: str | None) -> tuple[dict[str, Any], dict[str, float]]:
        """Return sizes by our names, and how finely each was printed."""
        found = {ours: quantity(text, self.family, BYTES) for ours, text in said.items() if text}
        values = {ours: q.value for ours, q in found.items() if q is not None}
        return values, {ours: q.resolution for ours, q in found.items() if q is not None and q.resolution > 1}

    def _sample(
        self,
        context: Context,
        status: str | None,
        values: dict[str, Any],
        resolution: dict[str, float] | None = None,
        unknown: dict[str, Any] | None = None,
    ) -> None:
        self._emit(
            Sample(
                **context.item(self.family),
                status=status,
                values=values,
                resolution=resolution or {},
                unknown=unknown or {},
            )
        )


class Proxmox(Lines):
    """Task logs of Proxmox VE 4 to 9."""

    family = "proxmox"
    _MACHINE: Final = re.compile(
        r"starting migration of (?:VM|CT) (\d{1,10}) to node|UPID:\S{1,120}:qmigrate:(\d{1,10}):"
    )
    _vm = ""
    hints = ("migrat", "cachesize", "xbzrle", "downtime", "transferred")
    patterns = tuple(
        (re.compile(pattern), method)
        for pattern, method in (
            (r"starting migration of (?:VM|CT) (\d+) to node", "_begin"),
            (r"starting online/live migration on", "_prepare"),
            (r"start migrate command to ", "_request"),
            (r"migrate_set_speed: (\d+)|migration speed limit: " + _SIZE + "/s", "_speed"),
            (r"migrate_set_downtime: ([\d.]{1,12})|migration downtime limit: (\d{1,9}) ms", "_limit"),
            (r"auto-increased downtime to continue migration: (\d{1,9}) ms", "_raised"),
            (r"(?:migration |set )cachesize: " + _SIZE, "_cache"),
            (
                r"migration status: (\S+) \(transferred (\d{1,20}), remaining (\d{1,20})\), total (\d{1,20})\)?",
                "_old",
            ),
            (
                r"migration ([a-z-]+), transferred " + _SIZE + " of " + _SIZE + r" VM-state(?:, " + _SIZE
                + r"/s)?(?:, VM dirties lots of memory: " + _SIZE + "/s)?(.*)",
                "_new",
            ),
            (r"xbzrle cachesize: (\d+) transferred (\d+) pages (\d+) cachemiss (\d+) overflow (\d+)", "_xbzrle"),
            (
                r"xbzrle: send updates to (\d+) pages in " + _SIZE
                + r" encoded memory(?:, cache-miss ([\d.]+)%)?(?:, overflow (\d+))?",
                "_updates",
            ),
            (r"(?:average )?migration speed: ([\d.]{1,12} ?[KMGT]?i?B)/s - downtime (\d{1,9}) ms", "_average"),
            (r"migration ([a-z-]+), transferred " + _SIZE + " VM-state", "_finished"),
            (r"migration status: ([\w-]+)\s*$", "_status"),
            (r"migration status error: ([\w-]+)", "_status"),
            (
                r"migration (finished|aborted)(?: successfully)? \(duration (\d+):(\d\d):(\d\d)\)(?::? ?(.*))?",
                "_task",
            ),
            (r"(?:drive|mirror)-(\w{1,20}): transferred " + _SIZE + r" of .*\bready\b", "_disk"),
            (r"ERROR: (online migrate failure.*|migration .*)", "_error"),
            (r"(query migrate failed: .*)", "_step"),
            (r"(set migration[ _](?:caps|capabilities|parameters))", "_step"),
            (r"starting task UPID:\S{1,120}:qmigrate:(\d{1,10}):", "_begin"),
            (r"end task UPID:\S{1,120}:qmigrate:(\d{1,10}):\S* (OK|.*)", "_task_over"),
        )
    )  # fmt: skip

    def take(self, text: str, context: Context) -> bool:
        """Take the line if it is of a task; the line that begins one names the machine for all of it."""
        named = self._MACHINE.search(text)
        self._vm = words(named[1] or named[2]) if named else self._vm
        return super().take(text, dataclasses.replace(context, vm=context.vm or self._vm))

    def _begin(self, match: re.Match[str], context: Context) -> None:
        self._event("task of VM " + words(match[1]), context, begins=True)

    def _prepare(self, match: re.Match[str], context: Context) -> None:
        self._event("prepared", context)  # Proxmox 4 logs nothing nearer to the request

    def _request(self, match: re.Match[str], context: Context) -> None:
        self._event("request", context)

    def _speed(self, match: re.Match[str], context: Context) -> None:
        found = quantity(match[1] or match[2], self.family, BYTES)
        self._setting("max_bandwidth_bytes_per_s", found.value if found else words(match[0]), context)

    def _limit(self, match: re.Match[str], context: Context) -> None:
        said, factor = number(match[1] or match[2]), 1 if match[1] else 1e-3
        self._setting("downtime_limit_s", words(match[0]) if said is None else scaled(said, factor), context)

    def _raised(self, match: re.Match[str], context: Context) -> None:
        self._setting("downtime_limit_s", int(match[1]) / 1000, context)
        self._event(f"downtime limit raised to {match[1]} ms", context)

    def _cache(self, match: re.Match[str], context: Context) -> None:
        found = quantity(match[1], self.family, BYTES)
        self._setting("xbzrle_cache_bytes", found.value if found else words(match[1]), context)

    def _old(self, match: re.Match[str], context: Context) -> None:
        values, _ = self._sizes(sent_bytes=match[2], remaining_bytes=match[3], total_bytes=match[4])
        self._sample(context, words(match[1]), values)

    def _new(self, match: re.Match[str], context: Context) -> None:
        values, resolution = self._sizes(sent_bytes=match[2], total_bytes=match[3])
        rates, _ = self._sizes(bandwidth_bytes_per_s=match[4], dirtied_bytes_per_s=match[5])
        rest = match[6].strip(" ,")
        self._sample(
            context, match[1], values | rates, resolution, {"rest of the line": words(rest)} if rest else None
        )

    def _xbzrle(self, match: re.Match[str], context: Context) -> None:
        names = ("cache_bytes", "bytes", "pages", "cache_misses", "overflows")
        said = zip(names, match.groups(), strict=True)
        values = {f"xbzrle_{name}": amount for name, text in said if (amount := number(text[:20])) is not None}
        self._sample(context, None, values)

    def _updates(self, match: re.Match[str], context: Context) -> None:
        values, _ = self._sizes(xbzrle_bytes=match[2])
        said = {"xbzrle_pages": match[1][:20], "xbzrle_overflows": (match[4] or "")[:20]}
        values |= {name: amount for name, text in said.items() if (amount := number(text)) is not None}
        self._sample(context, None, values)

    def _average(self, match: re.Match[str], context: Context) -> None:
        values, _ = self._sizes(average_bytes_per_s=match[1])
        self._sample(context, "completed", values | {"downtime_s": int(match[2]) / 1000})

    def _finished(self, match: re.Match[str], context: Context) -> None:
        values, resolution = self._sizes(sent_bytes=match[2])
        self._sample(context, match[1], values, resolution)

    def _status(self, match: re.Match[str], context: Context) -> None:
        self._event("state", context, status=match[1])

    def _task(self, match: re.Match[str], context: Context) -> None:
        seconds = sum(int(match[at][:9]) * unit for at, unit in ((2, 3600), (3, 60), (4, 1)))
        self._event(f"task {match[1]} after {seconds} s", context, status="failed" if match[1] == "aborted" else None)
        if match[5]:
            self._event("reason: " + words(match[5]), context)

    def _task_over(self, match: re.Match[str], context: Context) -> None:
        done = match[2].strip() == "OK"
        self._event(f"task ends: {words(match[2].strip())}", context, status="completed" if done else "failed")

    def _error(self, match: re.Match[str], context: Context) -> None:
        self._event("error: " + words(match[1]), context, status="failed")

    def _disk(self, match: re.Match[str], context: Context) -> None:
        self._event(f"disk {words(match[1])} mirrored, {match[2]}", context)

    def _step(self, match: re.Match[str], context: Context) -> None:
        self._event(words(match[1]), context)


class Nova(Lines):
    """Logs of OpenStack Nova's compute service (libvirt driver)."""

    family = "nova"
    hints = ("igration", "owntime", "Lifecycle", "post", "Took ", "Data remaining")
    patterns = tuple(
        (re.compile(pattern), method)
        for pattern, method in (
            (
                r"Migration running for (\d{1,9}) secs?, memory (\d{1,3})% (remaining|complete)[;,]? ?"
                r"\(?(?:bytes )?processed=(\d{1,20}), remaining=(\d{1,20}), total=(\d{1,20})\)?"
                r"(?:[;,]? disk (\d{1,3})% remaining[;,]? ?"
                r"\(?(?:bytes )?processed=(\d{1,20}), remaining=(\d{1,20}), total=(\d{1,20})\)?)?",
                "_running",
            ),
            (r"Increasing downtime to (\d{1,9}) ms after (\d{1,9}) sec elapsed time", "_downtime"),
            (r"Migration operation has completed", "_completed"),
            (r"Migration operation was (cancelled|aborted)", "_cancelled"),
            (r"(?:Migration operation (?:has )?(?:failed|aborted)|Live Migration failure)(?:: ?(.*))?", "_failed"),
            (r"(Live migration stuck for \d{1,9} sec)", "_told"),
            (r"(Live migration not completed after \d{1,9} sec)", "_timed_out"),
            (r"(Switching to post-copy migration|Starting post-copy|Live migration switched to post_?copy)", "_told"),
            (r"(VM (?:Paused|Resumed|Started|Stopped) \(Lifecycle Event\))", "_told"),
            (r"(Took [\d.]{1,12} seconds for pre_live_migration on destination host [\w.-]{1,64})", "_told"),
            (r"(Data remaining \d{1,20} bytes, low watermark \d{1,20} bytes \d{1,9} seconds ago)", "_told"),
            (r"Starting monitoring of live migration", "_request"),
        )
    )
    programs = ("nova",)
    alike = ((re.compile(r"Live migration (?:has )?failed(?:: ?(.*))?"), "_failed"),)

    def _running(self, match: re.Match[str], context: Context) -> None:
        names = ("sent_bytes", "remaining_bytes", "total_bytes", "disk_sent_bytes", "disk_remaining_bytes")
        texts = (match[4], match[5], match[6], match[8], match[9])
        values, _ = self._sizes(**dict(zip(names, texts, strict=True)), disk_total_bytes=match[10])
        if not any(values.get(name) for name in ("sent_bytes", "remaining_bytes", "total_bytes")):
            values = {}  # before the first statistics, Nova writes zeros
        self._sample(context, "running", values | {"t_s": float(match[1])})

    def _downtime(self, match: re.Match[str], context: Context) -> None:
        self._setting("downtime_limit_s", int(match[1]) / 1000, context)
        self._event(f"downtime limit raised to {match[1]} ms", context)

    def _failed(self, match: re.Match[str], context: Context) -> None:
        self._event("failed: " + words(match[1] or "no reason given"), context, status="failed")

    def _timed_out(self, match: re.Match[str], context: Context) -> None:
        self._event(words(match[1]), context, status=TIMED_OUT)


class KubeVirt(Lines):
    """Messages of KubeVirt's virt-launcher."""

    family = "kubevirt"
    hints = ("igrat", "post")
    _FIELD: Final = re.compile(r"\b([A-Z]\w{2,30}):(\d{1,20}(?:\.\d{1,6})?)([A-Za-z/]{0,6})(?=\s|$)")
    patterns = tuple(
        (re.compile(pattern), method)
        for pattern, method in (
            (r"Migration info for ([\w-]{1,64}): (.*)", "_info"),
            (r"VirtualMachineInstance migration uid [\w-]{1,64} failed\. ?(?:reason: ?)?(.*)", "_failed"),
            (r"The VirtualMachineInstance migrated to node \S", "_completed"),
            (r"(Live migration (?:is )?not completed after \d{1,9} seconds?.*aborted)", "_aborted"),
            (r"(Live migration (?:is )?stuck for \d+ seconds?.*|.*[Ss]witch(?:ed|ing) .*post-?copy.*)", "_told"),
            (r"Starting memory migration|Initiating live migration", "_request"),
        )
    )
    programs = ("virt-launcher", "virt-handler", "kubevirt")
    alike = tuple(
        (re.compile(pattern), method)
        for pattern, method in (
            (r"Live migration succe(?:ss|eded)|(?:Migration|Live migration) (?:has )?completed", "_completed"),
            (r"Migration was cancell?ed|Live migration (?:has been )?aborted", "_cancelled"),
            (r"(?:Migration job|Live migration) failed(.*)", "_failed"),
            (r"(operation (?:aborted|failed): .*migration.*|error encountered during MigrateToURI.*)", "_told"),
        )
    )

    def _info(self, match: re.Match[str], context: Context) -> None:
        values, resolution, unknown = {}, {}, {}
        for theirs, digits, unit in self._FIELD.findall(match[2]):
            name = TABLES["kubevirt"].get(theirs)
            found = quantity(f"{digits} {unit}", self.family, name) if name is not None else None
            if name is None or found is None:
                unknown[words(theirs)] = words(digits + unit)
                continue
            values[name.ours] = found.value
            if name.ours.endswith("_bytes") and found.resolution > 1:
                resolution[name.ours] = found.resolution
        _mend_megabits(values)
        context = Context(context.line, context.vm or words(match[1]), context.stamp)
        self._sample(context, "completed" if "downtime_s" in values else "running", values, resolution, unknown)

    def _aborted(self, match: re.Match[str], context: Context) -> None:
        self._event(words(match[1]), context, status="cancelled")

    def _failed(self, match: re.Match[str], context: Context) -> None:
        reason = words(match[1].strip(" .:"))
        self._event("failed" + (f": {reason}" if reason else ""), context, status="failed")


def _mend_megabits(values: dict[str, Any]) -> None:
    """Set right the rates of old KubeVirt, which divided bytes by 8 instead of multiplying them, 64 times too low.

    What was sent over the time that it took tells which version wrote the line: they agree within a few times.
    """
    sent, elapsed, said = (values.get(name) for name in ("sent_bytes", "t_s", "bandwidth_bytes_per_s"))
    if sent and elapsed and said and sent / elapsed > 8 * said:
        for name in ("bandwidth_bytes_per_s", "dirtied_bytes_per_s", "disk_bandwidth_bytes_per_s"):
            if name in values:
                values[name] *= 64
        values["mended_rates"] = 64.0
