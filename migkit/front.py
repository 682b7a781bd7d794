"""Two doors of the package that open onto several rooms: any file of migkit, and a real migration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from migkit import files
from migkit.errors import TraceError, UsageError
from migkit.scenario import Guest, Host, Link, Policy, Scenario, Strategy, profile
from migkit.scenario.form import schema
from migkit.scenario.form.given import Given, scenario_of
from migkit.units import MIB

if TYPE_CHECKING:
    from migkit.calibrate.fit import Calibration
    from migkit.harness.runs.migration import Progress
    from migkit.harness.runs.options import Options
    from migkit.scenario.profile import DirtyProfile
    from migkit.traces.schema import Trace

__all__ = ["capture", "load"]

_PARQUET: Final = b"PAR1"
_MOST_BYTES: Final = 64 * MIB  # of a trace, the largest of these files


def load(path: Path | str) -> Scenario | Trace | DirtyProfile | Calibration:
    """Read a scenario, a trace, a dirty profile or a calibration; the content says which it is.

    Parameters
    ----------
    path
        A scenario (TOML, or JSON of the same keys), a trace (Parquet), a profile or a calibration (JSON).

    Raises
    ------
    UsageError
        The file cannot be read, or is none of the four.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "vm.toml"
    ...     _ = path.write_text('[guest]\\nmemory = "1 GiB"')
    ...     load(path).guest.memory_pages
    262144
    """
    path = Path(path)
    try:
        raw = files.read(path, _MOST_BYTES)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    if raw.startswith(_PARQUET):
        from migkit.traces import io

        return io.read(path)
    keys = _keys(raw)
    if {"windows_s", "unique_pages"} & keys:
        return profile.load(path)
    if {"standard_errors", "covariance", "identified_by"} & keys:
        from migkit.calibrate import store

        return store.load(path)
    try:
        return schema.load(path)
    except UsageError as error:
        if isinstance(error, TraceError) or keys & {"guest", "schema_version"} or b"[guest" in raw:
            raise
        raise UsageError(
            f"{path}: is no scenario (TOML or JSON), trace (Parquet), dirty profile or calibration (JSON); {error}"
        ) from error


def _keys(raw: bytes) -> set[str]:
    """Return the keys of a JSON object; none of anything else."""
    if not raw.lstrip().startswith(b"{"):
        return set()
    try:
        found: Any = files.parse_json(raw)
    except ValueError:
        return set()
    return set(found) if isinstance(found, dict) else set()


def capture(
    scenario: Given | None = None,
    *,
    guest: Guest | None = None,
    link: Link | None = None,
    host: Host | None = None,
    policy: Policy | None = None,
    strategy: Strategy | None = None,
    output: Path | str | None = None,
    force: bool = False,
    seed: int = 1,
    options: Options | None = None,
    progress: Progress | None = None,
) -> Trace:
    """Migrate a real guest process, prove it bit for bit, and return the record of the run.

    Parameters
    ----------
    scenario
        A guest, a whole scenario, the path of a scenario file, or its tables as a mapping.
    guest, link, host, policy, strategy
        What goes with a guest; each but the guest has a documented default.
    output
        Parquet file for the trace; the place is checked before the run. None: it is only returned.
    force
        Overwrite that file.
    seed
        Of the guest: content and writes follow from it.
    options
        How to run it: the address, the tracker, the path, TLS.
    progress
        Called with each sample as it is taken.

    Raises
    ------
    UsageError
        As in :func:`migkit.models.predict.predict`, or the scenario asks for what the harness does not do.
    CapabilityError
        The kernel or the privileges here do not allow it.
    RunError
        The migration failed, or could not be verified.

    Examples
    --------
    >>> from migkit import Guest
    >>> trace = capture(Guest(memory_bytes=2**22))  # doctest: +SKIP
    >>> trace.outcome.verified  # doctest: +SKIP
    True
    """
    from migkit.harness.runs.run import run
    from migkit.traces import io, place

    case = scenario_of(scenario, "capture", guest=guest, link=link, host=host, policy=policy, strategy=strategy)
    output = Path(output) if output is not None else None
    place.check_place(output, "trace", force=force)
    trace = run(case, seed=seed, options=options, progress=progress)
    if output is not None:
        io.write(trace, output, force=force)
    return trace
