"""Show models, arrays, source code and tables in a notebook, or as text outside one."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass
from types import ModuleType
from typing import Any

import numpy as np
import torch


def describe(value: Any, name: str = "") -> None:
    """Print the children of a model with their parameters, or the shapes and ranges inside arrays and records."""
    for line in _description(value, name):
        print(line)


def show_source(source: Any, docstring: bool = True) -> None:
    """Show the actual code of a function, class or module. docstring=False leaves out its docstring."""
    code = textwrap.dedent(inspect.getsource(source))
    if not docstring:
        code = _without_docstring(code)
    module = inspect.getmodule(source)
    code = code if module is None else f"# {_file_of(module)}\n{code}"
    if not in_notebook():
        print(code)
        return
    from IPython.display import Markdown, display

    display(Markdown(f"```python\n{code}```"))


def table(rows: Iterable[Sequence[Any]], headers: Sequence[str]) -> None:
    """Show rows as a table: Markdown with numbers aligned to the right in a notebook, aligned text elsewhere."""
    cells = [[_cell(value) for value in row] for row in rows]
    if not in_notebook():
        widths = [max(len(row[i]) for row in [list(headers), *cells]) for i in range(len(headers))]
        for row in [list(headers), *cells]:
            print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
        return
    from IPython.display import Markdown, display

    numeric = [all(_looks_numeric(row[i]) for row in cells) for i in range(len(headers))]
    ruler = ["---:" if right else ":---" for right in numeric]
    lines = ["| " + " | ".join(row) + " |" for row in [list(headers), ruler, *cells]]
    display(Markdown("\n".join(lines)))


def in_notebook() -> bool:
    """Whether the code runs in a Jupyter kernel."""
    if "IPython" not in sys.modules:
        return False
    shell = sys.modules["IPython"].get_ipython()
    return shell is not None and getattr(shell, "kernel", None) is not None


def first_line(problem: BaseException) -> str:
    """The first line of an exception's message, or its type if it has none."""
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0]


def _description(value: Any, name: str) -> list[str]:
    head = f"{name}: " if name else ""
    if isinstance(value, torch.nn.Module):
        return _module_description(value, head)
    if isinstance(value, torch.Tensor):
        kind = str(value.dtype).removeprefix("torch.")
        return [f"{head}tensor {tuple(value.shape)} {kind}{_range(value.detach().float().cpu().numpy())}"]
    if isinstance(value, np.ndarray):
        return [f"{head}array {value.shape} {value.dtype}{_range(value)}"]
    if is_dataclass(value) and not isinstance(value, type):
        entries = [(entry.name, getattr(value, entry.name)) for entry in fields(value)]
        return [f"{head}{type(value).__name__}", *_indented(entries)]
    if isinstance(value, (list, tuple)) and value and not all(isinstance(item, (int, float)) for item in value):
        names = getattr(value, "_fields", [str(i) for i in range(len(value))])
        return [f"{head}{type(value).__name__} of {len(value)}", *_indented(zip(names, value, strict=True))]
    return [f"{head}{value!r}"]


def _indented(entries: Iterable[tuple[str, Any]]) -> list[str]:
    return ["  " + line for name, value in entries for line in _description(value, name)]


def _module_description(module: torch.nn.Module, head: str) -> list[str]:
    total = sum(p.numel() for p in module.parameters())
    lines = [f"{head}{type(module).__name__}: {total:,} parameters"]
    for label, child in module.named_children():
        count = sum(p.numel() for p in child.parameters())
        lines.append(f"  {label:<24}{type(child).__name__:<22}{count:>12,}")
    own = sum(p.numel() for p in module.parameters(recurse=False))
    if own and len(lines) > 1:
        lines.append(f"  {'(its own)':<24}{'Parameter':<22}{own:>12,}")
    return lines


def _range(values: np.ndarray) -> str:
    if values.size == 0 or values.dtype.kind not in "biuf":
        return ""
    if values.dtype == bool:
        return f", {values.mean():.1%} True"
    return f", {values.min():.3g} to {values.max():.3g}"


def _file_of(module: ModuleType) -> str:
    return module.__name__.replace(".", "/") + ("/__init__.py" if hasattr(module, "__path__") else ".py")


def _without_docstring(code: str) -> str:
    node = ast.parse(code).body[0]
    body = getattr(node, "body", [])
    if len(body) < 2 or ast.get_docstring(node) is None:
        return code
    lines = code.splitlines(keepends=True)
    return "".join(lines[: body[0].lineno - 1] + lines[body[0].end_lineno :]).replace(":\n\n", ":\n", 1)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _looks_numeric(text: str) -> bool:
    return text == "-" or text.lstrip("-+").replace(",", "").replace(".", "", 1).rstrip("%xM ").isdigit()
