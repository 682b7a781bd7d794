"""Lines of hypervisors that have their own words (Xen's xl and libxc, Cloud Hypervisor), and bare progress lines."""

from __future__ import annotations

import re
from typing import Final

from migkit.importers.context import Context
from migkit.importers.names import MEGABIT, TABLES
from migkit.importers.reading.numbers import number, quantity, words
from migkit.importers.tools.managers import Lines
from migkit.units import PAGE_BYTES

__all__ = ["CloudHypervisor", "HyperV", "Progress", "VMware", "Xen"]


class CloudHypervisor(Lines):
    """``Precopy:`` lines of Cloud Hypervisor, one a finished pass; sizes are whole MiB."""

    family = "cloud-hypervisor"
    hints = ("Precopy: iter=", "cloud-hypervisor")
    _FIELD: Final = re.compile(r"\b([a-z_]{2,30})=(\d{1,20}(?:\.\d{1,9})?)([A-Za-z/]{0,6})(?=[\s,;]|$)")
    patterns = tuple(
        (re.compile(pattern), method)
        for pattern, method in (
            (r"\bPrecopy: (iter=.*)", "_pass"),
            (r"Dirty memory migration (\d{1,4}) of (\d{1,4})", "_older"),
            (r"Sending [Mm]igration|Migrating VM|Starting migration|Migration: start", "_request"),
            (r"Migration completed after (\d{1,9}(?:\.\d{1,3})?)s with a downtime of (\d{1,9})ms", "_over"),
            (r"Migration (?:complete|finished|succeeded)|Migration: complete", "_completed"),
            (r"Migration (?:failed|aborted|cancelled)(.*)", "_failed"),
            (r"(Downtime\w*(?: breakdown)?[:=] ?\d+ ?ms.*|Paus(?:ing|ed) (?:the )?VM.*|VM paused.*)", "_told"),
        )
    )

    def _pass(self, match: re.Match[str], context: Context) -> None:
        values, resolution, unknown = {}, {}, {}
        for theirs, digits, unit in self._FIELD.findall(match[1]):
            name = TABLES[self.family].get(theirs)
            found = quantity(f"{digits} {unit}", self.family, name) if name is not None else None
            if name is None or found is None:
                unknown[words(theirs)] = words(digits + unit)
                continue
            values[name.ours] = found.value
            if name.ours.endswith("_bytes") and found.resolution > 1:
                resolution[name.ours] = found.resolution
        if "iteration" in values:
            values["iteration"] += 1  # its first pass is iter=0; a first sync counts 1 here
            if values["iteration"] == 1 and "round_bytes" in values:
                values["total_bytes"] = values["round_bytes"]
        self._sample(context, "active", values, resolution, unknown)

    def _older(self, match: re.Match[str], context: Context) -> None:
        self._sample(context, "active", {"iteration": float(match[1]) + 2})

    def _over(self, match: re.Match[str], context: Context) -> None:
        values = {"t_s": float(match[1]), "downtime_s": int(match[2]) / 1000}
        self._sample(context, "completed", values)

    def _failed(self, match: re.Match[str], context: Context) -> None:
        self._event("failed" + words(match[1]), context, status="failed")


