import dataclasses

from migkit.traces import data, read


def test_an_outcome_tells_a_person_its_numbers_with_units():
    outcome = read(data.shipped_traces()[0]).outcome
    page = outcome._repr_html_()
    for name in ("verdict", "total time", "downtime", "sent", "rounds"):
        assert f"<th>{name}</th>" in page
    assert "proven equal, bit for bit" in page
    assert "not proven equal" in dataclasses.replace(outcome, verified=False)._repr_html_()
    assert "&lt;b&gt;" in dataclasses.replace(outcome, reason="<b>")._repr_html_()
