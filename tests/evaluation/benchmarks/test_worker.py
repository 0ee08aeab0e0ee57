"""The process of a contestant: whose `sam2nb` it imports."""

import subprocess
import sys

from sam2nb.evaluation.benchmarks.process import OWN_ROOT, WORKER

IMPORT = """
import runpy
from pathlib import Path
runpy.run_path({worker!r})["use_package"](Path({root!r}))
"""


def run(root, code):
    code = IMPORT.format(worker=str(WORKER), root=str(root)) + code
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_the_package_comes_from_the_folder_and_the_benchmark_from_here(tmp_path):
    for folder in ("sam2nb", "sam2nb/evaluation"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").touch()
    (tmp_path / "sam2nb" / "evaluation" / "memory.py").write_text("raise ImportError('the old meter')")
    code = "import sam2nb, sam2nb.evaluation.memory as m; print(sam2nb.__file__, m.__file__, sep='\\n')"
    package, meter = run(tmp_path, code).stdout.split()
    assert package == str(tmp_path / "sam2nb" / "__init__.py")
    assert meter == str(OWN_ROOT / "sam2nb" / "evaluation" / "memory.py")


def test_a_folder_without_the_package_is_an_error(tmp_path):
    done = run(tmp_path, "")
    assert done.returncode == 1
    assert "ImportError" in done.stderr or "ModuleNotFoundError" in done.stderr
