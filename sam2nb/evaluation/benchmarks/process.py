"""The parent's end of a contestant's process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

from sam2nb.evaluation.benchmarks.contestants import CONTESTANTS
from sam2nb.evaluation.benchmarks.setting import Setting
from sam2nb.weights.download import download

WORKER = Path(__file__).with_name("worker.py")
OWN_ROOT = Path(__file__).resolve().parents[3]
WAYS: Mapping[str, Mapping[str, str]] = {  # to compute, as changes of a `Setting`
    **{dtype: {"dtype": dtype} for dtype in ("float32", "bfloat16")},
    "openvino": {"engine": "openvino", "precision": "float32"},
    **{f"openvino:{kind}": {"engine": "openvino", "precision": kind} for kind in ("bfloat16", "int8")},
}
END_SECONDS = 5  # for a process to end by itself


class Entry(NamedTuple):
    """A contestant of a run.

    label: its name in the record. kind: of `CONTESTANTS`. root: where its `sam2nb` is. changes: in the `Setting`.
    """

    label: str
    kind: str
    root: Path = OWN_ROOT
    changes: Mapping[str, str] = {}


def entries(against: Sequence[str]) -> list[Entry]:
    """This package and those it is compared with: names, folders of other checkouts of it, other ways to compute.

    Raises ValueError for an unknown name, a folder without `sam2nb`, or two folders of one name.
    """
    found = [Entry("sam2nb", "sam2nb")]
    for name in against:
        if name in CONTESTANTS:
            entry = Entry(name, name)
        elif name in WAYS:
            entry = Entry(f"sam2nb {name}", "sam2nb", changes=WAYS[name])
        elif (Path(name) / "sam2nb" / "__init__.py").is_file():
            root = Path(name).resolve()
            entry = Entry(f"{root.name} (checkout)", "sam2nb", root)
        else:
            known = ", ".join([*(name for name in CONTESTANTS if name != "sam2nb"), *WAYS])
            raise ValueError(f"against has {name!r}; known are {known}, and the folder of another checkout of sam2nb")
        if entry in found:
            continue
        if entry.label in [other.label for other in found]:
            raise ValueError(f"against has two folders called {entry.root.name!r}; rename one of them")
        found.append(entry)
    return found


class Worker:
    """A contestant's process."""

    def __init__(self, entry: Entry) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(WORKER), str(entry.root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TQDM_DISABLE": "1"},  # no progress bars, whichever package draws them
        )

    def send(self, order: dict[str, Any]) -> None:
        """Give an order; `receive` has its result."""
        with suppress(OSError):  # a process that has ended is reported by receive()
            print(json.dumps(order), file=self._process.stdin, flush=True)

    def receive(self) -> dict[str, Any]:
        """The result of the oldest order, see `measure.serve`; a process that has ended is a problem, not an error."""
        line = self._process.stdout.readline()
        return json.loads(line) if line else {"problem": f"its process ended with code {self._process.wait()}"}

    def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        """Give an order and wait for its result."""
        self.send(order)
        return self.receive()

    def close(self) -> None:
        """End the process: closing its stdin makes it return, unless it is in the middle of a step."""
        for stream in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # an order that could not be delivered
                stream.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def start_workers(contestants: Sequence[Entry], setting: Setting, folder: Path) -> Iterator[dict[str, Worker]]:
    """One process per contestant, started side by side: {label: worker}

    folder: for the files of the contestants.

    Raises ValueError if one cannot start.
    """
    weights = download(setting.model) if setting.weights == "own" else setting.weights
    with ExitStack() as stack:
        workers = {}
        for number, entry in enumerate(contestants):
            workers[entry.label] = Worker(entry)
            stack.callback(workers[entry.label].close)
            workers[entry.label].send(
                {
                    "contestant": entry.kind,
                    "setting": asdict(replace(setting, **entry.changes)),
                    "weights": weights and str(weights),
                    "folder": str(folder / str(number)),
                }
            )
        for label, worker in workers.items():
            problem = worker.receive().get("problem")
            if problem:
                raise ValueError(f"{label} cannot start: {problem}")
        yield workers


@contextmanager
def neighbours(count: int) -> Iterator[None]:
    """Processes that keep a core busy each, as other programs do."""
    command = [sys.executable, "-c", "while True: pass"]
    with ExitStack() as stack:
        for _ in range(count):
            stack.callback(subprocess.Popen(command).kill)
        yield
