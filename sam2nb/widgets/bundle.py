"""Join the JavaScript modules of static/ into one, which is the form that anywidget loads.

The files are ordinary ES modules: an editor follows their imports, and a page can load them one by one. Joined, in the
order in which they need each other, they share one scope, so the lines of import go, and the word `export` with them.
"""

from __future__ import annotations

import re
from pathlib import Path

STATIC = Path(__file__).parent / "static"
IMPORT = re.compile(r'^import \{[^}]*\} from "\./\w+\.js";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(async )?function|const|class)", re.MULTILINE)


def joined(*names: str) -> str:
    """The text of several modules as one, the last of which has the default export.

    names: of files in static/, without .js, each after those that it imports from.
    """
    texts = [(STATIC / f"{name}.js").read_text(encoding="utf-8") for name in names]
    return "\n".join(EXPORT.sub("", IMPORT.sub("", text)) for text in texts)


def style(name: str) -> str:
    """The text of a style sheet in static/, named without .css."""
    return (STATIC / f"{name}.css").read_text(encoding="utf-8")
