"""One fixed case through the whole core, so that it can be checked where the official package is not installed.

An image with clicks, the memory of a mask, and a clip of three frames: one click, then two tracked frames.
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
CLICK = ([[[90.0, 140.0]]], [[1]])
NUM_FRAMES = 3
PRESENT = 5.0  # added to every object score


def make_inputs() -> dict[str, Tensor]:
    """Pixels, points and a mask, from a seed."""
    generator = torch.Generator().manual_seed(SEED)
    return {
        "pixels": torch.randn(1, 3, IMAGE_SIZE, IMAGE_SIZE, generator=generator),
        "points": torch.tensor(POINTS),
        "labels": torch.tensor(LABELS, dtype=torch.int32),
        "mask": torch.randn(1, 1, IMAGE_SIZE, IMAGE_SIZE, generator=generator) * 5,
        "clip": torch.randn(NUM_FRAMES, 3, IMAGE_SIZE, IMAGE_SIZE, generator=generator),
    }


def give_weights(model) -> None:
    """The weights of the case, for either package: random ones, with objects that are present."""
    scramble(model, SEED)
    torch.nn.init.constant_(model.sam_mask_decoder.pred_obj_score_head.layers[-1].bias, PRESENT)


def thin(outputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Every fourth channel or cell is enough to tell a difference, and keeps the file small."""
    return {name: tensor[..., ::4].contiguous() if tensor.ndim == 4 else tensor for name, tensor in outputs.items()}


@torch.no_grad()
def record() -> None:
    """Run the case through the official package and keep what it gives."""
    model = build_official(CONFIG, IMAGE_SIZE, ("++model.binarize_mask_from_pts_for_mem_enc=true",))
    give_weights(model)
    outputs = record_image(model) | record_clip(model)
    FILE.parent.mkdir(exist_ok=True)
    save_file(thin(outputs), FILE, metadata={"recorded from": f"sam2==1.1.0, torch {torch.__version__}, CPU float32"})


def record_image(model) -> dict[str, Tensor]:
    """Image features, masks of two clicks, and the memory of a given mask."""
    case = make_inputs()
    levels, flat, sizes = encode(model, case["pixels"])
    image = levels[2] + model.no_mem_embed.view(1, -1, 1, 1)
    prompts = Prompts(case["points"], case["labels"])
    logits, iou, tokens, score = official_decoder(model, image, levels[:2], prompts, True, repeat_image=False)
    memory, _ = model._encode_new_memory(flat, sizes, case["mask"], torch.tensor([[SCORE]]), False)
    return {
        "embedding": levels[2],
        "stride4": levels[0],
        "stride8": levels[1],
        "logits": logits,
        "iou": iou,
        "tokens": tokens,
        "score": score,
        "memory": memory,
    }


def record_clip(model) -> dict[str, Tensor]:
    """A click on the first frame and two tracked frames: conditioned features, masks, pointers and memories."""
    memories: dict = {"cond_frame_outputs": {}, "non_cond_frame_outputs": {}}
    outputs = {}
    for frame, pixels in enumerate(make_inputs()["clip"]):
        _, flat, sizes = encode(model, pixels[None])
        positions = [torch.zeros_like(flat[0]), torch.zeros_like(flat[1]), sine_tokens(model, pixels[None])]
        given = {"current_vision_feats": flat, "current_vision_pos_embeds": positions, "feat_sizes": sizes}
        clicks = {"point_coords": torch.tensor(CLICK[0]), "point_labels": torch.tensor(CLICK[1], dtype=torch.int32)}
        outputs[f"conditioned {frame}"] = model._prepare_memory_conditioned_features(
            frame_idx=frame,
            is_init_cond_frame=frame == 0,
            current_vision_feats=flat[-1:],
            current_vision_pos_embeds=positions[-1:],
            feat_sizes=sizes[-1:],
            output_dict=memories,
            num_frames=NUM_FRAMES,
        )
        out = model.track_step(
            frame_idx=frame,
            is_init_cond_frame=frame == 0,
            point_inputs=clicks if frame == 0 else None,
            mask_inputs=None,
            output_dict=memories,
            num_frames=NUM_FRAMES,
            **given,
        )
        out["maskmem_features"] = out["maskmem_features"].to(torch.bfloat16)  # as the official predictor keeps it
        memories["non_cond_frame_outputs" if frame else "cond_frame_outputs"][frame] = out
        outputs |= {
            f"masks {frame}": out["pred_masks"],
            f"pointer {frame}": out["obj_ptr"],
            f"object score {frame}": out["object_score_logits"],
            f"memory {frame}": out["maskmem_features"].float(),
        }
    return outputs


def encode(model, pixels: Tensor) -> tuple[list[Tensor], list[Tensor], list[tuple[int, int]]]:
    """Features of the official image encoder: as maps, as tokens first, and the sizes of the maps"""
    levels = model.forward_image(pixels)["backbone_fpn"]
    sizes = [(IMAGE_SIZE // stride,) * 2 for stride in (4, 8, 16)]
    return levels, [level.flatten(2).permute(2, 0, 1) for level in levels], sizes


def sine_tokens(model, pixels: Tensor) -> Tensor:
    """The position encoding of the coarsest map, tokens first."""
    return model.forward_image(pixels)["vision_pos_enc"][-1].flatten(2).permute(2, 0, 1)


if __name__ == "__main__":
    record()
