"""Execute the notebooks; write copies, HTML pages and an index to build/. Needs no browser and no network.

    python tools/run_notebooks.py                       # all of notebooks/ and notebooks/solutions/ into build/
    python tools/run_notebooks.py notebooks/01*.ipynb --in-place     # refresh the committed outputs
    python tools/run_notebooks.py --html-only           # pages of the stored outputs, without running

Exit status 1 if a cell of any notebook fails; all pages are still written. Prompt widgets of executed notebooks stay
live in the pages where onnxruntime-web is on this machine (python -m sam2nb download onnxruntime-web).
"""

from __future__ import annotations

import argparse
import copy
import html
import os
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbformat import NotebookNode

    from sam2nb.widgets.live_page import LivePages

ROOT = Path(__file__).resolve().parent.parent
CELL_SECONDS = 1800
SIZE_LIMIT = 600 * 1024  # of a committed notebook
WIDGET_MIME = "application/vnd.jupyter.widget-view+json"
LIVE_MIME = "application/vnd.sam2nb.live+json"  # see sam2nb/widgets/live_page.py

# nbconvert leaves code that a cell prints as Markdown in the font of the text
CODE_STYLE = "<style>.jp-RenderedMarkdown pre {font-family: monospace; font-size: 13px; line-height: 1.35}</style>"
INDEX = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>sam2nb notebooks</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:3rem auto;padding:0 1rem}}
li{{margin:.4rem 0}} .failed{{color:#b00020}}</style></head>
<body><h1>sam2nb notebooks</h1><ol>{rows}</ol></body></html>
"""


def main() -> int:
    options = parse_arguments()
    notebooks = options.notebooks or default_notebooks()
    if not notebooks:
        print(f"no notebooks in {ROOT / 'notebooks'}")
        return 1
    prepare_environment()
    rows, failures, live = [], 0, live_pages()
    for path in notebooks:
        started = time.perf_counter()
        notebook = read(path)
        problem = None if options.html_only else execute(notebook, path.parent)
        failures += problem is not None
        target = options.out / relative(path)
        page = write_html(notebook, target.with_suffix(".html"), options.out, live)
        write(notebook, target)
        if options.in_place and problem is None:
            write(notebook, path)
            warn_if_large(path)
        rows.append(index_row(notebook, page.relative_to(options.out), problem))
        verdict = "ok" if problem is None else f"FAILED\n{problem}"
        print(f"{relative(path)}  {time.perf_counter() - started:.0f} s  {verdict}", flush=True)
    if live is not None and live.is_used:
        live.write_script(options.out / live.script)
    index = options.out / "index.html"
    index.write_text(INDEX.format(rows="\n".join(rows)), encoding="utf-8")
    print(f"pages: {index.relative_to(ROOT) if index.is_relative_to(ROOT) else index}")
    return 1 if failures else 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all of notebooks/ and notebooks/solutions/")
    parser.add_argument("--in-place", action="store_true", help="also store the outputs in the notebooks themselves")
    parser.add_argument("--html-only", action="store_true", help="write pages without executing")
    parser.add_argument("--out", type=Path, default=ROOT / "build", help="where copies and pages go, default build/")
    options = parser.parse_args()
    options.out = options.out.resolve()
    options.notebooks = [path.resolve() for path in options.notebooks]
    return options


def default_notebooks() -> list[Path]:
    folder = ROOT / "notebooks"
    return sorted(folder.glob("*.ipynb")) + sorted((folder / "solutions").glob("*.ipynb"))


def relative(path: Path) -> Path:
    """The path below build/: that below the repository, without notebooks/."""
    for base in (ROOT / "notebooks", ROOT):
        if path.is_relative_to(base):
            return path.relative_to(base)
    return Path(path.name)


def prepare_environment() -> None:
    """Set variables that the kernel inherits: no bars in outputs, no learner's records, this source tree's package."""
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("SAM2NB_PROGRESS", "off")
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    os.environ.setdefault("SAM2NB_LIVE_PAGES", "1")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))


def read(path: Path) -> NotebookNode:
    import nbformat

    return nbformat.read(path, as_version=4)


def execute(notebook: NotebookNode, folder: Path) -> str | None:
    """Run all cells with the Python that runs this tool; the error of the first failing cell, or None."""
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    class ThisPython(AsyncKernelManager):
        """A kernel without an installed kernelspec: a fresh environment has none, or that of another environment."""

        @property
        def kernel_spec(self):
            from jupyter_client.kernelspec import KernelSpec

            command = [sys.executable, "-m", "ipykernel_launcher", "--log-level=ERROR", "-f", "{connection_file}"]
            return KernelSpec(argv=command, display_name="Python 3 (ipykernel)", language="python")

    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_manager_class=ThisPython,
        resources={"metadata": {"path": str(folder)}},
        store_widget_state=False,
        record_timing=False,
        coalesce_streams=True,
    )
    try:
        client.execute()
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as problem:
        return re.sub(r"\x1b\[[0-9;]*m", "", str(problem))  # without terminal colours
    finally:
        clean(notebook)
    return None


def clean(notebook: NotebookNode) -> None:
    """Remove widget models (their still images stay) and timings; name a kernel that every Jupyter knows."""
    notebook.metadata.pop("widgets", None)
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/jpeg" in data or "text/html" in data:
                data.pop(WIDGET_MIME, None)


def write(notebook: NotebookNode, path: Path) -> None:
    import nbformat

    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


def warn_if_large(path: Path) -> None:
    size = path.stat().st_size
    if size > SIZE_LIMIT:
        print(f"{path.name} is {size // 1024} KiB, over the limit of {SIZE_LIMIT // 1024} KiB")


def live_pages() -> LivePages | None:
    """Whoever makes widgets live, None where its packages or onnxruntime-web are not on this machine."""
    sys.path.insert(0, str(ROOT))
    try:
        import onnx  # noqa: F401

        from sam2nb.widgets.live_page import LivePages
        from sam2nb.widgets.ort_web import ort_web_here
    except ModuleNotFoundError:
        return None
    runtime = ort_web_here()
    return None if runtime is None else LivePages(runtime)


def write_html(notebook: NotebookNode, path: Path, out: Path, live: LivePages | None) -> Path:
    """Write the page of a notebook, with live widgets if they can be had; what made them live leaves the notebook."""
    from nbconvert import HTMLExporter
    from nbconvert.utils.base import NbConvertBase
    from traitlets.config import Config

    page_of = copy.deepcopy(notebook)
    is_live = [live_output(output, live) for cell in page_of.cells for output in cell.get("outputs", [])]
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(LIVE_MIME, None)
    # stored images instead of live widgets, which need a kernel
    kinds = [kind for kind in NbConvertBase().display_data_priority if kind != WIDGET_MIME]
    exporter = HTMLExporter(config=Config(NbConvertBase={"display_data_priority": kinds}))
    page, _ = exporter.from_notebook_node(page_of, resources={"metadata": {"name": path.stem}})
    starter = live.starter(os.path.relpath(out, path.parent)) if any(is_live) else ""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page.replace("</head>", f"{CODE_STYLE}{starter}</head>", 1), encoding="utf-8")
    return path


def live_output(output: NotebookNode, live: LivePages | None) -> bool:
    """Make the output of a widget live, in place, if that is possible; -> whether it was"""
    data = output.get("data", {})
    if live is not None and LIVE_MIME in data and "image/jpeg" in data:
        output["data"] = {"text/html": live.to_html(data)}
        return True
    data.pop(LIVE_MIME, None)
    return False


def index_row(notebook: NotebookNode, page: Path, problem: str | None) -> str:
    title = next((line.lstrip("# ") for cell in notebook.cells for line in cell.source.splitlines() if line), page.stem)
    failed = "" if problem is None else ' <strong class="failed">(failed)</strong>'
    return f'<li><a href="{page.as_posix()}">{html.escape(title)}</a>{failed}</li>'


if __name__ == "__main__":
    sys.exit(main())
