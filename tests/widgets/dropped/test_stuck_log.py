import pytest

from migkit.traces import data
from migkit.widgets import LogExplorer
from migkit.widgets.dropped import stuck_log as module
from tests.conftest import TOP

LOGS = TOP / "tests/importers/data"
STUCK = data.data_path("kvm_database/precopy-16t-1.json.gz")


@pytest.fixture
def explorer():
    return LogExplorer()


def give(explorer, path):
    explorer.upload.take(path.name, path.read_bytes())
    assert explorer.wait(60)


def drawn(explorer):
    return [(trace.x, trace.y) for trace in explorer.figure.data]


def test_a_dropped_log_is_read_drawn_and_answered(explorer):
    before = drawn(explorer)
    give(explorer, STUCK)
    assert explorer.diagnosis.log.meta["outcome"] == "completed"
    assert drawn(explorer) != before
    assert "completed after 110 s" in explorer.headline.value
    assert "memory" in explorer.says.value
    assert explorer.status.value == ""


def test_the_log_can_be_read_up_to_an_earlier_reading(explorer):
    give(explorer, STUCK)
    explorer.until.value = explorer.until.options[-6][1]
    assert explorer.wait(60)
    assert explorer.diagnosis.outlook.verdict == "does_not_converge"
    assert "max-bandwidth" in explorer.helps.value
    assert "does not converge" in explorer.headline.value


def test_there_is_a_figure_only_where_there_is_something_to_draw(explorer):
    def shown():
        return explorer.figure in [
            child for part in explorer.widget.children for child in getattr(part, "children", ())
        ]

    assert not shown()
    assert "No log yet" in explorer.headline.value
    give(explorer, STUCK)
    assert shown()
    assert "No log yet" not in explorer.headline.value
    give(explorer, LOGS / "field/query-dirty-rate.json")
    assert not shown()
    explorer.upload.take("wrong.log", b"hello\n")
    assert explorer.wait(60)
    assert not shown()
    give(explorer, STUCK)
    assert shown()


WRONG = [b"", b"hello\n", b"\x00\x01\x02" * 100, b"\x1f\x8bbroken", b"{" * 10_000, b"PAR1no"]


@pytest.mark.parametrize("content", WRONG)
def test_what_is_no_log_gives_one_line_beside_the_field_and_the_picture_stays(explorer, content):
    give(explorer, STUCK)
    before, said = drawn(explorer), explorer.headline.value
    explorer.upload.take("wrong.log", content)
    assert explorer.wait(60)
    assert list(explorer.complaints) == ["log"]
    assert "wrong.log" in explorer.complaints["log"]
    assert "\n" not in explorer.complaints["log"]
    assert (drawn(explorer), explorer.headline.value) == (before, said)
    give(explorer, LOGS / "field/domjobinfo.txt")
    assert explorer.complaints == {}


def test_a_huge_file_gives_one_line_beside_the_field(explorer):
    explorer.upload.most_bytes = 1000
    explorer.upload.take("huge.log", b"x" * 1001)
    assert explorer.wait(60)
    assert "huge.log is larger than" in explorer.complaints["log"]
    assert explorer.diagnosis is None


def test_each_record_of_a_log_can_be_chosen(explorer):
    give(explorer, LOGS / "field/two.jsonl")
    assert len(explorer.record.options) == 2
    first = explorer.diagnosis.log
    explorer.record.value = "1"
    assert explorer.wait(60)
    assert explorer.diagnosis.log is not first
    give(explorer, LOGS / "field/domjobinfo.txt")
    assert len(explorer.record.options) == 1


def test_a_dirty_rate_is_answered_for_the_memory_of_the_slider(explorer):
    give(explorer, LOGS / "field/query-dirty-rate.json")
    small = explorer.helps.value
    explorer.memory.value = "128 GiB"
    assert explorer.wait(60)
    assert explorer.helps.value != small


@pytest.mark.parametrize("name", ["field/domjobinfo.txt", "field/query-dirty-rate.json"])
def test_the_copied_python_gives_the_same_answer(explorer, name, tmp_path, monkeypatch):
    give(explorer, LOGS / name)
    (tmp_path / (LOGS / name).name).write_bytes((LOGS / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(explorer.code(), names)
    assert names["found"].sentences == explorer.diagnosis.sentences
    assert names["found"].changes == explorer.diagnosis.changes


def test_a_log_that_the_explorer_begins_with_is_cut_where_it_is_said():
    explorer = LogExplorer(STUCK, until_s=80.0)
    assert explorer.diagnosis.outlook.verdict == "does_not_converge"
    names = {}
    exec(explorer.code(), names)
    assert names["found"].sentences == explorer.diagnosis.sentences


def test_a_defect_is_shown_and_raised(explorer, monkeypatch):
    monkeypatch.setattr(module, "diagnose", lambda *_: 1 / 0)
    explorer.upload.take("domjobinfo.txt", (LOGS / "field/domjobinfo.txt").read_bytes())
    with pytest.raises(ZeroDivisionError):
        explorer.wait(60)
    assert "ZeroDivisionError" in explorer.complaints["log"]
