"""The law of floors: imports point downwards only."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "sam2nb"
FLOORS = {  # the higher the number, the more it may import
    "structures": 0,
    "resources": 0,
    "peak_memory": 0,
    "registry": 0,
    "media": 0,
    "plotting": 0,
    "catalogue": 0,
    "downloads": 0,
    "hf_names": 0,
    "npm_source": 0,
    "onnx_tiny": 0,
    "state_files": 0,
    "weights": 0,
    "model": 1,
    "build": 2,
    "predict": 3,
    "compilation": 1,
    "export": 3,
    "diagrams": 4,
    "inspection": 4,
    "evaluation": 4,
    "training": 4,
    "huggingface": 4,
    "hf_processor": 4,
    "widgets": 4,
    "threshold_explorer": 4,
    "notebook": 4,
    "exercises": 4,
    "cli": 5,
    "__main__": 6,
    "__init__": 6,
}
MODEL_MAY_IMPORT = {"torch", "sam2nb", "collections", "math", "functools", "dataclasses", "typing", "__future__"}
FILES = sorted(PACKAGE.rglob("*.py"))


def imports_of(path: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} uses a relative import"
            names += [f"{node.module}.{alias.name}" if node.module == "sam2nb" else node.module for alias in node.names]
    return names


def floor_of(path: Path) -> int:
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert first in FLOORS, f"{path} stands on no floor: give it one in {__file__}"
    return FLOORS[first]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downwards_only(path):
    for name in imports_of(path):
        parts = name.split(".")
        if parts[0] == "sam2nb" and len(parts) > 1 and parts[1] in FLOORS:
            assert FLOORS[parts[1]] <= floor_of(path), f"{path.name} imports {name}, which stands above it"


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
