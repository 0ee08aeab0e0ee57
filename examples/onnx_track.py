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
BOX = np.array([[72, 105], [285, 282]])  # two corners, (x, y) in pixels of the video
MODEL = OUT.with_suffix("")  # a folder
subprocess.run([sys.executable, "-m", "sam2nb", "export", "sam2nb_nano", MODEL, "--format", "onnx"], check=True)
facts = json.loads((MODEL / "model.json").read_text())  # its "how_to" says what is done below
side, last, reach = facts["image_size"], facts["num_maskmem"] - 1, facts["max_pointers"] - 1
encode, decode, recall, memorize = (InferenceSession(MODEL / f"{name}.onnx").run for name in facts["files"])
frames = [f.to_ndarray(format="rgb24") for f in av.open(ROOT / "data/clips/big_buck_bunny.mp4").decode(video=0)]
no_mask = {"mask_input": np.zeros((1, 1, *[facts["mask_size"]] * 2), "f"), "has_mask": np.array([[False]])}
memories, pointers, masks = [], [], []
for now, frame in enumerate(frames):
    unit = np.asarray(Image.fromarray(frame).resize((side, side)), "f") / 255
    pixels = (unit - np.array(facts["image_mean"], "f")) / np.array(facts["image_std"], "f")
    embedding, image, stride4, stride8 = encode(None, {"pixels": pixels.transpose(2, 0, 1)[None]})
    points, labels = (BOX * side / frame.shape[1::-1], [2, 3]) if now == 0 else (np.zeros((1, 2)), [-1])
    if now > 0:  # attend to the prompted frame, to the latest ones, and to object pointers
        ages, gaps = range(min(last, now - 1), 0, -1), [now, *range(1, min(now, reach + 1))]
        maps = {"memories": np.stack([memories[now - age] for age in (now, *ages)], axis=1)}
        maps |= {"pointers": np.stack([pointers[now - gap] for gap in gaps], axis=1)}
        order = {"rows": np.array([last, *(age - 1 for age in ages)]), "distances": np.array(gaps, "f") / reach}
        [image] = recall(None, {"embedding": embedding, **maps, **order})
    prompt = {"points": points[None].astype("f"), "labels": np.array([labels]), **no_mask}
    logits, iou, pointer, score = decode(None, {"conditioned": image, "stride4": stride4, "stride8": stride8, **prompt})
    best = 0 if now == 0 else 1 + iou[0, 1:].argmax()
    mask = np.where(score > 0, logits[:, [best]], np.float32(facts["no_object_logit"]))
    seen = {"object_score": score, "from_prompt": np.array([[now == 0]])}
    memories += memorize(None, {"embedding": embedding, "logits": mask, **seen})
    pointers.append(pointer[:, best])
    masks.append(np.asarray(Image.fromarray(mask[0, 0]).resize(frame.shape[1::-1], Image.Resampling.BILINEAR)) > 0)
np.savez_compressed(OUT, masks=masks)
print(f"{len(masks)} frames, {masks[0].sum():,} pixels in the first, {masks[-1].sum():,} in the last", OUT, sep="\n")
