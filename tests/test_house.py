"""The rules of the house that a program can check: lengths, and the first words of docstrings."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "sam2nb"
FILES = sorted(PACKAGE.rglob("*.py"))

FILE_LINES = 300
FUNCTION_LINES = 40
CONSTRUCTOR_LINES = 50  # for constructors and builders whose many arguments are the official ones, each documented

MANY_OFFICIAL_ARGUMENTS = {
    "predict/everything/generator.py::SAM2AutomaticMaskGenerator.__init__": "sixteen official arguments, with defaults",
}

# Any word that may follow the adjective is a noun; these cannot be, so before them "official" is used as one.
NO_NOUN = (
    "does|do|did|is|was|has|had|would|can|could|may|orders|leaves|keeps|takes|gives|makes|uses|writes|says|counts"
    "|needs|as|in|on|of|to|from|with|without|under|and|or|but|than|then|where|which|that|too"
)
BARE_OFFICIAL = re.compile(
    rf"(?<!is )(?<!are )\bofficial(?:'s\b|(?=[.,;:)\n]|$)|(?=\s+(?:{NO_NOUN})\b))", re.IGNORECASE
)


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def functions_of(path: Path) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Every function of a file, as `file.py::Class.function`."""

    def walk(node: ast.AST, trail: tuple[str, ...]) -> Iterator[tuple[str, ast.FunctionDef]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield f"{name_of(path)}::{'.'.join((*trail, child.name))}", child
            inner = (*trail, child.name) if hasattr(child, "name") and isinstance(child, ast.stmt) else trail
            yield from walk(child, inner)

    yield from walk(ast.parse(path.read_text(encoding="utf-8")), ())


def docstrings_of(path: Path) -> Iterator[tuple[str, str]]:
    """The docstrings of a file: of the module, its classes and functions, with the name of each."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "name", "module"), text


def comments_of(path: Path) -> list[str]:
    """The comments of a file; those on successive lines are one."""
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
    comments: dict[int, str] = {}  # by their last line
    for token in tokens:
        if token.type == tokenize.COMMENT:
            row = token.start[0]
            comments[row] = f"{comments.pop(row - 1, '')} {token.string.lstrip('# ')}".strip()
    return list(comments.values())


@pytest.mark.parametrize("path", [*FILES, *sorted(PACKAGE.rglob("*.js"))], ids=name_of)
def test_no_file_is_longer_than_can_be_read_at_once(path):
    count = len(path.read_text(encoding="utf-8").splitlines())
    assert count <= FILE_LINES, f"{name_of(path)} has {count} lines: split it, one idea per file"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_function_is_longer_than_a_screen(path):
    for name, function in functions_of(path):
        limit = CONSTRUCTOR_LINES if name in MANY_OFFICIAL_ARGUMENTS else FUNCTION_LINES
        count = function.end_lineno - function.lineno + 1
        assert count <= limit, f"{name} has {count} lines: one idea per function"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_docstrings_open_with_a_noun_or_a_verb_and_never_with_what(path):
    for name, text in docstrings_of(path):
        assert not re.match(r"what\b", text, re.IGNORECASE), f"{name_of(path)}, {name}: {text.splitlines()[0]!r}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_official_is_an_adjective(path):
    for text in (*(text for _, text in docstrings_of(path)), *comments_of(path)):
        flat = " ".join(text.split())
        found = BARE_OFFICIAL.search(flat)
        context = flat[max(found.start() - 60, 0) : found.end() + 40] if found else ""
        assert not found, f"{name_of(path)}: name the official thing (package, generator, order, …) in {context!r}"


def test_the_longer_constructors_exist():
    known = {name for path in FILES for name, _ in functions_of(path)}
    assert known >= set(MANY_OFFICIAL_ARGUMENTS)


@pytest.mark.parametrize(
    "text", ["as official", "Differs from official: a", "official does so", "official's record", "as official in tests"]
)
def test_the_noun_is_recognised(text):
    assert BARE_OFFICIAL.search(text)


@pytest.mark.parametrize(
    "text",
    ["the official package", "official names", "The calling convention is the official one.", "all official .pt"],
)
def test_the_adjective_is_let_through(text):
    assert not BARE_OFFICIAL.search(text)
