"""An object tracked with ONNX files, by onnxruntime and numpy alone: neither PyTorch nor sam2nb computes.
Run: python examples/onnx_track.py [OUT.npz]"""

import json
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
from onnxruntime import InferenceSession
from PIL import Image

OUT = Path([*sys.argv, "build/examples/onnx_track.npz"][1])
MODEL, VIDEO = OUT.with_suffix(""), av.open(Path(__file__).resolve().parents[1] / "data/clips/big_buck_bunny.mp4")
BOX = np.array([[72, 105], [285, 282]])  # two corners, (x, y) in pixels of the video
subprocess.run([sys.executable, "-m", "sam2nb", "export", "sam2nb_nano", MODEL, "--format", "onnx"], check=True)
facts = json.loads((MODEL / "model.json").read_text())  # its "how_to" says what is done below
side, last, reach = facts["image_size"], facts["num_maskmem"] - 1, facts["max_pointers"] - 1
encode, decode, recall, memorize = (InferenceSession(MODEL / f"{name}.onnx").run for name in facts["files"])
no_mask = {"mask_input": np.zeros((1, 1, *[facts["mask_size"]] * 2), "f"), "has_mask": np.array([[False]])}
memories, pointers, masks = [], [], []
for now, frame in enumerate(frame.to_ndarray(format="rgb24") for frame in VIDEO.decode(video=0)):
    pixels = (np.asarray(Image.fromarray(frame).resize((side, side))) / 255 - facts["image_mean"]) / facts["image_std"]
    embedding, image, stride4, stride8 = encode(None, {"pixels": pixels.transpose(2, 0, 1)[None].astype("f")})
    points, labels = (BOX * side / frame.shape[1::-1], [2, 3]) if now == 0 else (np.zeros((1, 2)), [-1])
    if now > 0:  # attend to the prompted frame, to the latest ones, and to object pointers
        ages, gaps = np.r_[now, min(last, now - 1) : 0 : -1], np.r_[now, 1 : min(now, reach + 1)]
        past = {"memories": np.stack(memories, 1)[:, now - ages], "pointers": np.stack(pointers, 1)[:, now - gaps]}
        order = {"rows": np.r_[last, ages[1:] - 1], "distances": (gaps / reach).astype("f")}
        [image] = recall(None, {"embedding": embedding, **past, **order})
    prompt = {"points": points[None].astype("f"), "labels": np.array([labels]), **no_mask}
    logits, iou, pointer, score = decode(None, {"conditioned": image, "stride4": stride4, "stride8": stride8, **prompt})
    best = 0 if now == 0 else 1 + iou[0, 1:].argmax()
    mask = np.where(score > 0, logits[:, [best]], np.float32(facts["no_object_logit"]))  # as with fill_hole_area=0
    seen = {"embedding": embedding, "logits": mask, "object_score": score, "from_prompt": np.array([[now == 0]])}
    memories, pointers = memories + memorize(None, seen), [*pointers, pointer[:, best]]
    masks.append(np.asarray(Image.fromarray(mask[0, 0]).resize(frame.shape[1::-1], Image.Resampling.BILINEAR)) > 0)
np.savez_compressed(OUT, masks=masks)
print(f"{len(masks)} frames, {masks[0].sum():,} pixels in the first, {masks[-1].sum():,} in the last", OUT, sep="\n")
