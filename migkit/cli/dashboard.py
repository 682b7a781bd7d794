"""``migkit dashboard``: the questions of planners as a page, served by Voila."""

from __future__ import annotations

import importlib.util
import json
import tempfile
from pathlib import Path
from typing import Any, Final

import click

from migkit.cli._command import Command
from migkit.cli._server import serve
from migkit.errors import CapabilityError
from migkit.models import warm

__all__ = ["command"]

_CELL: Final = "from migkit.widgets.dashboard import Dashboard\n\nDashboard()"
_NOTEBOOK: Final[dict[str, Any]] = {
    "cells": [
        {
            "cell_type": "code",
            "execution_count": None,
            "id": "dashboard",
            "metadata": {},
            "outputs": [],
            "source": _CELL,
        }
    ],
    "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}
# Extensions of JupyterLab that the page needs; what else is installed stays out.
_EXTENSIONS: Final = ("@jupyter-widgets/jupyterlab-manager", "@voila-dashboards/widgets-manager8", "anywidget")
# Voila's own template asks another host for the font of its icons; `super` twice is what stands below that.
_TEMPLATE: Final = """\
{%- extends 'lab/index.html.j2' -%}
{% import "spinner.macro.html.j2" as spinner %}
{%- block notebook_css -%}
{{ resources.include_js("static/voila-style.js") }}
{{ spinner.css() }}
<style>
  .jp-mod-noOutputs.jp-mod-noInput { display: none; }
  .jupyter-widgets.widget-tab > .lm-TabBar .lm-TabBar-tab { flex: 0 1 auto !important; }
  #rendered_cells { max-width: 1400px; margin: 0 auto; }
  .migkit-field > .jupyter-widgets:first-child { max-width: calc(100% - 4px); }
</style>
{{ super.super() }}
{%- endblock notebook_css -%}
"""


@click.command("dashboard", cls=Command, context_settings={"ignore_unknown_options": True})
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the page [8866, or the next that is free].")
@click.option("--no-browser", is_flag=True, help="Open no browser; the address is printed.")
@click.option("--token", help="Word that the address must carry [a new one].")
@click.option("--theme", type=click.Choice(["light", "dark"]), default="light", help="Colours of the page [light].")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def command(port: int | None, no_browser: bool, token: str | None, theme: str, options: tuple[str, ...]) -> None:
    """Open the questions of planners as a page in the browser: will a VM converge, which link, is there time.

    The page is served on this machine alone and asks no other host for anything; its address carries a token. Ctrl-C
    ends it. Further OPTIONS go to Voila.
    """
    if importlib.util.find_spec("voila") is None:
        raise CapabilityError("dashboard: Voila is not installed; install it: pip install 'migkit[dashboard]'")
    with tempfile.TemporaryDirectory(prefix="migkit-dashboard-") as folder, warm.compiling():
        notebook = _lay_out(Path(folder))
        own = [str(notebook), "--template=migkit", f"--theme={theme}", f"--Voila.connection_dir_root={folder}"]
        own += [f"--VoilaConfiguration.extension_allowlist={name}" for name in _EXTENSIONS]
        own += [f"--token={token}"] if token is not None else ["--token"]
        own += [f"--port={port}"] if port is not None else []
        own += ["--no-browser"] if no_browser else []
        paths = {"JUPYTER_PATH": folder, "JUPYTER_CONFIG_PATH": folder}
        serve("voila", "Voila", [*own, *options], str(notebook.parent), **paths)


def _lay_out(folder: Path) -> Path:
    """Write what Voila shows, and how; return the notebook."""
    template = folder / "voila" / "templates" / "migkit"
    template.mkdir(parents=True)
    (template / "index.html.j2").write_text(_TEMPLATE, encoding="utf-8")
    (template / "conf.json").write_text(json.dumps({"base_template": "lab"}), encoding="utf-8")
    page = folder / "page"
    page.mkdir()
    notebook = page / "migkit.ipynb"
    notebook.write_text(json.dumps(_NOTEBOOK), encoding="utf-8")
    return notebook
