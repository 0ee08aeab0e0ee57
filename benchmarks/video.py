"""Video tracking against the official package (sam2==1.1.0): speed, memory of an open clip, memory of a stream.

    python benchmarks/video.py speed --objects 1 --frames 9
    python benchmarks/video.py folder --frames 300
    python benchmarks/video.py stream --frames 1000

Both sides get the same random weights, the same frames and the same precision (float32 on a CPU). `speed` lets them
take turns, frame by frame, so that other load on the machine meets both alike; `cpu` is the processor time that a step
needed, which other load hardly changes. The weights are random, so the masks mean nothing and the times everything.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import torch
from PIL import Image
from tqdm import tqdm

os.environ.setdefault("TQDM_DISABLE", "1")
CONFIG = "sam2.1_hiera_t"
SIZE_HW = (480, 854)
MIB = 2**20
CORRECTIONS_LAST = "++model.add_all_frames_to_correct_as_cond=true"


def make_folder(folder: Path, count: int) -> str:
    """Frames with a moving disc on noise that has been smoothed, as JPEG."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 255, (30, 50, 3), dtype=np.uint8))
    background = np.asarray(coarse.resize(SIZE_HW[::-1], Image.Resampling.BICUBIC))
    y, x = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]]
    for index in range(count):
        frame = background.copy()
        frame[(x - 200 - 2 * index) ** 2 + (y - 200) ** 2 < 60**2] = (220, 40, 40)
        Image.fromarray(frame).save(folder / f"{index:05d}.jpg", quality=90)
    return str(folder)


def build(kind: str, image_size: int, device: str = "cpu"):
    """A video predictor of either kind, random weights from the same seed, nothing left at zero."""
    overrides = [f"++model.image_size={image_size}", CORRECTIONS_LAST]
    if kind == "ours":
        from sam2nb import build_sam2_video_predictor

        predictor = build_sam2_video_predictor(CONFIG, None, device, hydra_overrides_extra=overrides)
        predictor.progress, predictor.fill_hole_area = False, 0
        return predictor, predictor.model
    from sam2.build_sam import build_sam2_video_predictor

    predictor = build_sam2_video_predictor(
        f"configs/sam2.1/{CONFIG}.yaml", None, device, hydra_overrides_extra=overrides
    )
    predictor.fill_hole_area = 0
    return predictor, predictor


def share_weights(ours: torch.nn.Module, theirs: torch.nn.Module) -> None:
    with torch.no_grad():
        for name, tensor in theirs.named_parameters():
            if "gamma" in name:
                tensor.fill_(0.1)
            elif tensor.ndim == 1 and name.endswith("bias"):
                tensor.normal_(std=0.1)
    ours.load_state_dict(theirs.state_dict(), strict=True)


def prompted(predictor, clip: str, objects: int) -> Iterator:
    state = predictor.init_state(clip)
    for index in range(objects):
        point = np.array([[200 + 100 * index, 200]], np.float32)
        predictor.add_new_points_or_box(state, 0, index + 1, point, np.array([1], np.int32))
    return predictor.propagate_in_video(state)


