"""Every public name says what it is for; functions and classes that people call show how."""

import dataclasses
import importlib
import inspect
import pkgutil

import pytest

import migkit

# Modules whose names people call; the others are called by these.
PUBLIC = ("units", "errors", "scenario", "models", "traces", "importers", "calibrate", "viz", "widgets", "course")
# Between the modules of one package: frames and rows of predict_many, records of predict.
PLUMBING = {
    "migkit.models.bulk.frames",
    "migkit.models.history",
    "migkit.models.bulk.rows",
    "migkit.models.admission",
    "migkit.models.advice.reasons",
    "migkit.models.story",
    "migkit.traces.place",
    "migkit.engine.packing",
    "migkit.calibrate.observe",
    "migkit.calibrate.identify",
    "migkit.course.exercises",
    "migkit.viz.style",
    "migkit.widgets.warm",
    *(
        f"migkit.importers.{name}"  # readers of one source each, and what is between them and a record
        for name in (
            *("assemble", "build", "context", "gaps", "names", "series"),
            *("reading.blocks", "reading.objects", "reading.parameters", "reading.text", "reading.walk"),
            *(
                "tools.commands",
                "tools.criu",
                "tools.dirtyrate",
                "tools.guestperf",
                "tools.hypervisors",
                "tools.jobstats",
            ),
            *("tools.kubevirt", "tools.managers", "tools.metrics", "tools.qmp", "tools.trace_events", "tools.vdsm"),
        )
    ),
}
# Names whose example would need what an example cannot have at hand.
WITHOUT = {
    "a file": {
        "migkit.calibrate.guest.scenario_file.write",
        "migkit.calibrate.host_file.load",
        "migkit.calibrate.host_file.on_host",
        "migkit.calibrate.host_file.write",
        "migkit.calibrate.store.load",
        "migkit.calibrate.store.save",
        "migkit.scenario.profile.load",
        "migkit.scenario.form.schema.load",
        "migkit.scenario.form.schema.read",
        "migkit.importers.traces.write",
        "migkit.importers.traces.from_parquet",
        "migkit.traces.io.decode",
        "migkit.traces.io.read",
        "migkit.traces.io.read_table",
        "migkit.traces.io.write",
        "migkit.traces.io.write_table",
    },
    "a set of captured traces, as in the example of calibrate": {
        "migkit.calibrate.accuracy.harness_traces.beside",
        "migkit.calibrate.store.from_dict",
        "migkit.calibrate.store.to_dict",
        "migkit.calibrate.uncertainty.coverage",
        "migkit.calibrate.validate.residuals",
        "migkit.calibrate.uncertainty.predict_interval",
        "migkit.calibrate.uncertainty.scatter",
        "migkit.calibrate.validate.compare",
        "migkit.calibrate.validate.leave_one_out",
        "migkit.calibrate.validate.rows",
        "migkit.calibrate.validate.to_frame",
    },
    "a migration under way": {
        "migkit.calibrate.forecast.measuring.ByQemu",
        "migkit.calibrate.forecast.measuring.Meanwhile",
    },
    "what counts, as in the example of profile": {
        "migkit.calibrate.profiling.Following",
        "migkit.calibrate.profiling.Source",
    },
    "a folder, and otter-grader": {"migkit.course.autograding.grade", "migkit.course.autograding.make"},
    "a trace that is wrong": {
        "migkit.traces.unpacked.check_pages",
        "migkit.traces.consistency.check_phases",
        "migkit.traces.consistency.check_trace",
    },
    "another process": {
        "migkit.calibrate.forecast.looks.Asked",
        "migkit.calibrate.forecast.looks.Source",
        "migkit.calibrate.forecast.looks.watched",
        "migkit.calibrate.guest.outside.Outside",
        "migkit.calibrate.guest.outside.check_is_qemu",
        "migkit.calibrate.guest.outside.outside",
        "migkit.models.warm.compile_once",
        "migkit.models.warm.compiling",
        "migkit.models.warm.warm_up",
        "migkit.scenario.rules.recall",
    },
    "the frame that predict_many has read": {"migkit.models.bulk.many.wrong_rows"},
}


def public_names():
    """Yield every function and class that a public module names in ``__all__`` and defines."""
    for found in pkgutil.walk_packages(migkit.__path__, "migkit."):
        if found.name.split(".")[1] not in PUBLIC or "._" in found.name:
            continue
        module = importlib.import_module(found.name)
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            if getattr(value, "__module__", "") == module.__name__ and callable(value):
                yield f"{module.__name__}.{name}", value


NAMES = dict(public_names())


def made_by_functions(value):
    """Return whether it is a record or an error: people read those, functions make them."""
    record = dataclasses.is_dataclass(value) or hasattr(value, "_fields")
    return inspect.isclass(value) and (record or issubclass(value, Exception))


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_says_what_it_is_for(name):
    text = inspect.getdoc(NAMES[name]) or ""
    assert text.partition("\n")[0].rstrip().endswith((".", ":")), f"{name}: no sentence in its first line"


def test_what_people_call_shows_how():
    excused = set().union(*WITHOUT.values())
    silent = {
        name
        for name, value in NAMES.items()
        if ">>>" not in (value.__doc__ or "")
        and name.rpartition(".")[0] not in PLUMBING
        and not made_by_functions(value)
    }
    assert silent - excused == set(), "give an example, or name here what it would need"
    assert excused - silent == set(), "these have an example by now"
