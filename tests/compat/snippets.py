"""Code as the READMEs and notebooks of SAM 2 teach it: the same calls, with their imports, on a small model.

Each snippet is run twice: after changing its imports to `from sam2nb import …`, and unchanged after
`sam2nb.compat.install()`. `project` makes the folder that it runs in, with a small configuration and random weights
under the names that the READMEs use.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from PIL import Image

from sam2nb.build import build_sam2
from sam2nb.weights.checkpoint import save_checkpoint
from tests.reference import scramble

SIZE_HW, FRAMES = (40, 56), 3
GIVEN = """
import numpy as np
from PIL import Image
image = np.array(Image.open("photo.png").convert("RGB"))
points, labels, box = np.array([[20, 20]], np.float32), np.array([1], np.int32), np.array([8, 10, 30, 32])
"""

SNIPPETS = {
    "an image": """
import torch
from sam2.build_sam import build_sam2
from sam2.sam2_image_predictor import SAM2ImagePredictor

checkpoint = "./checkpoints/sam2.1_hiera_large.pt"
model_cfg = "configs/sam2.1/sam2.1_hiera_l.yaml"
predictor = SAM2ImagePredictor(build_sam2(model_cfg, checkpoint))

with torch.inference_mode(), torch.autocast("cuda", dtype=torch.bfloat16):
    predictor.set_image(image)
    masks, _, _ = predictor.predict(points, labels)
assert masks.shape == (3, 40, 56)
""",
    "an image by the names of the first release": """
import torch
from sam2.build_sam import build_sam2
from sam2.sam2_image_predictor import SAM2ImagePredictor

sam2_model = build_sam2("sam2_hiera_l.yaml", "./checkpoints/sam2_hiera_large.pt", device="cpu")
predictor = SAM2ImagePredictor(sam2_model)
with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
    predictor.set_image(image)
    masks, scores, logits = predictor.predict(point_coords=points, point_labels=labels, multimask_output=True)
assert masks.shape == (3, 40, 56) and scores.shape == (3,) and logits.shape == (3, 32, 32)
""",
    "refinement, boxes and batches": """
from sam2.build_sam import build_sam2
from sam2.sam2_image_predictor import SAM2ImagePredictor

predictor = SAM2ImagePredictor(build_sam2("configs/sam2.1/sam2.1_hiera_l.yaml", "./checkpoints/sam2.1_hiera_large.pt"))
predictor.set_image(image)
masks, scores, logits = predictor.predict(point_coords=points, point_labels=labels, multimask_output=True)
masks = masks[np.argsort(scores)[::-1]]
mask_input = logits[np.argmax(scores), :, :]
masks, scores, _ = predictor.predict(
    point_coords=np.array([[20, 20], [25, 22]]),
    point_labels=np.array([1, 0]),
    mask_input=mask_input[None, :, :],
    multimask_output=False,
)
assert masks.shape == (1, 40, 56)
masks, scores, _ = predictor.predict(point_coords=None, point_labels=None, box=box[None, :], multimask_output=False)
assert masks.shape == (1, 40, 56)
masks, scores, _ = predictor.predict(
    point_coords=None, point_labels=None, box=np.array([box, box + 2, box + 4, box - 2]), multimask_output=False
)
assert masks.shape == (4, 1, 40, 56)

predictor.set_image_batch([image, image[:30]])
masks_batch, scores_batch, _ = predictor.predict_batch(
    None, None, box_batch=[box[None], np.array([box, box])], multimask_output=False
)
assert [masks.shape for masks in masks_batch] == [(1, 40, 56), (2, 1, 30, 56)]
points_batch, labels_batch = [points[None], points[None]], [labels[None], labels[None]]
masks_batch, scores_batch, _ = predictor.predict_batch(
    points_batch, labels_batch, box_batch=None, multimask_output=True
)
best_masks = [masks[np.argmax(scores)] for masks, scores in zip(masks_batch, scores_batch)]
assert [mask.shape for mask in best_masks] == [(40, 56), (30, 56)]
""",
    "everything": """
import supervision as sv
from sam2.build_sam import build_sam2
from sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator

