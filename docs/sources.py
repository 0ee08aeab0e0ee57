"""The project's texts as the site needs them: links, alt texts and navigation added while Sphinx reads a file."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONTENTS = {  # the navigation: captions, and pages of which those that exist are listed; patterns are sorted
    "The course": ["notebooks/*.ipynb"],
    "Try and use": ["docs/playground.md", "examples/README.md", "docs/command_line.md", "docs/reference/index.md"],
    "Background": ["GLOSSARY.md", "sam2nb/model/README.md", "checkpoints/README.md", "data/README.md"],
    "For teachers": ["INSTRUCTOR.md", "notebooks/solutions/*.ipynb"],
    "The project": ["CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"],
}
SHORT = {"sam2nb/model/README": "The model, box by box", "data/README": "Pictures and their licences"}
ANCHOR = re.compile(r"(\]\([\w./-]*#)([^)\s]+)\)")


def prepare(app, docname: str, source: list[str]) -> None:
    """Change the text of one page before it is parsed."""
    if docname == "README":
        source[0] += navigation()
    elif docname == "docs/command_line":
        source[0] += command_line()
    elif docname.startswith("notebooks/"):
        source[0] = json.dumps(notebook(json.loads(source[0])))


def navigation() -> str:
    """The pages of the site, as the toctree directives that GitHub has no use for."""
    parts = []
    for caption, patterns in CONTENTS.items():
        pages = [page.relative_to(ROOT) for pattern in patterns for page in sorted(ROOT.glob(pattern))]
        names = [page.with_suffix("").as_posix() for page in pages if not page.name.startswith(".")]
        rows = [f"{SHORT[name]} <{name}>" if name in SHORT else name for name in names]
        parts.append("\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *rows, "```"]))
    return "\n\n" + "\n\n".join(parts) + "\n"


def command_line() -> str:
    """Every command with its options, by typer."""
    import click
    import typer
    from typer.cli import get_docs_for_click

    from sam2nb.cli import app

    command = typer.main.get_command(app)
    text = get_docs_for_click(obj=command, ctx=click.Context(command), name="sam2nb")
    text = re.sub(r"^# .*\n", "", text)  # the page has a title
    return re.sub(r"^(python -m sam2nb\b.*)$", r"```\n\1\n```", text, flags=re.MULTILINE)


def notebook(content: dict) -> dict:
    """A notebook whose links lead to the anchors of the site, and whose pictures carry their alt texts."""
    content["metadata"].setdefault("language_info", {})["pygments_lexer"] = "python"
    section = ""
    for cell in content["cells"]:
        if cell["cell_type"] == "markdown":
            text = "".join(cell["source"])
            section = next(iter(re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)[::-1]), section)
            cell["source"] = ANCHOR.sub(lambda found: f"{found[1]}{slug(found[2])})", text)
        for output in cell.get("outputs", []):
            described = [kind["alt"] for kind in output.get("metadata", {}).values() if _has_alt(kind)]
            if described or any(kind.startswith("image/") for kind in output.get("data", {})):
                alt = (described or [f"Picture of the section {section}"])[0]
                cell["metadata"].setdefault("mystnb", {})["image"] = {"alt": alt}
    return content


def _has_alt(kind: object) -> bool:
    return isinstance(kind, dict) and bool(kind.get("alt"))


def slug(anchor: str) -> str:
    """An anchor of Jupyter in the form that GitHub and the site use: `2.-Measure-it` -> `2-measure-it`"""
    return re.sub(r"[^\w\- ]", "", anchor.lower()).replace(" ", "-")
