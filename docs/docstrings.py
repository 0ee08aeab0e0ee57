"""Docstrings as this project writes them, for Sphinx: plain text, `code` in backticks, `name: …` for arguments."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

SPECIAL = re.compile(r"([*|]|_(?=\W|$))")  # means more in reStructuredText than in plain text
ITEM = re.compile(r"\s*([-*]|\d+\.) ")
SENTENCE = r"(?<=[.)] )"


def as_restructured_text(app, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Rewrite the lines of one docstring in place, as `autodoc-process-docstring` wants it."""
    arguments = set(arguments_of(obj))
    written: list[str] = []
    is_code = False
    for paragraph in paragraphs(lines):
        was_code, is_code = is_code, paragraph[0].startswith("    ")
        if is_code:
            written += [*([] if was_code or not written else ["::", ""]), *paragraph]
        elif re.match(r"\w+(, \w+)*: ", paragraph[0]) and set(names_of(paragraph[0])) <= arguments:
            written += fields(paragraph, arguments)
        else:
            written += with_lists(paragraph)
        written.append("")
    lines[:] = written


def arguments_of(obj: object) -> list[str]:
    """The names of the parameters of a function or class, or nothing."""
    try:
        return list(inspect.signature(obj).parameters)
    except (TypeError, ValueError):
        return []


def paragraphs(lines: list[str]) -> Iterator[list[str]]:
    """Runs of lines that no blank line parts."""
    for block in "\n".join(lines).split("\n\n"):
        if block.strip():
            yield block.strip("\n").split("\n")


def names_of(text: str) -> list[str]:
    """`points, labels: …` -> ["points", "labels"]"""
    return text.split(":")[0].split(", ")


def fields(paragraph: list[str], arguments: set[str]) -> list[str]:
    """A list with one item per argument, then the sentences on what is returned and raised."""
    text = " ".join(line.strip() for line in paragraph)
    one = "|".join(sorted(map(re.escape, arguments), key=len, reverse=True))
    starts = re.compile(rf"(?:^|{SENTENCE})(?=(?:{one})(?:, (?:{one}))*: )|{SENTENCE}(?=(?:Returns|Raises) )")
    entries = [entry.strip() for entry in starts.split(text) if entry.strip()]
    described = [entry for entry in entries if not entry.startswith(("Returns ", "Raises "))]
    written = [f"- **{', '.join(names_of(entry))}**: {inline(entry.split(': ', 1)[1])}" for entry in described]
    for entry in entries[len(described) :]:
        written += ["", inline(entry)]
    return written


def with_lists(paragraph: list[str]) -> list[str]:
    """Text, with the blank line that reStructuredText wants before a list."""
    written: list[str] = []
    for line in paragraph:
        if ITEM.match(line) and written and not ITEM.match(written[-1]) and not written[-1].startswith("  "):
            written.append("")
        written.append(inline(line))
    return written


def inline(text: str) -> str:
    """`code` as literals, and the characters escaped that reStructuredText would read."""
    code_and_text = re.split(r"(`[^`]+`)", text)
    return "".join(f"`{piece}`" if piece.startswith("`") else SPECIAL.sub(r"\\\1", piece) for piece in code_and_text)
