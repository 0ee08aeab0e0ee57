"""The law of floors: the listing of the package, read from the top; imports point downwards only and make no cycle."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "sam2nb"
FLOORS = (  # the lowest first; who shares a floor may not import each other
    ("structures", "resources", "whole_file", "devices", "start"),
    ("media", "masks", "weights", "plotting"),
    ("model",),
    ("fast", "engines"),
    ("meta_config",),
    ("build",),
    ("predict",),
    ("export", "huggingface", "compat"),
    ("evaluation",),
    ("training", "widgets"),
    ("notebook",),
    ("cli",),
    ("__main__", "__init__"),
)
FLOOR_OF = {name: height for height, names in enumerate(FLOORS) for name in names}
MODEL_MAY_IMPORT = {"torch", "sam2nb", "collections", "math", "functools", "dataclasses", "typing", "__future__"}
FILES = sorted(PACKAGE.rglob("*.py"))


def imports_of(path: Path) -> list[str]:
    """Every module that a file imports, lazy and typing imports included."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} uses a relative import"
            names += [_module_of(f"{node.module}.{alias.name}") or node.module for alias in node.names]
    return names


def _module_of(name: str) -> str | None:
    """The name, if it is one of a module or a folder of the package."""
    path = PACKAGE.parent / name.replace(".", "/")
    return name if name.startswith("sam2nb.") and (path.is_dir() or path.with_suffix(".py").is_file()) else None


def room_of(name: str) -> str:
    """sam2nb.predict.video.tracker -> predict"""
    return name.split(".")[1]


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downwards_only(path):
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert own in FLOOR_OF, f"{path} stands on no floor: give it one in {__file__}"
    for name in imports_of(path):
        if name.startswith("sam2nb.") and room_of(name) in FLOOR_OF and room_of(name) != own:
            assert FLOOR_OF[room_of(name)] < FLOOR_OF[own], f"{path.name} imports {name}, which is not below it"


def test_no_import_makes_a_cycle():
    graph = {
        module_name(path): [n for n in imports_of(path) if n.startswith("sam2nb.") and n != module_name(path)]
        for path in FILES
        if path.parent != PACKAGE or path.stem != "__init__"
    }

    def walk(module: str, trail: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        if module in trail:
            yield (*trail[trail.index(module) :], module)
        elif module not in done:
            for other in graph.get(module, ()):
                yield from walk(other, (*trail, module))
            done.add(module)

    done: set[str] = set()
    cycles = [cycle for module in graph for cycle in walk(module, ())]
    assert not cycles, "; ".join(" -> ".join(cycle) for cycle in cycles)


@pytest.mark.parametrize("path", sorted((PACKAGE / "model").glob("*.py")), ids=lambda path: path.name)
def test_the_model_imports_torch_and_structures_only(path):
    for name in imports_of(path):
        parts = name.split(".")
        assert parts[0] in MODEL_MAY_IMPORT, f"model/{path.name} imports {name}"
        if parts[0] == "sam2nb":
            assert parts[1] in ("model", "structures"), f"model/{path.name} imports {name}"


def test_hydra_is_imported_in_one_place():
    users = {path.name for path in FILES if any(name.split(".")[0] == "hydra" for name in imports_of(path))}
    assert users == {"build.py"}
