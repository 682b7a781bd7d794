"""Notebooks and course as pages that need neither a kernel nor a network: ``./run docs --gallery``."""

from __future__ import annotations

import base64
import html
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import plotly
from jinja2 import DictLoader
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter

from migkit.cli.lab import shipped_notebooks
from migkit.viz import CONFIG
from migkit.viz.style import INK

PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
WIDGETS = "application/vnd.jupyter.widget-state+json"
VIEW = "application/vnd.jupyter.widget-view+json"
PAPER_INK = "#222222"
FIGURE = "application/vnd.plotly.v1+json"
# Nothing of what nbconvert's own page asks other hosts for is needed here.
TEMPLATE = """\
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}<script src="{{ resources.up }}plotly.min.js"></script>{%- endblock -%}
{%- block jupyter_widgets -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block extra_css -%}
<style>
body { max-width: 1100px; margin: 0 auto }
.migkit-help { color: #666; font-size: 85% }
.migkit-note { font-weight: bold }
</style>
{%- endblock -%}
"""
# What the widget's script asks of a kernel: values, the frames among them, and nobody else who changes them.
FILM = """\
<div id="film-{number}"></div><style>{css}</style>
<script type="module">
const {{ values, frames }} = {given};
for (const [path, data] of frames) {{
  const name = path.pop();
  path.reduce((value, key) => value[key], values)[name] = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
}}
const {{ default: player }} = await import("data:text/javascript;base64,{script}");
const model = {{ get: (name) => values[name], set: () => 0, save_changes: () => 0, on: () => 0, off: () => 0 }};
player.render({{ model, el: document.getElementById("film-{number}") }});
</script>"""
INDEX = """\
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>migkit: notebooks</title>
<style>body {{ font: 16px/1.5 sans-serif; max-width: 800px; margin: 2em auto; padding: 0 1em }}</style></head>
<body><h1>Notebooks</h1><p>As they come out when they are run from top to bottom. Controls move in JupyterLab:
<code>migkit lab</code>.</p>
<ul>
{items}
</ul></body></html>
"""


def main(folder: Path) -> int:
    """Write one page a notebook and an index; return how many notebooks could not be run."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(PLOTLY, folder)
    items, failed = [], 0
    for path in shipped_notebooks():
        inside = Path("course") / path.name if path.parent.name == "course" else Path(path.name)
        page = folder / inside.with_suffix(".html")
        page.parent.mkdir(exist_ok=True)
        print(f"gallery: {inside}", file=sys.stderr)
        try:
            notebook = executed(path)
        except CellExecutionError as error:
            print(f"gallery: {inside} is left out: {error.ename}: {error.evalue}", file=sys.stderr)
            failed += 1
            continue
        page.write_text(drawn(notebook, up="../" * (len(inside.parts) - 1)), encoding="utf-8")
        items.append(
            f'<li><a href="{inside.with_suffix(".html").as_posix()}">{html.escape(title(notebook))}</a></li>'
        )
    (folder / "index.html").write_text(INDEX.format(items="\n".join(items)), encoding="utf-8")
    return failed


def executed(path: Path) -> Any:
    """Return a notebook with the outputs of a clean kernel, run beside a copy of the others."""
    notebook: Any = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory(prefix="migkit-gallery-") as folder:
        nbclient.NotebookClient(
            notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": folder}}
        ).execute()
    return notebook


def drawn(notebook: Any, up: str) -> str:
    """Return a notebook as a page; ``up`` leads from it to the folder of the gallery."""
    models = notebook.metadata.pop("widgets", {}).get(WIDGETS, {}).get("state", {})
    figures = iter(range(10_000))
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = cell.source.replace(".ipynb)", ".html)")
            continue
        cell.outputs = [output for output in cell.get("outputs", []) if not is_script(output)]
        for output in cell.outputs:
            data = output.get("data", {})
            if VIEW in data:
                output.data = {"text/html": "\n".join(widget(models, data[VIEW]["model_id"], figures))}
            elif FIGURE in data:
                output.data = {"text/html": figure(data[FIGURE], next(figures))}
    loaders = [DictLoader({"gallery.html.j2": TEMPLATE})]
    exporter = HTMLExporter(extra_loaders=loaders, template_file="gallery.html.j2")
    page: str = exporter.from_notebook_node(notebook, {"up": up, "metadata": {"name": title(notebook)}})[0]
    return page


def is_script(output: Any) -> bool:
    """Return whether an output is no picture but a script or a style for JupyterLab's page."""
    text = "".join(output.get("data", {}).get("text/html", "")).strip()
    return text.startswith("<script") or (text.startswith("<style") and text.endswith("</style>"))


def widget(models: dict[str, Any], identity: str, figures: Iterator[int]) -> Iterator[str]:
    """Yield what a widget shows: figures and text as they are, of controls what they say."""
    state = models.get(identity, {}).get("state", {})
    name = models.get(identity, {}).get("model_name", "")
    if "_figure" in state:
        yield figure(state["_figure"], next(figures))
    elif "films" in state:
        yield film(models[identity], next(figures))
    elif name == "HTMLModel":
        yield f"<div>{state.get('value', '')}</div>"
    elif state.get("description"):
        yield f"<div>{html.escape(state['description'])}: <b>{html.escape(said(state))}</b></div>"
    for child in state.get("children", ()):
        yield from widget(models, child.removeprefix("IPY_MODEL_"), figures)


def said(state: dict[str, Any]) -> str:
    """Return the value of a control in words."""
    labels, index = state.get("_options_labels"), state.get("index")
    if labels and index is not None:
        return str(labels[index])
    value = state.get("value", "")
    return (
        {True: "yes", False: "no", None: ""}.get(value, str(value)) if isinstance(value, bool | None) else str(value)
    )


def figure(given: dict[str, Any], number: int) -> str:
    """Return a figure as HTML that the script beside the page draws; the page is white, so the ink is dark."""
    values = (json.dumps(given.get(part, default)) for part, default in (("data", []), ("layout", {})))
    parts = ", ".join([f'"figure-{number}"', *values, json.dumps(dict(CONFIG))]).replace("</", "<\\/")
    parts = parts.replace(INK, PAPER_INK)
    return f'<div id="figure-{number}"></div><script>Plotly.newPlot({parts})</script>'


def film(model: dict[str, Any], number: int) -> str:
    """Return an animation of memory as HTML, with the script of its widget and with its frames."""
    state = model["state"]
    script = base64.b64encode(state["_esm"].encode()).decode()
    given = {
        "values": {name: value for name, value in state.items() if not name.startswith("_")},
        "frames": [[buffer["path"], buffer["data"]] for buffer in model.get("buffers", [])],
    }
    return FILM.format(number=number, css=state["_css"], script=script, given=json.dumps(given).replace("</", "<\\/"))


def title(notebook: Any) -> str:
    """Return the heading of a notebook."""
    return str(notebook.cells[0].source.partition("\n")[0].lstrip("# "))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])) and 1)
