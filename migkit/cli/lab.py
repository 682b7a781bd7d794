"""``migkit lab``: the notebooks in JupyterLab."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

import click

from migkit.cli._command import Command
from migkit.cli._server import serve
from migkit.errors import RunError, UsageError
from migkit.models import warm

__all__ = ["command", "copy_notebooks", "find", "shipped_notebooks"]

_PACKAGE: Final = Path(__file__).resolve().parents[1]
_HOMES: Final = (_PACKAGE / "_share" / "notebooks", _PACKAGE.parent / "notebooks")
_PAGE_CONFIG: Final = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
_FIRST: Final = "00-start"


@click.command("lab", cls=Command, context_settings={"ignore_unknown_options": True})
@click.argument("notebook", required=False, default=_FIRST)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def command(notebook: str, options: tuple[str, ...]) -> None:
    """Open NOTEBOOK in JupyterLab, 00-start unless another is named.

    The notebooks that come with migkit, those of the course too, are copied to the folder notebooks/ below this one,
    unless they are there. Kernels are compiled meanwhile. What follows NOTEBOOK goes to JupyterLab, for example
    --no-browser.
    """
    if notebook.startswith("-"):
        notebook, options = _FIRST, (notebook, *options)
    here = Path.cwd()
    for path in copy_notebooks(here / "notebooks"):
        click.echo(f"copied {path.relative_to(here)}", err=True)
    opened = find(notebook, here).relative_to(here).as_posix()
    with tempfile.TemporaryDirectory(prefix="migkit-lab-") as config, warm.compiling():
        _write_page_config(Path(config))
        own = [f"--ServerApp.root_dir={here}", f"--LabApp.default_url=/lab/tree/{opened}"]
        options = ("--allow-root", *options) if os.geteuid() == 0 else options
        serve("jupyterlab", "JupyterLab", [*own, *options], config, JUPYTER_CONFIG_PATH=config)


def shipped_notebooks() -> list[Path]:
    """Return the notebooks that come with migkit, in a source tree and in an installed wheel alike."""
    home = next((home for home in _HOMES if home.is_dir()), None)
    if home is None:
        raise RunError("notebooks: not shipped with this installation; install migkit anew or use a source tree")
    return [*sorted(home.glob("*.ipynb")), *sorted(home.glob("course/*.ipynb"))]


def copy_notebooks(folder: Path) -> list[Path]:
    """Copy the shipped notebooks that ``folder`` lacks and return the copies; files that exist stay as they are."""
    copies = [
        (path, folder / ("course" if path.parent.name == "course" else "") / path.name)
        for path in shipped_notebooks()
    ]
    missing = [(path, copy) for path, copy in copies if not copy.exists()]
    try:
        (folder / "course").mkdir(parents=True, exist_ok=True)
        return [Path(shutil.copyfile(path, copy)) for path, copy in missing]
    except OSError as error:
        raise UsageError(
            f"{folder}: cannot hold the notebooks ({error.strerror}); run this in a folder that you may write to"
        ) from error


def find(name: str, folder: Path) -> Path:
    """Return the notebook that ``name`` means: a path below ``folder``, or the start of a name in its notebooks/.

    Those of the course count as well.

    Raises
    ------
    UsageError
        There is none, or several begin so.
    """
    path = (folder / name).resolve()
    if path.is_file() and path.is_relative_to(folder):
        return path
    known = [path for place in ("", "course") for path in sorted((folder / "notebooks" / place).glob("*.ipynb"))]
    matches = [path for path in known if path.name.startswith(name)]
    if len(matches) != 1:
        names = ", ".join(path.stem for path in matches or known)
        raise UsageError(f"notebook {name!r}: {'several begin so' if matches else 'not found'}; use one of {names}")
    return matches[0]


def _write_page_config(folder: Path) -> None:
    (folder / "labconfig").mkdir()
    (folder / "labconfig" / "page_config.json").write_text(json.dumps(_PAGE_CONFIG), encoding="utf-8")
