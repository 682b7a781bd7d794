"""How the reference is built: ``./run docs`` writes HTML to ``.docs/_build/html``."""

from __future__ import annotations

import sys
from pathlib import Path

from sphinx.application import Sphinx

import migkit

sys.path.insert(0, str(Path(__file__).parent))

project = "migkit"
author = "The migkit developers"
release = version = migkit.__version__
extensions = ["sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinx.ext.viewcode", "numpydoc", "myst_parser"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build"]
root_doc = "index"
html_theme = "furo"
html_title = f"migkit {release}"
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_copy_source = False
html_show_copyright = False
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
suppress_warnings = ["myst.strikethrough"]


def setup(app: Sphinx) -> None:
    """Write the pages that are made from the code before any page is read."""
    import generate

    app.connect("builder-inited", lambda app: generate.pages(Path(app.srcdir)))
