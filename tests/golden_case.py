"""One fixed case through the whole core, so that it can be checked where the official package is not installed.

`python -m tests.golden_case` records it anew from the official package (sam2==1.1.0) into golden/core.safetensors.
The weights are not stored: `scramble` makes them from a seed, the same everywhere.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from sam2nb.structures import Prompts
from tests.reference import build_official, official_decoder, scramble

FILE = Path(__file__).parent / "golden" / "core.safetensors"
CONFIG, IMAGE_SIZE, SEED = "sam2.1_hiera_t", 256, 7
POINTS, LABELS = [[[60.0, 70.0], [120.0, 30.0]]], [[1, 0]]
SCORE = 3.0


def make_inputs() -> dict[str, Tensor]:
    """Pixels, points and a mask, from a seed."""
    generator = torch.Generator().manual_seed(SEED)
    return {
        "pixels": torch.randn(1, 3, IMAGE_SIZE, IMAGE_SIZE, generator=generator),
        "points": torch.tensor(POINTS),
        "labels": torch.tensor(LABELS, dtype=torch.int32),
        "mask": torch.randn(1, 1, IMAGE_SIZE, IMAGE_SIZE, generator=generator) * 5,
    }


def thin(outputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Every fourth channel or cell is enough to tell a difference, and keeps the file small."""
    return {name: tensor[..., ::4].contiguous() if tensor.ndim == 4 else tensor for name, tensor in outputs.items()}


@torch.no_grad()
def record() -> None:
    """Run the case through the official package and keep what it says."""
    model = build_official(CONFIG, IMAGE_SIZE, ("++model.binarize_mask_from_pts_for_mem_enc=true",))
    scramble(model, SEED)
    case = make_inputs()
    levels = model.forward_image(case["pixels"])["backbone_fpn"]
    image = levels[2] + model.no_mem_embed.view(1, -1, 1, 1)
    prompts = Prompts(case["points"], case["labels"])
    logits, iou, tokens, score = official_decoder(model, image, levels[:2], prompts, True, repeat_image=False)
    sizes = [(IMAGE_SIZE // stride,) * 2 for stride in (4, 8, 16)]
    flat = [level.flatten(2).permute(2, 0, 1) for level in levels]
    memory, _ = model._encode_new_memory(flat, sizes, case["mask"], torch.tensor([[SCORE]]), False)
    outputs = {
        "embedding": levels[2],
        "stride4": levels[0],
        "stride8": levels[1],
        "logits": logits,
        "iou": iou,
        "tokens": tokens,
        "score": score,
        "memory": memory,
    }
    FILE.parent.mkdir(exist_ok=True)
    save_file(thin(outputs), FILE, metadata={"recorded from": f"sam2==1.1.0, torch {torch.__version__}, CPU float32"})


if __name__ == "__main__":
    record()
