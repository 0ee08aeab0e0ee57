"""The record of a run: timings, ratios, lines of text and a JSON file."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sam2nb.evaluation.benchmarks.setting import Setting

DERIVED = ("median", "spread")  # of every timing, for readers of the file


@dataclass
class Timing:
    """One contestant at one part.

    seconds, cpu_seconds: of every repeat, in order; on the clock, and of all threads together.
    peak_mb: peak of main memory over the loaded model, in MiB; peak_gpu_mb: peak of GPU memory, model included.
    held_mb: memory in use after the last step beyond that before the first, in MiB.
    agreement: share of mask pixels that equal those of sam2nb after the warm-up step.
    figures: other results, such as the number of masks. failed: the reason for having no seconds.
    """

    contestant: str
    part: str
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    peak_mb: float | None = None
    peak_gpu_mb: float | None = None
    failed: str | None = None
    held_mb: float | None = None
    agreement: float | None = None
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """The median of the seconds, nan if there are none."""
        return statistics.median(self.seconds) if self.seconds else float("nan")

    @property
    def median_cpu(self) -> float:
        """The median of the CPU seconds, nan if there are none."""
        return statistics.median(self.cpu_seconds) if self.cpu_seconds else float("nan")

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles of the seconds."""
        if len(self.seconds) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return (high - low) / 2


@dataclass
class Benchmark:
    """The timings of one run, and the conditions under which they were taken."""

    setting: Setting
    machine: dict[str, Any]
    created: str
    timings: list[Timing] = field(default_factory=list)

    def ratios(self, of: str = "seconds", reference: str = "sam2nb") -> dict[str, dict[str, float]]:
        """How many times as long as the reference every other contestant took: {part: {contestant: ratio}}

        The ratio is the median over neighbouring repeats. of: "seconds" or "cpu_seconds".
        """
        by_key = {(t.contestant, t.part): getattr(t, of) for t in self.timings if t.seconds}
        ratios: dict[str, dict[str, float]] = {}
        for (name, part), theirs in by_key.items():
            ours = by_key.get((reference, part))
            if name != reference and ours:
                pairs = zip(theirs, ours, strict=False)
                ratios.setdefault(part, {})[name] = statistics.median(a / b for a, b in pairs)
        return ratios

    def speedups(self) -> dict[str, dict[str, float]]:
        """How many times as fast as the official package every other contestant was: {part: {contestant: ratio}}"""
        return {
            part: {name: 1 / ratio for name, ratio in ratios.items()}
            for part, ratios in self.ratios(reference="official").items()
        }

    def save(self, path: str | Path) -> Path:
        """Write the run as one JSON file."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        timings = [{**asdict(t), "median": t.median if t.seconds else None, "spread": t.spread} for t in self.timings]
        record = {**asdict(self), "timings": timings, "ratios": self.ratios(), "cpu_ratios": self.ratios("cpu_seconds")}
        record["speedups"] = self.speedups()
        path.write_text(json.dumps(record, indent=1) + "\n")
        return path

    def lines(self, part: str) -> Iterator[str]:
        """One line of text for every contestant of a part."""
        ratios, cpu_ratios = self.ratios().get(part, {}), self.ratios("cpu_seconds").get(part, {})
        speedups = self.speedups().get(part, {})
        timings = [t for t in self.timings if t.part == part]
        width = max((len(t.contestant) for t in timings), default=0)
        for t in timings:
            cells = [f"{part:10}", f"{t.contestant:{width}}"]
            cells += [f"failed: {t.failed}"] if t.failed else _measurements(t)
            if t.contestant in speedups and t.contestant.startswith("sam2nb "):
                cells.append(f"{speedups[t.contestant]:.2f} times as fast as official")
            elif t.contestant in ratios:
                fast, cpu_fast = ratios[t.contestant], cpu_ratios[t.contestant]
                cells.append(f"sam2nb is {fast:.2f} times as fast ({cpu_fast:.2f} in CPU seconds)")
            yield "  ".join(cells)


def load_benchmark(path: str | Path) -> Benchmark:
    """Read a file that `Benchmark.save` wrote."""
    record = json.loads(Path(path).read_text())
    timings = [Timing(**{k: v for k, v in t.items() if k not in DERIVED}) for t in record["timings"]]
    return Benchmark(Setting.from_record(record["setting"]), record["machine"], record["created"], timings)


def _measurements(t: Timing) -> Iterator[str]:
    if t.seconds:
        yield f"{t.median * 1e3:9.1f} ms +- {t.spread * 1e3:.1f}"
    if t.peak_mb is not None:
        yield f"{t.peak_mb:6.0f} MB over the model"
    if t.held_mb is not None:
        yield f"{t.held_mb:5.0f} MB kept"
    if t.peak_gpu_mb:
        yield f"{t.peak_gpu_mb:.0f} MB on the GPU"
    for name, value in t.figures.items():
        yield f"{name.replace('_', ' ')} {value:g}"
    if t.agreement is not None:
        yield f"masks {t.agreement:.2%} equal"
