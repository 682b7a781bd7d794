import pytest

from migkit.widgets import DrainExplorer
from migkit.widgets.dropped import emptying as module

MACHINES = b"vm,host,memory\nweb,a,4 GiB\ndb,a,8 GiB\n"
HOSTS = b"host,memory,link\na,64 GiB,10 Gbit/s\nb,64 GiB,10 Gbit/s\n"


@pytest.fixture(scope="module")
def shared():
    return DrainExplorer("busy", manager="openshift", against="openshift-2026", deadline="60 min")


@pytest.fixture
def explorer(shared):
    yield shared
    shared.wait(120)


def move(explorer, name, value):
    getattr(explorer, name).value = value
    assert explorer.wait(120)


def chances(explorer):
    return [trace.y for trace in explorer.chances.data]


def test_the_machine_that_hangs_after_the_upgrade_is_named(explorer):
    assert explorer.upgrade.stays == ["database"]
    assert "database" in explorer.headline.value
    assert "database" in explorer.tables.value
    assert len(explorer.chances.data) == 3


def test_figures_and_sentences_are_those_of_the_answer(explorer):
    move(explorer, "against", "")
    assert explorer.upgrade is None
    assert explorer.rehearsal.answer in explorer.headline.value
    assert chances(explorer)[0][-1] == pytest.approx((explorer.rehearsal.end_s < float("inf")).mean())
    assert "old out" in explorer.load.data[0].y
    assert len(explorer.gantt.data[0].x) == len(explorer.plan.moves) == 7


@pytest.mark.parametrize(
    ("name", "value"), [("empty", "nowhere"), ("empty", "all"), ("empty", ""), ("empty", "old,old")]
)
def test_a_wrong_input_is_told_beside_its_control_and_the_picture_stays(explorer, name, value):
    before, right = (chances(explorer), explorer.headline.value), getattr(explorer, name).value
    move(explorer, name, value)
    assert list(explorer.complaints) == [name]
    assert (chances(explorer), explorer.headline.value) == before
    move(explorer, name, right)
    assert explorer.complaints == {}


def test_where_there_is_no_plan_the_rehearsal_is_still_shown_and_says_why(explorer):
    move(explorer, "manager", "openshift-2026")
    assert explorer.plan is None
    assert "There is no plan: " in explorer.headline.value
    assert explorer.headline.value.lower().count("there is no plan") == 1
    assert explorer._planned.layout.display == "none"
    move(explorer, "manager", "openshift")
    assert explorer.plan is not None
    assert explorer._planned.layout.display is None


def test_single_settings_are_tried_when_that_is_asked_for(explorer):
    move(explorer, "tries", True)
    assert "one setting changed" in explorer.tables.value
    move(explorer, "tries", False)
    assert "one setting changed" not in explorer.tables.value


def test_ones_own_tables_are_emptied_from_their_first_host(explorer):
    explorer.machines.take("vms.csv", MACHINES)
    assert explorer.wait(120)
    assert "hosts: their table is missing" in explorer.complaints["machines"]
    explorer.hosts.take("hosts.csv", HOSTS)
    assert explorer.wait(120)
    assert explorer.complaints == {}
    assert (explorer.fleet.value, explorer.empty.value) == ("", "a")
    assert set(explorer.plan.moves.vm) == {"web", "db"}
    explorer.hosts.take("hosts.csv", b"host,memory,link\na,lots,10 Gbit/s\n")
    assert explorer.wait(120)
    assert "hosts row 1, memory" in explorer.complaints["hosts"]
    assert set(explorer.plan.moves.vm) == {"web", "db"}


def test_the_copied_python_gives_the_same_answer(explorer, tmp_path, monkeypatch):
    explorer.machines.take("vms.csv", MACHINES)
    explorer.hosts.take("hosts.csv", HOSTS)
    assert explorer.wait(120)
    (tmp_path / "vms.csv").write_bytes(MACHINES)
    (tmp_path / "hosts.csv").write_bytes(HOSTS)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(explorer.code(), names)
    assert names["plan"].moves.equals(explorer.plan.moves)
    assert names["loads"].equals(explorer.loads)
    assert (names["found"].end_s == explorer.rehearsal.end_s).all()


def test_a_defect_is_shown_and_raised(explorer, monkeypatch):
    monkeypatch.setattr(module, "drain", lambda *_, **__: 1 / 0)
    explorer.deadline.value = "45 s"
    with pytest.raises(ZeroDivisionError):
        explorer.wait(120)
    assert "ZeroDivisionError" in explorer.complaints["deadline"]
