"""`sam2nb.compat.install()` in processes of their own, with the official package hidden or not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sam2nb import compat
from tests.compat.snippets import COUNT_COMPILED, GIVEN, SNIPPETS, project

ROOT = Path(__file__).resolve().parents[2]
HIDE = """
import importlib.machinery, sys
sys.path.insert(0, {root!r})
look = importlib.machinery.PathFinder.find_spec
def find_spec(name, path=None, target=None):
    if name == "sam2":
        path = [folder for folder in sys.path if "site-packages" not in folder]
    return look(name, path, target)
importlib.machinery.PathFinder.find_spec = find_spec
"""
INSTALL = "import sam2nb.compat; sam2nb.compat.install()\n"


def run(code: str, folder: Path, hidden: bool = True) -> subprocess.CompletedProcess:
    """Run code in a fresh process; hidden: as if the official package were not installed."""
    head = HIDE.format(root=str(ROOT)) if hidden else f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
    return subprocess.run([sys.executable, "-c", head + code], cwd=folder, capture_output=True, text=True, timeout=600)


def test_every_snippet_runs_unchanged(tmp_path):
    (tmp_path / "snippets.json").write_text(json.dumps(SNIPPETS))
    code = f"""
import json
{COUNT_COMPILED}
torch.compile = count
for name, snippet in json.load(open("snippets.json")).items():
    compiled.clear()
    exec({GIVEN!r} + snippet, {{"compiled": compiled}})
    print("ran", name)
import sam2
print(sam2.__file__)
"""
    done = run(INSTALL + code, project(tmp_path))
    assert done.returncode == 0, done.stderr[-2000:]
    *ran, where = done.stdout.splitlines()
    assert ran == [f"ran {name}" for name in SNIPPETS] and where == compat.__file__


def test_names_without_an_equal_are_import_errors(tmp_path):
    code = """
def error(line):
    try:
        exec(line)
    except ImportError as caught:
        return f"{type(caught).__name__}: {caught}"
print(error("from sam2.utils.amg import rle_to_mask"))
print(error("from sam2.utils.amg import MaskData"))
print(error("import sam2.modeling.sam2_base"))
sam2nb.compat.install()
print(sum(type(finder).__name__ == "_Finder" for finder in __import__("sys").meta_path))
"""
    done = run(INSTALL + code, tmp_path)
    fine, name, module, finders = done.stdout.splitlines()
    assert fine == "None" and finders == "1"
    assert name.startswith("ImportError: cannot import name 'MaskData' from 'sam2.utils.amg'") and "compat" in name
    assert module.startswith("ModuleNotFoundError: sam2nb has nothing equal to sam2.modeling; it has sam2.build_sam, ")


def test_a_bare_folder_of_that_name_is_not_the_official_package(tmp_path):
    (tmp_path / "sam2").mkdir()
    code = "from importlib.util import find_spec\nprint(find_spec('sam2').origin)\n"
    done = run(code + INSTALL + "from sam2.build_sam import build_sam2\nprint(build_sam2.__module__)", tmp_path)
    assert done.stdout.split() == ["None", "sam2nb.build"], done.stderr[-2000:]


@pytest.mark.parity
def test_where_the_official_package_is_installed_it_is_left_alone_unless_asked(official, tmp_path):
    code = """
import sam2nb.compat
try:
    sam2nb.compat.install()
except ImportError as error:
    print(error)
sam2nb.compat.install(override=True)
from sam2.build_sam import build_sam2
print(build_sam2.__module__)
"""
    done = run(code, tmp_path, hidden=False)
    assert done.returncode == 0, done.stderr[-2000:]
    refusal, module = done.stdout.splitlines()
    assert refusal.startswith("the official package is installed (") and "install(override=True)" in refusal
    assert module == "sam2nb.build"


@pytest.mark.parity
def test_it_is_too_late_once_the_official_package_is_imported(official):
    with pytest.raises(ImportError, match="sam2 is imported already: call .* before the first import of it"):
        compat.install(override=True)
