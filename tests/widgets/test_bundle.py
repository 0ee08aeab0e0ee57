"""The JavaScript of the widgets: small modules, joined into one that a browser can read."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from sam2nb.plotting import PALETTE
from sam2nb.widgets import browser_model, explorer, file, live_page, playground, prompt, video_prompt
from sam2nb.widgets.bundle import STATIC, joined

LINES, COLUMNS = 300, 120
FILES = sorted([*STATIC.glob("*.js"), *STATIC.glob("*.css")])
WIDGETS = {
    "prompt": prompt.MODULES,
    "explorer": explorer.MODULES,
    "file": file.MODULES,
    "video": video_prompt.MODULES,
}
PAGES = {"playground": playground.MODULES, "live": live_page.MODULES, "worker": browser_model.WORKER_MODULES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_static_file_is_short_and_opens_with_a_comment(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= LINES and max(map(len, lines)) <= COLUMNS
    assert lines[0].startswith(("// ", "/* "))


@pytest.mark.parametrize("name", [*WIDGETS, *PAGES])
def test_joined_modules_are_one_module_without_imports(name, tmp_path):
    text = joined(*(WIDGETS | PAGES)[name])
    assert not re.search(r"^import ", text, re.MULTILINE)
    exports = ["export default { render };"] if name in WIDGETS else []
    assert re.findall(r"^export .*", text, re.MULTILINE) == exports
    if shutil.which("node"):
        (tmp_path / "widget.mjs").write_text(text, encoding="utf-8")
        done = subprocess.run(["node", "--check", tmp_path / "widget.mjs"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("names", (WIDGETS | PAGES).values(), ids=WIDGETS | PAGES)
def test_a_module_imports_only_what_an_earlier_one_exports(names):
    exported = set()
    for name in names:
        text = (STATIC / f"{name}.js").read_text(encoding="utf-8")
        for what, source in re.findall(r'^import \{([^}]*)\} from "\./(\w+)\.js";', text, re.MULTILINE):
            wanted = {(source, word.strip()) for word in what.split(",") if word.strip()}
            assert wanted <= exported, f"{name}.js: {sorted(wanted - exported)} come later, or nowhere"
        found = re.findall(r"^export (?:async )?(?:function|const|class) (\w+)", text, re.MULTILINE)
        exported |= {(name, word) for word in found}


def test_style_sheets_use_the_colours_of_plotting():
    text = "".join(path.read_text(encoding="utf-8") for path in STATIC.glob("*.css"))
    assert set(re.findall(r"#[0-9A-F]{6}", text)) <= set(PALETTE), "greys are written in lower case"
