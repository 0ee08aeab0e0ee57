"""Write slides to build/slides/, one file a notebook, by nbconvert; they need no network.

    python tools/make_slides.py                        # fetches reveal.js by npm, once
    python tools/make_slides.py notebooks/02*.ipynb

Headings open slides, figures follow below them, code and prose become speaker's notes (press S). A cell tagged
`slide`, `subslide`, `fragment`, `notes` or `skip` is just that.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
REVEAL = "reveal.js@4.6.1"
REVEAL_BYTES = 5_000_000
KINDS = ("slide", "subslide", "fragment", "notes", "skip")
WIDGET_MIME = "application/vnd.jupyter.widget-view+json"
LEFT_OUT = ("Exercises", "Summary")  # sections that are not shown
# scripts that nbconvert would load from elsewhere, for formulas, diagrams and old widgets: none is used
HOSTS = r"(?:cdnjs\.cloudflare\.com|unpkg\.com|cdn\.jsdelivr\.net)"
FROM_ELSEWHERE = re.compile(
    rf"<link[^>]*{HOSTS}[^>]*>|<script\b[^>]*{HOSTS}[^>]*>\s*</script>"
    rf"|<script\b[^>]*>(?:(?!</script>).)*{HOSTS}(?:(?!</script>).)*</script>",
    re.DOTALL,
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all of notebooks/")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "slides", help="default build/slides/")
    options = parser.parse_args()
    from sam2nb.weights.npm import PackageError

    try:
        add_reveal(options.out)
    except PackageError as error:
        print(f"reveal.js cannot be had: {error}")
        return 1
    for path in options.notebooks or sorted((ROOT / "notebooks").glob("0[1-9]_*.ipynb")):
        target = options.out / f"{path.stem}.html"
        target.write_text(slides_of(nbformat.read(path, as_version=4)), encoding="utf-8")
        print(target)
    return 0


def slides_of(notebook: nbformat.NotebookNode) -> str:
    """A notebook as slides, which find reveal.js in the folder beside them."""
    from nbconvert import SlidesExporter
    from nbconvert.utils.base import NbConvertBase
    from traitlets.config import Config

    prepare(notebook)
    kinds = [
        kind for kind in NbConvertBase().display_data_priority if kind != WIDGET_MIME
    ]  # their stored images instead
    exporter = SlidesExporter(
        config=Config(NbConvertBase={"display_data_priority": kinds}),
        reveal_url_prefix="reveal.js",
        exclude_input=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
    )
    page, _ = exporter.from_notebook_node(notebook)
    return FROM_ELSEWHERE.sub("", page)


def prepare(notebook: nbformat.NotebookNode) -> None:
    """Say of each cell which kind of slide it is, and shorten text to its heading and first sentence."""
    hidden = False
    for number, cell in enumerate(notebook.cells):
        heading = re.match(r"(#+) (?:\d+\. )?(.*)", cell.source) if cell.cell_type == "markdown" else None
        if heading and len(heading[1]) <= 2:
            hidden = heading[2] in LEFT_OUT
        tagged = [tag for tag in cell.metadata.get("tags", []) if tag in KINDS]
        kind = tagged[0] if tagged else "skip" if hidden else kind_of(cell, heading)
        if kind in ("slide", "subslide") and heading and not tagged:
            cell.source = cell.source if number == 0 else short(cell.source)
        cell.metadata["slideshow"] = {"slide_type": kind}


def kind_of(cell: nbformat.NotebookNode, heading: re.Match | None) -> str:
    """The kind of an untagged cell."""
    if heading:
        return "slide" if len(heading[1]) <= 2 else "subslide"
    if cell.cell_type == "markdown":
        return "notes"
    shows = any("image/" in kind for output in cell.outputs for kind in output.get("data", {}))
    return "subslide" if shows else "skip"


def short(text: str) -> str:
    """A heading with the first sentence below it."""
    head, _, rest = text.partition("\n")
    sentence = re.match(r"(.+?[.?!])(?:\s|$)", rest.strip().replace("\n", " "))
    return f"{head}\n\n{sentence[1]}" if sentence else head


def add_reveal(folder: Path) -> None:
    """Put reveal.js into a folder, fetched once by npm."""
    from sam2nb.weights.npm import npm_pack

    target = folder / "reveal.js"
    if target.is_dir():
        return
    with tempfile.TemporaryDirectory() as name:
        archive = npm_pack(REVEAL, Path(name), REVEAL_BYTES)
        with tarfile.open(archive) as tar:
            wanted = [m for m in tar.getmembers() if re.match(r"package/(dist|plugin|LICENSE)", m.name) and m.isfile()]
            tar.extractall(name, wanted, filter="data")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(Path(name) / "package", target)


if __name__ == "__main__":
    sys.exit(main())
