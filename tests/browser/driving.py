"""What a person does with a notebook in JupyterLab, and what the page must never do."""

import json

from playwright.sync_api import expect

IDLE = ".jp-Notebook-ExecutionIndicator[data-status='idle']"
EXPLORER = ".jp-Cell-outputArea:has(.noUi-handle)"
ERRORS = "[data-mime-type='application/vnd.jupyter.error'], [data-mime-type='application/vnd.jupyter.stderr']"
START_MS = 90_000
# What a kernel says of a widget before the page listens to that is lost: "model not found".
LISTENS = """() => [...jupyterapp.shell.widgets("main")].some(
    (panel) => "jupyter.widget" in (panel.context?.sessionContext?.session?.kernel?._targetRegistry ?? {}))"""
SAVED = '() => ![...jupyterapp.shell.widgets("main")].some((panel) => panel.context?.model?.dirty)'


def complaints_of(page, lab):
    """Return a list that fills with what the page should never do: errors, and requests to other hosts."""
    found = []
    page.on("pageerror", lambda error: found.append(f"page error: {error}"))
    page.on("request", lambda request: is_foreign(request.url, lab) and found.append(f"foreign: {request.url}"))
    return found


def is_foreign(url, lab):
    return not url.startswith((lab.address, lab.address.replace("http", "ws", 1), "data:", "blob:", "about:"))


def write_notebook(lab, name, *cells):
    """Write a notebook of code cells where the lab finds it, and return its name."""
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    code = [
        {
            "cell_type": "code",
            "id": f"cell-{at}",
            "metadata": {},
            "source": cell,
            "outputs": [],
            "execution_count": None,
        }
        for at, cell in enumerate(cells)
    ]
    notebook = {"cells": code, "metadata": {"kernelspec": spec}, "nbformat": 4, "nbformat_minor": 5}
    (lab.folder / "notebooks" / name).write_text(json.dumps(notebook))
    return name


def open_notebook(page, lab, notebook):
    page.goto(lab.url(notebook))
    expect(page.locator(".jp-Notebook")).to_be_visible(timeout=START_MS)
    expect(page.locator(".jp-Toolbar-kernelName, .jp-KernelName").first).to_contain_text("Python 3", timeout=START_MS)
    expect(page.locator(IDLE)).to_be_attached(timeout=START_MS)
    page.wait_for_function(LISTENS, timeout=START_MS)


def start_all(page):
    page.locator(".lm-MenuBar-itemLabel", has_text="Run").first.click()
    page.locator(".lm-Menu-itemLabel", has_text="Run All Cells").first.click()
    expect(page.locator(f"{EXPLORER} .js-line").first).to_be_attached(timeout=START_MS)


def run_all(page):
    start_all(page)
    expect(page.locator(IDLE)).to_be_attached(timeout=START_MS)


def save(page):
    page.keyboard.press("Control+s")
    page.wait_for_function(SAVED, timeout=START_MS)


def first_path(page, explorer=EXPLORER):
    """Return the first line that plotly has drawn in an explorer."""
    return page.locator(f"{explorer} .js-line").first


def drawn_points(page, explorer=EXPLORER):
    """Return the points of the first line as plotly has drawn them, in the units of its axes."""
    plot = page.locator(f"{explorer} .js-plotly-plot").first
    page.wait_for_function("plot => plot.calcdata", arg=plot.element_handle(timeout=START_MS), timeout=START_MS)
    return plot.evaluate("plot => plot.calcdata[0].map(point => [point.x, point.y])")
