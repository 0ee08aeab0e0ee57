"""The process of one contestant.

    python worker.py ROOT        ROOT is the folder whose `sam2nb` is measured: this package's, or another checkout's

Orders arrive on stdin and results leave on stdout, one line of JSON each; whatever a library prints goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main(root: Path) -> None:
    """Serve the orders of the parent process until it closes stdin."""
    results = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    use_package(root)
    from sam2nb.evaluation.benchmarks.measure import serve

    for result in serve(json.loads(line) for line in sys.stdin):
        print(json.dumps(result), file=results)


def use_package(root: Path) -> None:
    """Import `sam2nb` from a folder, but `sam2nb.evaluation` from here, so that one benchmark measures every checkout.

    Raises ImportError if the folder has no `sam2nb`.
    """
    sys.path[:] = [str(root), *(path for path in sys.path if Path(path).resolve() != HERE)]
    import sam2nb.evaluation

    if Path(sam2nb.__file__).parents[1].resolve() != root.resolve():
        raise ImportError(f"sam2nb was imported from {sam2nb.__file__} instead of {root}")
    sam2nb.evaluation.__path__.insert(0, str(HERE.parent))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