sam2 = build_sam2(
    "configs/sam2.1/sam2.1_hiera_l.yaml",
    "./checkpoints/sam2.1_hiera_large.pt",
    device="cpu",
    apply_postprocessing=False,
)
mask_generator = SAM2AutomaticMaskGenerator(sam2)
mask_generator_2 = SAM2AutomaticMaskGenerator(
    model=sam2,
    points_per_side=64,
    points_per_batch=128,
    pred_iou_thresh=0.7,
    stability_score_thresh=0.92,
    stability_score_offset=0.7,
    crop_n_layers=1,
    box_nms_thresh=0.7,
    crop_n_points_downscale_factor=2,
    min_mask_region_area=25.0,
    use_m2m=True,
)
assert mask_generator.points_per_batch == 64 and mask_generator_2.points_per_batch == 128
# fewer points, and thresholds that random weights pass
mask_generator_2 = SAM2AutomaticMaskGenerator(
    model=sam2,
    points_per_side=4,
    points_per_batch=128,
    pred_iou_thresh=0.0,
    stability_score_thresh=0.0,
    stability_score_offset=0.7,
    crop_n_layers=1,
    box_nms_thresh=0.7,
    crop_n_points_downscale_factor=2,
    min_mask_region_area=25.0,
    use_m2m=True,
)
masks = mask_generator_2.generate(image)
assert len(masks) > 0
assert set(masks[0]) == {
    "segmentation", "area", "bbox", "predicted_iou", "point_coords", "stability_score", "crop_box"
}
detections = sv.Detections.from_sam(masks)
assert len(detections) == len(masks) and detections.mask[0].sum() == max(mask["area"] for mask in masks)
assert sv.MaskAnnotator(color_lookup=sv.ColorLookup.INDEX).annotate(image.copy(), detections).shape == image.shape
""",
    "a video": """
import torch
from sam2.build_sam import build_sam2_video_predictor

checkpoint = "./checkpoints/sam2.1_hiera_large.pt"
model_cfg = "configs/sam2.1/sam2.1_hiera_l.yaml"
predictor = build_sam2_video_predictor(model_cfg, checkpoint)

with torch.inference_mode(), torch.autocast("cuda", dtype=torch.bfloat16):
    state = predictor.init_state("clip")

    frame_idx, object_ids, masks = predictor.add_new_points_or_box(state, 0, 1, points, labels)
    assert (frame_idx, object_ids) == (0, [1]) and masks.shape == (1, 1, 40, 56)

    for frame_idx, object_ids, masks in predictor.propagate_in_video(state):
        assert masks.shape == (1, 1, 40, 56)
assert frame_idx == 2
""",
    "several objects of a video, corrected and reset": """
from sam2.build_sam import build_sam2_video_predictor

predictor = build_sam2_video_predictor(
    "configs/sam2.1/sam2.1_hiera_l.yaml", "./checkpoints/sam2.1_hiera_large.pt", device="cpu"
)
inference_state = predictor.init_state(video_path="clip")
predictor.reset_state(inference_state)
_, out_obj_ids, out_mask_logits = predictor.add_new_points(
    inference_state=inference_state, frame_idx=0, obj_id=1, points=points, labels=labels
)
_, out_obj_ids, out_mask_logits = predictor.add_new_points_or_box(
    inference_state=inference_state, frame_idx=0, obj_id=4, points=points, labels=labels, box=box
)
_, out_obj_ids, out_mask_logits = predictor.add_new_mask(
    inference_state=inference_state, frame_idx=0, obj_id=7, mask=(out_mask_logits[1] > 0.0).cpu().numpy()
)
video_segments = {}
for out_frame_idx, out_obj_ids, out_mask_logits in predictor.propagate_in_video(inference_state):
    video_segments[out_frame_idx] = {
        out_obj_id: (out_mask_logits[i] > 0.0).cpu().numpy() for i, out_obj_id in enumerate(out_obj_ids)
    }
assert list(video_segments) == [0, 1, 2] and list(video_segments[2]) == [1, 4, 7]
assert video_segments[2][4].shape == (1, 40, 56)
predictor.remove_object(inference_state, 4)
assert [ids for _, ids, _ in predictor.propagate_in_video(inference_state)] == [[1, 7]] * 3
""",
    "a compiled video predictor": """
from sam2.build_sam import build_sam2_video_predictor

predictor = build_sam2_video_predictor(
    "configs/sam2.1/sam2.1_hiera_l.yaml", "./checkpoints/sam2.1_hiera_large.pt", vos_optimized=True
)
state = predictor.init_state("clip")
predictor.add_new_points_or_box(state, 0, 1, points, labels)
assert len(list(predictor.propagate_in_video(state))) == 3
assert compiled == ["ImageEncoder", "MemoryAttention", "MemoryEncoder", "MaskDecoder"]
""",
    "a compiled image encoder": """