class Xen(Lines):
    """Progress and debug lines of xl and libxc, the old save (before 4.6) and the new one."""

    family = "xen"
    hints = ("Saving", "delta ", "Frames", "Memory", "Total pages sent", "igration", "All memory", ": error: ")
    patterns = tuple(
        (re.compile(pattern), method)
        for pattern, method in (
            (
                r"Saving memory(?: pages)?: iter (\d{1,4}) \(last sent (\d{1,12}) skipped (\d{1,12})\)"
                r"(?:: (\d{1,12})/(\d{1,12}))?",
                "_old",
            ),
            (
                r"delta (\d{1,9})ms, (?:dom0 \d+%, target \d+%, )?sent (\d{1,9})Mb/s, dirtied (\d{1,9})Mb/s"
                r"(?: (\d{1,12}) pages)?",
                "_delta",
            ),
            (
                r"(?:Frames|Memory)(?: iteration (\d{1,4})(?: of \d{1,4})?)?: (\d{1,12})/(\d{1,12})\s+\d{1,3}%",
                "_frames",
            ),
            (r"Total pages sent ?= ?(\d{1,12})", "_total"),
            (r"xc: .*Saving domain (\d{1,9}), type ([\w /]{1,40})", "_saves"),
            (r"Saving to migration stream", "_request"),
            (r"Migration successful", "_completed"),
            (r"(Migration failed.*|migration sender: .*[Ff]ail.*)", "_failed"),
            (r"(migration (?:target|sender|receiver)[ :].*|All memory is saved)", "_told"),
            (r"\b((?:xc|xl|libxl): error: .*)", "_told"),
        )
    )

    def _old(self, match: re.Match[str], context: Context) -> None:
        values = {"iteration": float(match[1]) + 1, "skipped_pages": float(match[3]), "page_bytes": float(PAGE_BYTES)}
        if match[5]:
            values |= {"done_pages": float(match[4]), "total_bytes": float(match[5]) * PAGE_BYTES}
        self._sample(context, "active", values)

    def _delta(self, match: re.Match[str], context: Context) -> None:
        values = {"round_s": float(match[1]) / 1000, "bandwidth_bytes_per_s": float(match[2]) * MEGABIT}
        values["dirtied_bytes_per_s"] = float(match[3]) * MEGABIT
        if match[4]:
            values["round_dirtied_pages"] = float(match[4])
        self._sample(context, "active", values)

    def _frames(self, match: re.Match[str], context: Context) -> None:
        done, total = float(match[2]), float(match[3])
        values = {"round_bytes": total * PAGE_BYTES, "page_bytes": float(PAGE_BYTES)}
        values["remaining_bytes"] = max(0.0, total - done) * PAGE_BYTES
        if match[1]:
            values["iteration"] = float(match[1]) + 1
        self._sample(context, "active", values)

    def _total(self, match: re.Match[str], context: Context) -> None:
        self._sample(context, "active", {"normal_pages": float(match[1]), "page_bytes": float(PAGE_BYTES)})

    def _saves(self, match: re.Match[str], context: Context) -> None:
        self._setting("type of guest", words(match[2].strip()), context)
        self._event(f"saves domain {match[1]}", context)


class VMware(Lines):
    """Lines of vMotion in vmkernel.log (pages left, bandwidth) and vmware.log (how long the guest stood)."""

    family = "vmware"
    hints = ("VMotion", "VMOTION", "igrate", "Unstun")
    patterns = tuple(
        (re.compile(pattern), method)
        for pattern, method in (
            (r"Setting VMOTION info: Source ts = \d{10,20}|Received migrate 'to' request for mid id \d", "_request"),
            (
                r"Stopping pre-?copy: only (\d{1,15}) pages left to send"
                r"(?:.*network bandwidth ~(\d{1,9}(?:\.\d{1,6})? MB/s))?",
                "_stopping",
            ),
            (r"VMotion\w*: .*(Sent all modified pages to destination.*|[Ff]ailed.*|[Tt]imed out.*)", "_told"),
            (r"(Migrate: VM successfully stunned)", "_told"),
        )
    )
    alike = ((re.compile(r"Checkpoint_Unstun: vm stopped for (\d{1,12}) us"), "_stood"),)  # after snapshots too

    def _stopping(self, match: re.Match[str], context: Context) -> None:
        values = {"remaining_bytes": float(match[1]) * PAGE_BYTES, "page_bytes": float(PAGE_BYTES)}
        rate, _ = self._sizes(bandwidth_bytes_per_s=match[2] and match[2].removesuffix("/s"))
        self._sample(context, "active", values | rate)

    def _stood(self, match: re.Match[str], context: Context) -> None:
        self._sample(context, None, {"downtime_s": int(match[1]) / 1e6})


