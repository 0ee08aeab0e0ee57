"""The site: `make site` builds it with Sphinx from the project's own texts, where they lie; nothing is executed.

The pages load nothing from other hosts, so they can be read from a disk, offline.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

import docstrings  # noqa: E402
import sources  # noqa: E402

project = "sam2nb"
copyright = "sam2nb contributors, Apache-2.0"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx_copybutton"]

root_doc = "README"
include_patterns = ["*.md", "*/README.md", "sam2nb/model/README.md", "notebooks/**.ipynb", "docs/**.md"]
exclude_patterns = ["**/.*", ".*", "build", "data/raw", "data/train", "**/__pycache__", "**/node_modules"]

nb_execution_mode = "off"  # the stored outputs are shown
nb_merge_streams = True
nb_ipywidgets_js = {}  # no scripts from another host; the notebooks store stills of their widgets
myst_heading_anchors = 4
myst_links_external_new_tab = True
smartquotes = False
suppress_warnings = ["myst.header"]  # a notebook may go from # to ###

autoclass_content = "both"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_use_unqualified_type_names = True
maximum_signature_line_length = 88

html_theme = "furo"
html_title = "sam2nb"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = html_show_sourcelink = html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#00588a", "color-brand-content": "#00588a"},
    "dark_css_variables": {"color-brand-primary": "#56b4e9", "color-brand-content": "#56b4e9"},
}
copybutton_prompt_text = "$ "


def front_page(app, error) -> None:
    """README is what a visitor of the folder sees."""
    if error is None and app.builder.name == "html":
        shutil.copy(Path(app.outdir) / "README.html", Path(app.outdir) / "index.html")


def setup(app) -> None:
    app.connect("source-read", sources.prepare)
    app.connect("autodoc-process-docstring", docstrings.as_restructured_text)
    app.connect("build-finished", front_page)
