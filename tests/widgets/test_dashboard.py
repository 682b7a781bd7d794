import re

import ipywidgets as ipw
import pytest

from migkit import load, predict
from migkit.errors import InfeasibleError
from migkit.widgets.dashboard import Dashboard
from migkit.widgets.dashboard import will_it_converge as module
from migkit.widgets.dashboard.download import Download
from migkit.widgets.dashboard.report import report
from migkit.widgets.dashboard.tabs import QUESTIONS
from migkit.widgets.dashboard.which_link import LinkPage
from migkit.widgets.dashboard.will_it_converge import ConvergencePage
from tests.conftest import TOP


@pytest.fixture
def page():
    return ConvergencePage()


def drawn(page):
    return [(tuple(trace.x), tuple(trace.y)) for trace in page.figure.data]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("system", "qemu"),
        ("memory", "32 GiB"),
        ("writes", "memcached"),
        ("bandwidth", "25 Gbit/s"),
        ("downtime_limit", "50 ms"),
        ("strategy", "stopcopy"),
    ],
)
def test_every_control_moves_the_drawn_line(page, name, value):
    before = drawn(page)
    getattr(page, name).value = value
    assert page.complaints == {}
    assert drawn(page) != before


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("memory", "16", "memory"),
        ("memory", "-4 GiB", "memory"),
        ("writes", "200 MiB/s", "has no window"),
        ("writes", "200 GiB in 1 s", 'dirty rate: "GiB" is not a unit'),
        ("bandwidth", "fast", "bandwidth"),
        ("downtime_limit", "300", "downtime"),
    ],
)
def test_a_wrong_value_is_told_beside_its_control_and_the_answer_stays(page, name, value, said):
    before, headline = drawn(page), page.headline.value
    control = getattr(page, name)
    control.value = value
    assert list(page.complaints) == [control.description]
    assert said in page.complaints[control.description]
    assert (drawn(page), page.headline.value) == (before, headline)


def test_an_unexpected_error_is_raised(page, monkeypatch):
    def broken(_scenario):
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(module, "predict", broken)
    with pytest.raises(ZeroDivisionError):
        page.memory.value = "8 GiB"
    assert "a defect" in page.complaints["memory"]


def test_one_reading_leaves_several_guests_and_a_workload_leaves_one(page):
    page.bandwidth.value = "2.5 Gbit/s"
    assert len(page.results) == 6
    assert len({result.verdict for result in page.results.values()}) > 1
    assert "it depends on which" in page.headline.value
    assert page.results[page.worst].verdict == "aborted"
    page.writes.value = "Idle"
    assert list(page.results) == ["idle"]
    assert "reading" not in page.headline.value


def test_the_code_gives_the_same_predictions(page):
    for writes in ("200 MiB/s in 1 s", "memcached"):
        page.writes.value = writes
        names = {}
        exec(page.code(), names)
        assert names["results"] == page.results


def test_the_downloaded_scenario_predicts_the_same(page, tmp_path):
    page.downtime_limit.value = "200 ms"
    name, content = page.scenario_file.answer()
    (tmp_path / name).write_bytes(content)
    told, shown = predict(load(tmp_path / name)), page.results[page.worst]
    assert told.total_time_s == pytest.approx(shown.total_time_s, rel=1e-6)
    assert told.verdict == shown.verdict


def test_settings_are_those_of_the_product_and_a_reason_where_there_are_none(page, monkeypatch):
    page.product.value = "nova"
    name, content = page.settings.answer()
    assert name == "migkit-nova-settings.txt"
    assert b"[libvirt]" in content

    def none(*_arguments):
        raise InfeasibleError("nova: nothing does")

    monkeypatch.setattr(module, "advise", none)
    assert page.settings.answer() is None
    assert page.settings.complaint == "nova: nothing does"


def test_a_download_is_sent_when_the_page_asks(monkeypatch):
    sent = []
    button = Download("get", lambda: ("a.txt", b"content"))
    monkeypatch.setattr(button, "send", lambda content, buffers=None: sent.append((content, buffers)))
    button._handle_custom_msg({"ask": True}, [])
    assert sent == [({"name": "a.txt"}, [b"content"])]


def test_the_least_link_holds_and_follows_the_limits():
    page = LinkPage()
    first = page.answer.value
    assert page.answer.result.total_time_s <= 120.0
    page.total_time.value = "40 s"
    assert page.answer.value > first
    page.total_time.value = "any"
    assert page.answer.value < first
    page.hosts.value = "0.95"
    assert page.answer.targets.probability == 0.95
    names = {}
    exec(page.code(), names)
    assert names["answer"].value == page.answer.value


def test_the_bandwidths_around_the_answer_are_drawn_and_follow():
    page = LinkPage()
    before = drawn(page)
    page.total_time.value = "40 s"
    assert drawn(page) != before
    mark = next(trace for trace in page.figure.data if trace.name == "the answer")
    assert set(mark.x) == {page.answer.value}
    kept = drawn(page)
    page.downtime.value = "1 us"
    assert drawn(page) == kept
    assert report("Which link?", page).count('<div class="figure"') == 1


def test_a_limit_that_no_link_keeps_is_told_beside_its_control():
    page = LinkPage()
    before = page.headline.value
    page.downtime.value = "1 us"
    assert "downtime" in page.complaints["downtime"]
    assert page.headline.value == before


def test_the_report_needs_no_network_and_says_what_the_page_says(page):
    made = report("Will it?", page)
    assert "<td>memory</td><td>16 GiB</td>" in made
    assert page.headline.value in made
    assert made.count('<div class="figure"') == 1
    assert not re.search(r'<(script|link|img)[^>]+="https?://', made)


def test_a_page_is_made_when_its_tab_is_opened():
    dashboard = Dashboard()
    assert list(dashboard.pages) == ["Will this VM converge?"]
    dashboard.tabs.selected_index = 1
    assert list(dashboard.pages) == list(QUESTIONS)[:2]
    assert dashboard.pages["Which link?"].widget in dashboard.tabs.children[1].children


def test_the_report_shows_figures_that_stand_within_boxes(page):
    page.widget.children = [page.widget.children[0], ipw.VBox([ipw.HBox([page.figure]), page.table])]
    made = report("Will it?", page)
    assert made.count('<div class="figure"') == 1
    assert page.table.value in made


def test_the_plan_of_a_drain_is_downloaded_with_its_moves():
    dashboard = Dashboard()
    page = dashboard.open(list(QUESTIONS).index("Is my grace period enough?"))
    _, plan = dashboard.tabs.children[2].children[-1].children
    name, content = plan.answer()
    assert name == "migkit-plan.csv"
    assert content.decode().count("\n") == len(page.plan.moves) + 1
    page.plan = None
    assert plan.answer() is None
    assert "there is none" in plan.complaint


def test_the_report_of_a_log_says_what_the_log_says():
    page = Dashboard().open(list(QUESTIONS).index("Read my log"))
    page.upload.take("qm.log", (TOP / "tests/importers/data/field/proxmox-task-9.log").read_bytes())
    assert page.wait(60.0)
    made = report("Read my log", page)
    assert page.headline.value in made
    assert "<td>log</td><td>qm.log</td>" in made
