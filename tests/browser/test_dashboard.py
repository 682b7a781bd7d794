"""The dashboard as a planner sees it: Voila in Chromium."""

import pytest
from playwright.sync_api import expect

from tests.served import dashboard

pytestmark = pytest.mark.browser

START_MS = 180_000
LINE = ".js-plotly-plot path.js-line"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with dashboard(tmp_path_factory.mktemp("dashboard")) as running:
        yield running


@pytest.fixture
def complaints(page, served):
    """What the page should never do: raise errors, or ask other hosts for anything."""
    found = []
    ours = (served.address, served.address.replace("http", "ws", 1), "data:", "blob:", "about:")
    page.on("pageerror", lambda error: found.append(f"page error: {error}"))
    page.on("request", lambda request: request.url.startswith(ours) or found.append(f"foreign: {request.url}"))
    return found


@pytest.fixture
def opened(page, served, complaints):
    page.goto(served.url, timeout=START_MS)
    expect(page.locator(LINE).first).to_be_attached(timeout=START_MS)
    return page


def write(page, name, text):
    control = page.locator(".migkit-field:visible", has_text=name).first.locator("input")
    control.fill(text)
    control.press("Enter")


def test_an_answer_follows_what_is_written_and_a_wrong_value_is_told_beside_it(opened, complaints):
    path = opened.locator(LINE).first.get_attribute("d")
    write(opened, "memory", "64 GiB")
    expect(opened.locator(LINE).first).not_to_have_attribute("d", path, timeout=START_MS)
    path = opened.locator(LINE).first.get_attribute("d")
    write(opened, "memory", "64 apples")
    memory = opened.locator(".migkit-field:visible", has_text="memory").first
    expect(memory.locator(".migkit-complaint")).to_contain_text("memory", timeout=START_MS)
    expect(opened.locator(".migkit-complaint")).to_have_count(1)
    assert opened.locator(LINE).first.get_attribute("d") == path
    write(opened, "memory", "32 GiB")
    expect(opened.locator(".migkit-complaint")).to_have_count(0, timeout=START_MS)
    assert complaints == []


def test_settings_and_report_are_downloaded(opened, complaints, tmp_path):
    for label, name, said in (
        ("Download settings", "migkit-kubevirt-settings.txt", "kind: MigrationPolicy"),
        ("Download the scenario", "migkit-scenario.toml", "[guest]"),
        ("Download the report", "migkit-report.html", "<!doctype html>"),
    ):
        with opened.expect_download(timeout=START_MS) as download:
            opened.get_by_role("button", name=label).first.click()
        assert download.value.suggested_filename == name
        download.value.save_as(tmp_path / name)
        assert said in (tmp_path / name).read_text()
    opened.goto((tmp_path / "migkit-report.html").as_uri())
    expect(opened.locator(LINE).first).to_be_attached(timeout=START_MS)
    assert [one for one in complaints if "report" not in one] == []


def test_each_question_opens(opened, complaints):
    tabs = opened.locator(".lm-TabBar-tab")
    for number in range(tabs.count()):
        tabs.nth(number).click()
        shown = opened.locator(".widget-tab-contents .migkit-panel:visible")
        expect(shown).to_have_count(1, timeout=START_MS)
        expect(shown.locator(".migkit-complaint")).to_have_count(0)
    assert complaints == []


def test_an_inventory_is_uploaded_and_a_wrong_one_is_told_beside_its_control(opened, complaints, tmp_path):
    rows = [f"vm{n},a,{4 + n} GiB,idle" for n in range(4)]
    (tmp_path / "vms.csv").write_text("\n".join(["vm,host,memory,workload", *rows]))
    (tmp_path / "hosts.csv").write_text("host,memory,link\na,64 GiB,10 Gbit/s\nb,64 GiB,10 Gbit/s\n")
    (tmp_path / "wrong.csv").write_text("vm,host,memory\nvm1,a,much\n")
    opened.locator(".lm-TabBar-tab", has_text="grace period").click()
    panel = opened.locator(".migkit-panel:visible")
    expect(panel.locator(".js-plotly-plot").first).to_be_attached(timeout=START_MS)
    panel.locator(".migkit-field", has_text="fleet").first.locator("select").select_option(label="my tables below")
    files = panel.locator("input[type=file]")
    files.nth(0).set_input_files(tmp_path / "vms.csv")
    files.nth(1).set_input_files(tmp_path / "hosts.csv")
    write(opened, "empty", "a")
    expect(panel).to_contain_text("4 moves", timeout=START_MS)
    files.nth(0).set_input_files(tmp_path / "wrong.csv")
    expect(panel.locator(".migkit-complaint, [role=alert]", has_text="much").first).to_be_visible(timeout=START_MS)
    expect(panel).to_contain_text("4 moves")
    assert complaints == []
