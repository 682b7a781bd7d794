"""Tasks computed here, by several processes of this machine, or by the workers of a Dask cluster."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from migkit.errors import CapabilityError, RunError, UsageError

__all__ = ["results"]

_ANSWERS_WITHIN_S: Final = 5
# By default Dask's workers give each large buffer back to the kernel, and fault it in again for the next task.
_ENVIRONMENT: Final = {
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "OMP_NUM_THREADS": "1",
}
_AHEAD: Final = 3  # tasks a worker has waiting, so that it is never idle and memory stays flat


def results(
    task: Callable[..., Any],
    arguments: Sequence[tuple[Any, ...]],
    *,
    workers: int | None = None,
    scheduler: str | None = None,
) -> Iterator[tuple[int, Any]]:
    """Yield the place of each task and what it returned, in the order in which they end.

    A task whose worker dies is computed by another one.

    Parameters
    ----------
    task
        A function of a module, without side effects.
    arguments
        Of each call.
    workers
        Processes on this machine; None: this process alone.
    scheduler
        Address of a Dask scheduler; in the place of workers.

    Raises
    ------
    UsageError
        Both are given, or a number of workers that is no number of processes.
    CapabilityError
        Dask is not installed.
    RunError
        The scheduler does not answer.

    Examples
    --------
    >>> sorted(results(pow, [(2, 3), (2, 4)]))
    [(0, 8), (1, 16)]
    """
    if workers is not None and scheduler is not None:
        raise UsageError("sweep: workers and a scheduler are given; leave out one of the two")
    if workers is not None and not 1 <= workers <= 1024:
        raise UsageError(f"sweep: {workers} workers cannot be started; give 1 to 1024")
    if not arguments:
        return
    if workers is None and scheduler is None:
        for at, one in enumerate(arguments):
            yield at, task(*one)
        return
    yield from _spread(task, arguments, workers, scheduler)


def _spread(
    task: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], workers: int | None, scheduler: str | None
) -> Iterator[tuple[int, Any]]:
    """Yield results of a cluster, with a few tasks a worker under way."""
    try:
        distributed: Any = importlib.import_module("distributed")
    except ImportError as error:
        raise CapabilityError(
            "sweep: several processes need Dask, which is not installed; install it: pip install 'migkit[dask]'"
        ) from error
    with contextlib.ExitStack() as stack:
        if scheduler is None:
            scheduler = stack.enter_context(_cluster(distributed, workers or 1)).scheduler_address
        client = stack.enter_context(_client(distributed, scheduler))
        to_do = iter(enumerate(arguments))
        running = distributed.as_completed(with_results=True)
        places: dict[str, int] = {}

        def more(count: int) -> None:
            for _, (at, one) in zip(range(count), to_do, strict=False):
                future = client.submit(task, *one, pure=False)
                places[future.key] = at
                running.add(future)

        more(_AHEAD * max(1, len(client.scheduler_info()["workers"])))
        for future, found in running:
            yield places.pop(future.key), found
            future.release()
            more(1)


def _cluster(distributed: Any, workers: int) -> Any:
    with importlib.import_module("dask").config.set({"distributed.nanny.pre-spawn-environ": _ENVIRONMENT}):
        return distributed.LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None
        )


def _client(distributed: Any, scheduler: str) -> Any:
    try:
        return distributed.Client(scheduler, timeout=_ANSWERS_WITHIN_S)
    except (OSError, ValueError) as error:
        raise RunError(
            f"sweep: no Dask scheduler answers at {scheduler} ({error}); start one, or check it"
        ) from error
