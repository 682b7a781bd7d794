import pytest

from migkit import DirtyClass, Guest, Policy, Strategy, compare, predict, simulate
from migkit.policies.built_in import BUILT_IN
from migkit.scenario.policy import presets

QUIET = Guest(memory_bytes=2**28)
BUSY = Guest(memory_bytes=2**30, dirty=(DirtyClass(region_bytes=2**28, writes_per_s=1e6),))
RESULTS = [
    predict(guest, policy=Policy(name=preset.name), strategy=Strategy(name=name))
    for guest in (QUIET, BUSY)
    for preset in BUILT_IN[::4]
    for name in ("precopy", "postcopy")
]


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: result.verdict)
def test_a_result_fits_in_a_terminal(result):
    assert len(repr(result)) <= 80
    assert "\n" not in repr(result)
    assert max(map(len, str(result).splitlines())) <= 80
    assert all(word in str(result) for word in ("verdict", "why", "total time", "downtime"))


def test_a_notebook_shows_verdict_reason_numbers_and_rounds():
    page = predict(BUSY)._repr_html_()
    assert page.count("<table>") == 2
    for words in ("does not converge", "the guest settles at", "would do", "never", "rounds left out"):
        assert words in page


def test_text_of_others_is_quoted_in_a_notebook():
    import dataclasses

    assert "<b>" not in dataclasses.replace(predict(QUIET), reasons=("<b>",))._repr_html_()


@pytest.mark.usefixtures("built_in_policies")
def test_simulations_and_comparisons_fit_in_a_terminal():
    assert len(repr(simulate(QUIET, repeats=2))) <= 80
    lines = repr(compare(BUSY, policies="all", strategies=["precopy"], level=None)).splitlines()
    assert max(map(len, lines)) <= 100
    assert len(lines) == 1 + len(presets())
