"""A report in a real browser: figures are drawn, nothing is fetched, and ink follows the theme and the printer."""

import pytest

import migkit
from migkit import Guest, Scenario

pytestmark = pytest.mark.browser
TITLE = "document.querySelector('.figure .xtitle')"
INK = f"getComputedStyle({TITLE}).fill"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("reports") / "size.html"
    path.write_text(migkit.report(migkit.size(Scenario(guest=Guest(memory_bytes=2**30)), find="bandwidth")))
    return path


@pytest.mark.parametrize(("theme", "ink"), [("light", "rgb(34, 34, 34)"), ("dark", "rgb(221, 221, 221)")])
def test_figures_wear_the_theme_and_print_dark(page, report, theme, ink):
    wrong, asked = [], []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda one: asked.append(one.url))
    page.emulate_media(color_scheme=theme)
    page.goto(report.as_uri())
    page.wait_for_function(TITLE)
    assert page.evaluate(INK) == ink
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.wait_for_function(f"{INK} === 'rgb(34, 34, 34)'")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.wait_for_function(f"{INK} === '{ink}'")
    assert wrong == []
    assert asked == [report.as_uri()]


def test_a_page_that_is_open_follows_a_change_of_theme(page, report):
    page.emulate_media(color_scheme="light")
    page.goto(report.as_uri())
    page.wait_for_function(TITLE)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"{INK} === 'rgb(221, 221, 221)'")


def test_nothing_is_wider_than_a_narrow_page(page, report):
    page.set_viewport_size({"width": 480, "height": 900})
    page.goto(report.as_uri())
    page.wait_for_function(TITLE)
    assert page.evaluate("document.documentElement.scrollWidth") <= 480