from sam2.build_sam import build_sam2
from sam2.sam2_image_predictor import SAM2ImagePredictor

predictor = SAM2ImagePredictor(build_sam2("configs/compiled.yaml", "./checkpoints/sam2.1_hiera_large.pt"))
predictor.set_image(image)
assert compiled == ["ImageEncoder"]
""",
    "weights by name": """
import torch
from sam2.build_sam import build_sam2_hf, build_sam2_video_predictor_hf
from sam2.sam2_image_predictor import SAM2ImagePredictor
from sam2.sam2_video_predictor import SAM2VideoPredictor
from sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator

predictor = SAM2ImagePredictor.from_pretrained("sam2nb_nano")
with torch.inference_mode(), torch.autocast("cuda", dtype=torch.bfloat16):
    predictor.set_image(image)
    masks, _, _ = predictor.predict(points, labels)
assert masks.shape == (3, 40, 56)
predictor = SAM2VideoPredictor.from_pretrained("sam2nb_nano", device="cpu")
state = predictor.init_state("clip")
predictor.add_new_points_or_box(state, 0, 1, box=box)
assert len(list(predictor.propagate_in_video(state))) == 3
assert SAM2AutomaticMaskGenerator.from_pretrained("sam2nb_nano", points_per_batch=8).points_per_batch == 8
assert build_sam2_hf("sam2nb_nano", device="cpu").image_size == 256
assert build_sam2_video_predictor_hf("sam2nb_nano", apply_postprocessing=False).fill_hole_area == 0
""",
}

COUNT_COMPILED = """
import torch
compiled = []
def count(function, **_):
    compiled.append(function.__qualname__.split(".")[0])
    return function
"""  # in place of the compiler, which takes minutes

META_CONFIG = """# @package _global_
model:
  _target_: sam2.modeling.sam2_base.SAM2Base
  image_encoder:
    _target_: sam2.modeling.backbones.image_encoder.ImageEncoder
    scalp: 1
    trunk:
      _target_: sam2.modeling.backbones.hieradet.Hiera
      embed_dim: 16
      num_heads: 1
      stages: [1, 1, 1, 1]
      global_att_blocks: [2]
      window_pos_embed_bkg_spatial_size: [7, 7]
    neck:
      _target_: sam2.modeling.backbones.image_encoder.FpnNeck
      d_model: 256
      backbone_channel_list: [128, 64, 32, 16]
      fpn_top_down_levels: [2, 3]
      fpn_interp_model: nearest
  memory_attention:
    _target_: sam2.modeling.memory_attention.MemoryAttention
    d_model: 256
    layer:
      dim_feedforward: 64
    num_layers: 1
  memory_encoder:
    out_dim: 64
    fuser:
      num_layers: 1
  num_maskmem: 7
  image_size: 128
  sigmoid_scale_for_mem_enc: 20.0
  multimask_min_pt_num: 0
  no_obj_embed_spatial: {is_2_1}
  add_tpos_enc_to_obj_ptrs: {is_2_1}
  compile_image_encoder: {compiles}
"""


def with_our_imports(code: str) -> str:
    """The snippet after changing its imports."""
    return re.sub(r"from sam2\.[\w.]+ import", "from sam2nb import", code)


def project(folder: Path) -> Path:
    """A folder with a photo, a clip, small configurations in Meta's form and random weights for them."""
    rng = np.random.default_rng(0)
    (folder / "clip").mkdir()
    for index in range(FRAMES):
        pixels = rng.integers(0, 255, (*SIZE_HW, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "clip" / f"{index:05d}.jpg")
        Image.fromarray(pixels).save(folder / "photo.png")
    for config, checkpoint, is_2_1, compiles in (
        ("configs/sam2.1/sam2.1_hiera_l.yaml", "sam2.1_hiera_large", True, False),
        ("sam2_hiera_l.yaml", "sam2_hiera_large", False, False),
        ("configs/compiled.yaml", None, True, True),
    ):
        (folder / config).parent.mkdir(parents=True, exist_ok=True)
        (folder / config).write_text(META_CONFIG.format(is_2_1=is_2_1, compiles=compiles))
        if checkpoint:
            model = build_sam2(folder / config, device="cpu")
            scramble(model)
            (folder / "checkpoints").mkdir(exist_ok=True)
            save_checkpoint(model, folder / "checkpoints" / f"{checkpoint}.pt")
    return folder