class HyperV(Lines):
    """Texts of Hyper-V's events, in English; 20415 and 20417 of Hyper-V-VMMS-Admin tell how long a guest stood."""

    family = "hyper-v"
    hints = ("igrat",)
    patterns = tuple(
        (re.compile(pattern, re.IGNORECASE), method)
        for pattern, method in (
            (
                r"(?=.*\bmigration\b).*?'([^']{1,64})'.*\bblackout time(?: of| was|:)? "
                r"(\d{1,6}(?:\.\d{1,6})?) seconds",
                "_blackout",
            ),
            (r"Virtual machine migration operation for '([^']{1,64})' (failed.*)", "_failed"),
        )
    )

    def _blackout(self, match: re.Match[str], context: Context) -> None:
        context = Context(context.line, words(match[1]), context.stamp)
        self._sample(context, "completed", {"downtime_s": float(match[2])})
        self._event("state", context, status="completed")

    def _failed(self, match: re.Match[str], context: Context) -> None:
        context = Context(context.line, words(match[1]), context.stamp)
        self._event(words(match[2]), context, status="failed", begins=True)


class Progress(Lines):
    """Lines that say only how far a migration is: done and all of memory, perhaps of disks."""

    family = "progress"
    _SHARE: Final = re.compile(r"Migration: \[\s*(\d{1,3}(?:\.\d{1,6})?) ?%\]")  # virsh migrate --verbose
    _ERROR: Final = re.compile(r"\berror: (operation (?:failed|aborted): .*|.*migrat.*)")
    _MOVED: Final = re.compile(  # incus move and lxc move: decimal units
        r"Transferring instance: (\S{1,64}): (\d{1,9}(?:\.\d{1,3})?[kMGT]?B) \((\d{1,9}(?:\.\d{1,3})?[kMGT]?B)/s\)"
    )
    _LINE: Final = re.compile(
        r"(?i)(?:disk\s+(?:\d{1,3}(?:\.\d+)?%\s+)?"
        r"(?P<disk>\d{1,15}(?:\.\d{1,6})?)/(?P<disks>\d{1,15}(?:\.\d{1,6})?) ?"
        r"(?P<disk_unit>[KMGT]?i?B)\W+)?"
        r"\b(?:memory|ram)\s+(?:\d{1,3}(?:\.\d+)?%\s+)?"
        r"(?P<done>\d{1,15}(?:\.\d{1,6})?)/(?P<all>\d{1,15}(?:\.\d{1,6})?) ?"
        r"(?P<unit>[KMGT]?i?B)\b"
    )

    def take(self, text: str, context: Context) -> bool:
        """Take the line if it says how far a migration is; return whether it does."""
        moved = self._MOVED.search(text)
        if moved:
            values, resolution = self._sizes(sent_bytes=moved[2])
            rate, _ = self._sizes(bandwidth_bytes_per_s=moved[3])
            self._sample(Context(context.line, moved[1], context.stamp), "active", values | rate, resolution)
            return True
        match = self._LINE.search(text) if "igrat" in text else None
        shares = self._SHARE.findall(text) if "igrat" in text else []
        for share in shares:  # on a terminal each writes over the one before; 100 % is written once it has ended
            done = min(100.0, float(share)) / 100
            self._sample(context, "active" if done < 1.0 else "completed", {"done": done})
        self._known = self._known or bool(shares)
        failed = self._ERROR.search(text) if self._known else None
        if failed:
            self._event("error: " + words(failed[1]), context, status="failed")
        if match is None:
            return bool(shares or failed)
        unit, disk_unit = match["unit"], match["disk_unit"]
        values, resolution = self._sizes(
            sent_bytes=match["done"] + unit,
            total_bytes=match["all"] + unit,
            disk_sent_bytes=match["disk"] and match["disk"] + disk_unit,
            disk_total_bytes=match["disks"] and match["disks"] + disk_unit,
        )
        self._sample(context, "active", values, resolution)
        return bool(number(values.get("total_bytes")))
