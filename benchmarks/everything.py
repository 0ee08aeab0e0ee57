"""Everything mode against the official package: time, side by side, and peak memory, in fresh processes.

    python benchmarks/everything.py speed            # 1500 x 2250, 16 x 16 points
    python benchmarks/everything.py memory           # 1951 x 3000, 64 points a batch, all masks survive
    python benchmarks/everything.py largest          # GPU only: the largest photograph within 4 GB

Both sides get the genuine SAM 2 hiera-tiny weights and the same upscaled photograph. Speed alternates between the
two, so that a busy machine slows both; the ratio is what counts. Needs `sam2==1.1.0` (see CONTRIBUTING.md).
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

SPEED_HW, MEMORY_HW = (1500, 2250), (1951, 3000)
OPEN = {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}
GB = 1e9
SIDES = ("sam2nb", "official")


def photograph(size_hw: tuple[int, int]) -> np.ndarray:
    """The project's coffee photograph, enlarged."""
    from sam2nb.notebook import photo

    return np.asarray(Image.fromarray(photo("coffee")).resize(size_hw[::-1], Image.Resampling.BICUBIC))


def make_generator(side: str, device: str, **settings):
    """A generator of one side with the genuine weights, float32."""
    from sam2nb import SAM2AutomaticMaskGenerator, load_model

    model = load_model("sam2_hiera_tiny", device=device, dtype="float32")
    if side == "sam2nb":
        return SAM2AutomaticMaskGenerator(model, **settings)
    from sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator as Official
    from sam2.build_sam import build_sam2

    theirs = build_sam2("configs/sam2/sam2_hiera_t.yaml", device=device)
    theirs.load_state_dict(model.state_dict())
    return Official(theirs, **settings)


def speed(args: argparse.Namespace) -> None:
    """Seconds per picture of both sides, alternating, and their ratio; wall and processor time."""
    image = photograph(SPEED_HW)
    settings = {"points_per_side": args.side, "points_per_batch": args.batch}
    generators = {side: make_generator(side, args.device, **settings) for side in SIDES}
    wall, cpu = {side: [] for side in SIDES}, {side: [] for side in SIDES}
    for _ in range(args.rounds):
        for side, generator in generators.items():
            start, start_cpu = time.perf_counter(), time.process_time()
            count = len(generator.generate(image))
            if args.device == "cuda":
                torch.cuda.synchronize()
            wall[side].append(time.perf_counter() - start)
            cpu[side].append(time.process_time() - start_cpu)
            print(f"{side:9} {count:4} masks  {wall[side][-1]:7.2f} s  (processor {cpu[side][-1]:7.2f} s)", flush=True)
    for name, times in (("wall", wall), ("processor", cpu)):
        ratios = [theirs / ours for theirs, ours in zip(times["official"], times["sam2nb"], strict=True)]
        middle = statistics.median(ratios)
        print(f"{name}: official takes {middle:.2f} times as long ({min(ratios):.2f} to {max(ratios):.2f})")


def memory(args: argparse.Namespace) -> None:
    """Peak memory of one `generate` over the loaded model, each side in a process of its own."""
    for side in SIDES:
        command = [sys.executable, __file__, "peak", "--which", side, "--device", args.device]
        command += ["--side", str(args.side), "--batch", str(args.batch)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{side:9} failed: {done.stderr.strip().splitlines()[-1]}")
            continue
        peak = json.loads(done.stdout.splitlines()[-1])
        print(f"{side:9} {peak['masks']:4} masks  peak {peak['bytes'] / GB:.2f} GB over the loaded model", flush=True)


def peak(args: argparse.Namespace) -> None:
    """One side, one picture, in this process; prints json."""
    image = photograph(MEMORY_HW)
    settings = {"points_per_side": args.side, "points_per_batch": args.batch, "output_mode": "coco_rle", **OPEN}
    generator = make_generator(args.which, args.device, **settings)
    base = _restart_peak(args.device)
    count = len(generator.generate(image))
    print(json.dumps({"masks": count, "bytes": _peak_bytes(args.device) - base}))


def _restart_peak(device: str) -> int:
    """Forget the peak of loading; -> bytes in use now"""
    gc.collect()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    else:
        Path("/proc/self/clear_refs").write_text("5")  # Linux: the high-water mark starts anew
    return _peak_bytes(device)


def _peak_bytes(device: str) -> int:
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def largest(args: argparse.Namespace) -> None:
    """The largest square photograph whose masks fit in 4 GB of a GPU."""
    if not torch.cuda.is_available():
        raise SystemExit("largest needs a GPU")
    torch.cuda.set_per_process_memory_fraction(4 * GB / torch.cuda.get_device_properties(0).total_memory)
    for which in SIDES:
        generator = make_generator(which, "cuda", points_per_side=args.side, output_mode="coco_rle", **OPEN)
        fits = 0
        for side in (1000, 1500, 2000, 3000, 4000, 6000, 8000, 12000, 16000):
            try:
                generator.generate(photograph((side, side)))
            except torch.cuda.OutOfMemoryError:
                break
            fits = side
        print(f"{which:9} {fits} x {fits} fits in 4 GB", flush=True)
        del generator
        torch.cuda.empty_cache()


def main() -> None:
    """Read the options and run one of the three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["speed", "memory", "largest", "peak"])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--side", type=int, default=16, help="points per side of the grid")
    parser.add_argument("--batch", type=int, default=64, help="points per batch; official needs 130 MB a point")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--which", choices=SIDES, help="for peak: whose")
    args = parser.parse_args()
    {"speed": speed, "memory": memory, "largest": largest, "peak": peak}[args.what](args)


if __name__ == "__main__":
    main()
