"""The site of `make site`: its settings, and (slow) the pages that Sphinx builds without a warning or a dead link."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PUBLIC = ("sam2nb", "sam2nb.plotting", "sam2nb.widgets", "sam2nb.notebook", "sam2nb.evaluation", "sam2nb.huggingface")
PAGE = "<html><body>{}</body></html>"
BUILD_SECONDS = 800  # about 60 on a free machine


def load(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def sources():
    return load(DOCS / "sources.py")


@pytest.fixture(scope="module")
def check_links():
    pytest.importorskip("lxml")
    return load(ROOT / "tools" / "check_links.py")


def test_every_public_name_is_on_a_page_of_the_reference():
    texts = "\n".join(page.read_text(encoding="utf-8") for page in DOCS.glob("reference/*.md"))
    whole = set(re.findall(r"automodule:: (\S+)\n   :members:", texts))
    single = set(re.findall(r"(?:auto(?:class|function)|py:data):: (\S+)", texts))
    assert all(importlib.util.find_spec(name) for name in whole)
    for package in PUBLIC:
        names = [f"{package}.{name}" for name in importlib.import_module(package).__all__ if not name.startswith("_")]
        assert package in whole or not set(names) - single, f"{sorted(set(names) - single)} are on no page"


def test_the_navigation_lists_every_notebook_and_only_what_exists(sources):
    listed = re.findall(r"^(?:.* <)?([\w./-]+)>?$", sources.navigation(), flags=re.MULTILINE)
    for path in [*ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("notebooks/solutions/*.ipynb")]:
        assert path.relative_to(ROOT).with_suffix("").as_posix() in listed
    for name in listed:
        assert (ROOT / f"{name}.md").is_file() or (ROOT / f"{name}.ipynb").is_file(), name


def test_links_of_a_notebook_lead_to_anchors_of_the_site_and_pictures_keep_their_texts(sources):
    picture = {"output_type": "display_data", "data": {}, "metadata": {"image/jpeg": {"alt": "a cat, its mask blue"}}}
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": ["see [it](#2.-Do-they-agree?) and [b](b.ipynb#1.-A-box)"]},
        {"cell_type": "code", "metadata": {}, "source": "1", "outputs": [picture]},
    ]
    text, code = sources.notebook({"metadata": {}, "cells": cells})["cells"]
    assert text["source"] == "see [it](#2-do-they-agree) and [b](b.ipynb#1-a-box)"
    assert code["metadata"]["mystnb"]["image"]["alt"] == "a cat, its mask blue"


def test_a_picture_without_a_text_is_named_after_its_section(sources):
    picture = {"output_type": "display_data", "data": {"image/png": ""}, "metadata": {}}
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": "# Title\n\n## 2. Boxes"},
        {"cell_type": "code", "metadata": {}, "source": "1", "outputs": [picture]},
    ]
    [_, code] = sources.notebook({"metadata": {}, "cells": cells})["cells"]
    assert code["metadata"]["mystnb"]["image"]["alt"] == "Picture of the section 2. Boxes"


def test_every_command_has_a_section_and_its_example_is_code(sources):
    text = sources.command_line()
    assert "## `sam2nb segment`" in text and "```\npython -m sam2nb doctor\n```" in text
    assert not re.search(r"^# ", text, flags=re.MULTILINE)


def drawn(image, points, labels, *rest):
    """The signature that docstrings below speak of."""


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (["`x` is (N, *) | None"], [r"``x`` is (N, \*) \| None", ""]),
        (["Run:", "", "    a * b", "", "    c"], ["Run:", "", "::", "", "    a * b", "", "    c", ""]),
        (["Either", "- one", "  or more", "- two"], ["Either", "", "- one", "  or more", "- two", ""]),
        (
            ["image: `HxW`, or", "    more. points, labels: both. Returns one."],
            ["- **image**: ``HxW``, or more.", "- **points, labels**: both.", "", "Returns one.", ""],
        ),
        (["Note: not an argument."], ["Note: not an argument.", ""]),
    ],
)
def test_docstrings_are_read_as_this_project_writes_them(written, expected):
    load(DOCS / "docstrings.py").as_restructured_text(None, "function", "drawn", drawn, None, written)
    assert written == expected


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ('<a href="b.html#there">x</a><a id="there"></a><img src="b.html" alt="x"><a href="https://a.b/c">x</a>', None),
        ('<a href="c.html">x</a>', "leads nowhere"),
        ('<a href="b.html#nowhere">x</a>', "leads nowhere"),
        ('<img src="b.html">', "no alt text"),
        ('<img src="b.html" alt="b.html">', "no alt text"),
        ('<img src="b.png" alt="x">', "is missing"),
        ('<script src="https://cdn.example/x.js"></script>', "another host"),
    ],
)
def test_a_dead_link_a_silent_picture_and_another_host_are_found(check_links, tmp_path, body, complaint):
    (tmp_path / "a.html").write_text(PAGE.format(body))
    (tmp_path / "b.html").write_text(PAGE.format('<p id="there">'))
    found = check_links.problems(tmp_path)
    assert len(found) == (complaint is not None) and all(complaint in text for text in found), found


def test_a_folder_without_pages_is_refused(check_links, tmp_path):
    with pytest.raises(FileNotFoundError, match="no pages"):
        check_links.problems(tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(BUILD_SECONDS + 60)
def test_the_site_builds_without_warnings_and_without_dead_links(check_links, tmp_path):
    for name in ("sphinx", "myst_nb", "furo", "sphinx_copybutton"):
        pytest.importorskip(name)
    out = tmp_path / "site"
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", "-c", str(DOCS)]
    command += ["-d", str(tmp_path / "doctrees"), str(ROOT), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_SECONDS)
    assert done.returncode == 0, done.stderr[-3000:]
    (out / "playground.html").write_text(PAGE.format(""))  # `make site` puts it there
    assert not check_links.problems(out)
    page = (out / "notebooks" / "01_setup.html").read_text(encoding="utf-8")
    cells = json.loads((ROOT / "notebooks" / "01_setup.ipynb").read_text(encoding="utf-8"))["cells"]
    pictures = [1 for cell in cells for output in cell.get("outputs", []) if "image/jpeg" in output.get("data", {})]
    assert page.count("<img") >= len(pictures) > 0
    assert "SAM2ImagePredictor" in (out / "docs" / "reference" / "images.html").read_text(encoding="utf-8")
    assert (out / "index.html").read_bytes() == (out / "README.html").read_bytes()
    assert "notebooks/02_point_and_box_prompts" in (out / "searchindex.js").read_text(encoding="utf-8")
    shutil.rmtree(out)
