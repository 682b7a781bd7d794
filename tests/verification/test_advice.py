"""Advice on random scenarios: what is named as a remedy is one."""

import dataclasses
import tomllib

import pytest

from migkit import predict
from migkit.jit import compile_kernels
from migkit.scenario.ability import missing
from migkit.scenario.form import declaration, schema
from tests.scenarios import scenario

pytestmark = pytest.mark.verification

FAILING = 150  # scenarios that do not converge


def changed(case, remedy):
    """Return the scenario with what a remedy writes."""
    for table, values in tomllib.loads(remedy.replace(", ", "\n")).items():
        record = getattr(case, table)
        settings = values.pop("settings", {})
        parsed = schema.record_of(type(record), {**_required(table), **values})
        names = {declaration.file_key(one.name): one.name for one in dataclasses.fields(record)}
        changes = {names[key]: getattr(parsed, names[key]) for key in values}
        if settings:
            kept = tuple(pair for pair in record.settings if pair[0] not in settings)
            changes["settings"] = (*kept, *((name, float(value)) for name, value in settings.items()))
        case = dataclasses.replace(case, **{table: dataclasses.replace(record, **changes)})
    return case


def _required(table):
    return {"memory": "1 GiB"} if table == "guest" else {}


def test_each_remedy_of_random_scenarios_holds():
    compile_kernels()
    failing = named = 0
    wrong = []
    for number in range(20 * FAILING):
        if failing == FAILING:
            break
        case = scenario("ordinary", 12, number)
        result = predict(case, level=None)
        if result.verdict == "converges" or result.reason == "not_admitted":
            continue
        failing += 1
        for remedy in result.remedies:
            named += 1
            other = changed(case, remedy)
            if predict(other, level=None, detail=False).verdict != "converges" or missing(other) != missing(case):
                wrong.append((number, case.policy.name, remedy))
    print(f"{failing} scenarios that do not converge, {named} remedies, {len(wrong)} that do not hold")
    assert failing == FAILING
    assert named > 2 * failing
    assert wrong == []
