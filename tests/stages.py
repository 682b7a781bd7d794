"""The two stages of ``./run test``, as a pytest plugin: ``-p tests.stages``.

``MIGKIT_STAGE=parallel`` keeps the tests that may share the processors, ``serial`` those that need a
quiet machine: live ones, unless they are marked as untimed, and benchmarks. The first stage leaves its
reports in the file that ``MIGKIT_STAGE_RESULTS`` names, and the second one adds them to its summary, so
that the last line tells of both.
"""

import json
import os
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SERIAL = ("live", "benchmark")
LONG = ("browser", "notebooks", "course", "cli", "qemu", "calibrate", "models")


def pytest_collection_modifyitems(items):
    serial = os.environ["MIGKIT_STAGE"] == "serial"
    items[:] = [item for item in items if _needs_quiet(item) == serial]
    items.sort(key=_begins)


def _needs_quiet(item):
    return not item.get_closest_marker("untimed") and any(item.get_closest_marker(name) for name in SERIAL)


def _begins(item):
    """Return when the tests of a file begin: the longest files come first, so that all workers end together."""
    return next((at for at, folder in enumerate(LONG) if TESTS / folder in item.path.parents), len(LONG))


def pytest_terminal_summary(terminalreporter, config):
    results = Path(os.environ["MIGKIT_STAGE_RESULTS"])
    if os.environ["MIGKIT_STAGE"] == "parallel":
        results.write_text(json.dumps(_serialised(terminalreporter.stats, config)))
    elif results.stat().st_size:
        for category, reports in json.loads(results.read_text()).items():
            terminalreporter.stats.setdefault(category, [])[:0] = [_revived(report, config) for report in reports]


def _serialised(stats, config):
    return {
        category: [
            _plain(report, config)
            for report in reports
            if isinstance(report, pytest.TestReport | pytest.CollectReport)
        ]
        for category, reports in stats.items()
    }


def _plain(report, config):
    data = config.hook.pytest_report_to_serializable(config=config, report=report)
    return {name: value for name, value in data.items() if name != "node"}  # the worker that ran it


def _revived(data, config):
    report = config.hook.pytest_report_from_serializable(config=config, data=data)
    if isinstance(report.longrepr, list):
        report.longrepr = tuple(report.longrepr)  # of a skip: file, line, reason
    return report
