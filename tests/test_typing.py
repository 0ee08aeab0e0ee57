"""Types: every public signature has them, and a typed program that uses them passes mypy."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import sam2nb

ROOT = Path(__file__).resolve().parent.parent
NAMES = [name for name in sam2nb.__all__ if callable(getattr(sam2nb, name))]


def public_functions(name):
    """A public function, or the public methods of a public class."""
    thing = getattr(sam2nb, name)
    if not inspect.isclass(thing):
        return {name: thing}
    own = {key: value for key, value in vars(thing).items() if not key.startswith("_") or key == "__init__"}
    methods = {key: getattr(value, "__func__", getattr(value, "fget", value)) for key, value in own.items()}
    return {f"{name}.{key}": value for key, value in methods.items() if inspect.isfunction(inspect.unwrap(value))}


@pytest.mark.parametrize("name", NAMES)
def test_every_public_signature_is_typed(name):
    for full_name, function in public_functions(name).items():
        if function.__name__ == "<lambda>":  # an option of the tracker, by the official name
            continue
        signature = inspect.signature(function)
        missing = [
            p.name for p in signature.parameters.values() if p.annotation is p.empty and p.name not in ("self", "cls")
        ]
        assert not missing, f"{full_name}: {missing}"
        assert signature.return_annotation is not signature.empty, f"{full_name} -> ?"


def test_the_package_says_that_it_is_typed():
    assert (ROOT / "sam2nb" / "py.typed").is_file()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_typed_program_passes_mypy(tmp_path):
    """As a user has it: errors inside the package are not shown, those of its surface are."""
    command = [
        "-m",
        "mypy",
        "--strict",
        "--ignore-missing-imports",
        "--follow-imports=silent",
        "--python-version",
        "3.11",
    ]
    command += ["--cache-dir", str(tmp_path), "--disable-error-code", "type-arg", str(ROOT / "tests" / "typed_use.py")]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
