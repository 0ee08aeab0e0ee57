"""The model as ONNX files, and an object tracked with them: onnxruntime and numpy, no PyTorch and no sam2nb.
Run: python examples/onnx_track.py [OUT.npz]"""

import json
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
from onnxruntime import InferenceSession
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
OUT = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/examples/onnx_track.npz")
BOX = np.float32([[72, 105], [285, 282]])  # two corners, (x, y) in pixels of the video

folder = OUT.with_suffix("")
command = [sys.executable, "-m", "sam2nb", "export", "sam2nb_nano", folder, "--format", "onnx"]
subprocess.run(command, check=True, cwd=ROOT)
facts = json.loads((folder / "model.json").read_text())  # its "how_to" says what is done below
side, grid, last = facts["image_size"], facts["mask_size"], facts["num_maskmem"] - 1
encode, decode, recall, memorize = (InferenceSession(folder / f"{name}.onnx").run for name in facts["files"])
frames = [f.to_ndarray(format="rgb24") for f in av.open(ROOT / "data/clips/big_buck_bunny.mp4").decode(video=0)]
height, width = frames[0].shape[:2]
memories, pointers, masks = [], [], []
for now, frame in enumerate(frames):
    unit = np.asarray(Image.fromarray(frame).resize((side, side)), np.float32) / 255
    pixels = (unit - np.float32(facts["image_mean"])) / np.float32(facts["image_std"])
    embedding, image, stride4, stride8 = encode(None, {"pixels": pixels.transpose(2, 0, 1)[None]})
    points, labels = [[0, 0]], [-1]  # no prompt: padding
    if now == 0:
        points, labels = BOX * side / [width, height], [2, 3]
    else:  # attend to the prompted frame, the latest frames, and object pointers
        ages = [age for age in range(last, 0, -1) if age < now]
        near = [0, *(now - distance for distance in range(1, facts["max_pointers"]) if distance < now)]
        [image] = recall(None, {"embedding": embedding, "rows": np.int64([last, *(age - 1 for age in ages)]),
            "memories": np.stack([memories[0], *(memories[now - age] for age in ages)], axis=1),
            "pointers": np.stack([pointers[frame] for frame in near], axis=1),
            "distances": np.float32([now - frame for frame in near]) / (min(len(frames), facts["max_pointers"]) - 1),
        })  # fmt: skip
    prompt = {"points": np.float32([points]), "labels": np.int64([labels]), "has_mask": np.array([[False]])}
    maps = {"conditioned": image, "stride4": stride4, "stride8": stride8}
    logits, iou, pointer, score = decode(None, {**maps, **prompt, "mask_input": np.zeros((1, 1, grid, grid), "f")})
    best = 0 if now == 0 else 1 + iou[0, 1:].argmax()
    mask = logits[:, best : best + 1] if score > 0 else np.full_like(logits[:, :1], facts["no_object_logit"])
    known = {"embedding": embedding, "object_score": score, "from_prompt": np.array([[now == 0]])}
    memories += memorize(None, {**known, "logits": mask})
    pointers.append(pointer[:, best])
    masks.append(np.asarray(Image.fromarray(mask[0, 0]).resize((width, height), Image.Resampling.BILINEAR)) > 0)
np.savez_compressed(OUT, masks=np.stack(masks))
print(f"{len(masks)} frames, {masks[0].sum():,} pixels in the first, {masks[-1].sum():,} in the last", OUT, sep="\n")
