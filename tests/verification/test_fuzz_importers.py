"""Importers take whatever comes with nothing but documented errors; a short part here, the million on demand."""

import pytest

from tests.verification.fuzz_importers import check, hunt, seeds


def test_altered_logs_give_records_or_documented_errors(tmp_path):
    assert hunt(600, 7, tmp_path / "input") > 100


@pytest.mark.verification
@pytest.mark.timeout(14_400)
def test_a_million_altered_logs_give_records_or_documented_errors(tmp_path):
    assert hunt(1_000_000, 1, tmp_path / "input") > 100_000


def test_what_is_no_documented_error_is_found(monkeypatch):
    monkeypatch.setattr("migkit.importers.recognise.group", lambda items: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        check(seeds()[0])