def speed(frames: int, objects: int, image_size: int, threads: int, device: str) -> dict:
    """Seconds per tracked frame, each side's steps one after the other."""
    torch.set_num_threads(threads)
    (ours, our_model), (theirs, their_model) = build("ours", image_size, device), build("official", image_size, device)
    share_weights(our_model, their_model)
    wall, cpu, agreement = {"ours": [], "official": []}, {"ours": [], "official": []}, []
    with tempfile.TemporaryDirectory() as folder:
        clip = make_folder(Path(folder), frames + 1)
        runs = {"official": prompted(theirs, clip, objects), "ours": prompted(ours, clip, objects)}
        for kind in runs:
            next(runs[kind])  # the prompted frame
        for index in range(frames):
            masks = {}
            for kind in ("official", "ours") if index % 2 else ("ours", "official"):
                if device != "cpu":
                    torch.cuda.synchronize()
                start, start_cpu = time.perf_counter(), time.process_time()
                masks[kind] = next(runs[kind])[2]
                if device != "cpu":
                    torch.cuda.synchronize()
                wall[kind].append(time.perf_counter() - start)
                cpu[kind].append(time.process_time() - start_cpu)
            same = (masks["ours"] > 0) == (masks["official"] > 0)
            agreement.append(same.float().mean().item())
            print(f"frame {index + 1}: " + ", ".join(f"{k} {wall[k][-1]:.2f} s (cpu {cpu[k][-1]:.2f})" for k in wall))
    summary = {"sign_agreement": round(min(agreement), 5)}
    full = slice(6, None) if frames > 6 else slice(0, None)
    for part, times in (("wall", wall), ("cpu", cpu)):
        for name, which in (("all", slice(0, None)), ("full_memory", full)):
            mean = {kind: statistics.fmean(values[which]) for kind, values in times.items()}
            pairs = zip(times["official"][which], times["ours"][which], strict=True)
            summary[f"{part}_{name}"] = {
                **{kind: round(value, 3) for kind, value in mean.items()},
                "ratio": round(mean["official"] / mean["ours"], 2),
                "median_ratio": round(statistics.median(a / b for a, b in pairs), 2),
            }
    return summary


def memory() -> float:
    gc.collect()
    return psutil.Process().memory_info().rss / MIB


def open_folder(kind: str, clip: str, image_size: int) -> dict:
    """What opening a folder adds to a process that has already tracked something."""
    predictor, _ = build(kind, image_size)
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(2):
            predictor.init_state(make_folder(Path(folder), 1))
    before = memory()
    start = time.perf_counter()
    state = predictor.init_state(clip)
    seconds, added = time.perf_counter() - start, memory() - before
    del state  # held until it has been measured
    return {"kind": kind, "added_mib": round(added, 1), "seconds": round(seconds, 2)}


def folder(frames: int, image_size: int) -> dict:
    """Each side in a process of its own."""
    results = {}
    with tempfile.TemporaryDirectory() as where:
        clip = make_folder(Path(where), frames)
        for kind in ("ours", "official"):
            command = [
                sys.executable,
                __file__,
                "_open",
                "--kind",
                kind,
                "--clip",
                clip,
                "--image-size",
                str(image_size),
            ]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            results[kind] = json.loads(output.splitlines()[-1])
    results["share_of_official"] = round(results["ours"]["added_mib"] / results["official"]["added_mib"], 4)
    return results


def stream(frames: int, image_size: int, objects: int) -> dict:
    """Resident memory of a stream after 50 frames and at its end."""
    predictor, _ = build("ours", image_size)
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, SIZE_HW + (3,), dtype=np.uint8)
    session = predictor.stream()
    marks = {}
    for index in tqdm(range(frames), disable=False):
        session.push(np.roll(picture, 3 * index, axis=1))
        if index == 0:
            for obj_id in range(objects):
                session.add_new_points_or_box(obj_id + 1, points=[[100 + 150 * obj_id, 200]], labels=[1])
        if index in (49, frames // 2, frames - 1):
            marks[index + 1] = round(memory(), 1)
    bank = next(iter(session.session.objects.values())).bank
    first, *_, last = marks.values()
    return {
        "rss_mib": marks,
        "grown_mib": round(last - first, 1),
        "memories_kept": len(bank.prompted) + len(bank.tracked),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["speed", "folder", "stream", "_open"])
    parser.add_argument("--frames", type=int, default=9)
    parser.add_argument("--objects", type=int, default=1)
    parser.add_argument("--image-size", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--kind", default="ours")
    parser.add_argument("--clip")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    if options.what == "_open":
        print(json.dumps(open_folder(options.kind, options.clip, options.image_size)))
        return
    torch.manual_seed(0)
    if options.what == "speed":
        result = speed(options.frames, options.objects, options.image_size, options.threads, options.device)
    elif options.what == "folder":
        result = folder(options.frames, options.image_size)
    else:
        result = stream(options.frames, options.image_size, options.objects)
    conditions = {"torch": torch.__version__, "machine": platform.machine(), "cores": os.cpu_count(), **vars(options)}
    print(json.dumps({"conditions": conditions, "result": result}, indent=1))


if __name__ == "__main__":
    main()
