"""Reports of planners' answers: whole, honest about names, and alone: nothing is loaded from anywhere."""

import json
import math
import re
from html.parser import HTMLParser

import pytest

import migkit
from migkit import DirtyClass, Guest, Inventory, Link, Policy, Scenario, Strategy
from migkit.errors import UsageError
from migkit.planning.slots import limits_of

EVIL = "<img src=x onerror=alert(1)>'\"&"
CASE = Scenario(
    guest=Guest(memory_bytes=2**32, dirty=(DirtyClass(region_bytes=2**29, writes_per_s=60_000),)),
    link=Link(bandwidth_bytes_per_s=1.25e8),
    policy=Policy(name="libvirt"),
)


class Outline(HTMLParser):
    """Collects titles, figures, attributes and whether tags match."""

    def __init__(self, text):
        super().__init__()
        self.open, self.titles, self.figures, self.attributes = [], [], [], set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.attributes |= {name for name, _ in attrs}
        if tag != "meta":
            self.open.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        tag, attributes = self.open[-1] if self.open else ("", {})
        if tag == "h2":
            self.titles.append(data)
        if attributes.get("type") == "application/json":
            self.figures.append(json.loads(data))


@pytest.fixture(scope="module")
def fleet():
    names = [EVIL, "web", "db", "app"]
    vms = [
        {"vm": name, "host": "a", "memory": "4 GiB", "dirty_rate": "5 MB/s", "dirty_window": "1 s"} for name in names
    ]
    return Inventory.read(vms, [{"host": name, "memory": "64 GiB", "link": "10 Gbit/s"} for name in "abc"])


@pytest.fixture(scope="module")
def pages(fleet):
    base = Scenario(guest=Guest(memory_bytes=4096), policy=Policy(name="nova"))
    drained = migkit.drain(fleet, ["a"], base=base, deadline_s=600.0, rounds=0, limits=limits_of("kubevirt"))
    rehearsed = migkit.rehearse(fleet, ["a"], manager="openshift", deadline_s=600.0, draws=17)
    return {
        "size": migkit.report(migkit.size(CASE)),
        "tradeoffs": migkit.report(migkit.tradeoffs(CASE)),
        "drain": migkit.report(drained),
        "rehearse": migkit.report(rehearsed),
        "upgrade": migkit.report(
            migkit.upgrade(fleet, ["a"], before="openshift", after="openshift-2026", deadline_s=600.0, draws=17)
        ),
    }


NAMES = ("size", "tradeoffs", "drain", "rehearse", "upgrade")


@pytest.mark.parametrize("name", NAMES)
def test_every_part_is_there(pages, name):
    outline = Outline(pages[name])
    wanted = ["Answer", "Pictures", "Risks", "Settings", "Inputs", "Assumptions"]
    assert outline.titles == [title for title in wanted if name != "upgrade" or title != "Settings"]
    assert outline.open == []
    assert all(figure["data"] for figure in outline.figures)
    assert len(outline.figures) == {"size": 1, "tradeoffs": 1, "drain": 4, "rehearse": 3, "upgrade": 4}[name]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_loaded_from_anywhere(pages, name):
    outline = Outline(pages[name])
    assert outline.attributes & {"src", "href", "onerror", "action"} == set()
    style = re.search(r"<style>(.*?)</style>", pages[name], re.DOTALL)[1]
    assert "url(" not in style
    assert "@import" not in style


@pytest.mark.parametrize("name", ["drain", "rehearse", "upgrade"])
def test_a_name_is_text_whatever_it_looks_like(pages, name):
    assert "<img" not in pages[name].partition("<script>")[0]
    assert "&lt;img src=x" in pages[name] or "\\u003cimg src=x" in pages[name]


def test_commands_survive_a_shell(pages):
    line = next(one for one in pages["drain"].splitlines() if "server migrate" in one and "img" in one)
    assert "&#x27;&lt;img src=x onerror=alert(1)&gt;&#x27;" in line, "quoted for the shell, then for the page"


def test_the_answer_and_what_it_rests_on(pages):
    found = migkit.size(CASE)
    assert found.text[1:50] in pages["size"]
    assert "guest.dirty 1" in pages["size"]
    assert "virsh migrate" in pages["size"]
    assert "The migration converges with a probability of" in pages["size"]


def test_a_drain_that_is_late_says_why(fleet):
    plan = migkit.drain(fleet, ["a"], deadline_s=1.0, rounds=0)
    text = migkit.report(plan)
    assert "no plan can keep it" in text
    assert "The deadline is kept" not in text


def test_a_manager_without_commands_says_so(fleet):
    base = Scenario(guest=Guest(memory_bytes=4096), policy=Policy(name="kubevirt"))
    assert "no manager with a command" in migkit.report(migkit.drain(fleet, ["a"], base=base, rounds=0))


def test_what_never_ends_is_drawn_and_told():
    busy = {"vm": "busy", "host": "a", "memory": "8 GiB", "dirty_rate": "2 GB/s", "dirty_window": "1 s"}
    hosts = [{"host": name, "memory": "64 GiB", "link": "1 Gbit/s"} for name in "ab"]
    found = migkit.rehearse(Inventory.read([busy], hosts), ["a"], manager="kubevirt", draws=17)
    assert math.isinf(found.empty_by_s(0.5))
    text = migkit.report(found)
    assert "empty never with 50 %" not in text
    assert "All is never empty with 50 %" in text


def test_a_post_copy_says_what_it_risks():
    case = Scenario(guest=CASE.guest, link=CASE.link, strategy=Strategy(name="postcopy"))
    assert "a failure of either host loses the guest" in migkit.report(migkit.size(case, find="parallel"))


@pytest.mark.parametrize("other", [None, 1.0, CASE])
def test_anything_else_has_no_report(other):
    with pytest.raises(UsageError, match=r"^report: a \w+ has no report; give one of Size, Tradeoffs"):
        migkit.report(other)
