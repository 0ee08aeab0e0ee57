"""The public surface as a typed program uses it; mypy checks it strictly, nothing runs it."""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

import numpy as np
import torch

from sam2nb import (
    CHECKPOINTS,
    SAM2,
    EverythingStream,
    SAM2AutomaticMaskGenerator,
    SAM2ImagePredictor,
    SAM2VideoPredictor,
    VolumeSlices,
    build_sam2,
    build_sam2_video_predictor,
    download,
    load_checkpoint,
    load_model,
    save_checkpoint,
    segment_like,
    segment_volume,
    track_everything,
)


def models() -> SAM2:
    assert_type(list(CHECKPOINTS), list[str])
    assert_type(download("sam2.1_hiera_tiny"), Path)
    built = build_sam2("sam2.1_hiera_t", device="cpu", hydra_overrides_extra=["++model.image_size=512"])
    load_checkpoint(built, "weights.pt")
    assert_type(save_checkpoint(built, Path("copy.safetensors"), dtype=torch.float16), Path)
    return load_model("auto", device=torch.device("cpu"), dtype="bfloat16", image_size=512)


def images(model: SAM2) -> None:
    predictor = SAM2ImagePredictor(model, max_hole_area=10, cache="cache")
    predictor.set_image(np.zeros((9, 9, 3), np.uint8))
    predictor.set_image(Path("photo.jpg"))
    masks, scores, _logits = predictor.predict([[3, 4]], [1], box=(1, 2, 3, 4), multimask_output=False)
    print(masks.shape)
    predictor.predict(point_coords=torch.zeros(1, 2), point_labels=np.ones(1))
    print(scores.argmax(), predictor.save("image.safetensors").name)
    for record in SAM2AutomaticMaskGenerator(model, points_per_side=8, output_mode="coco_rle").generate("photo.jpg"):
        print(record["area"])


def videos(model: SAM2, volume: np.ndarray) -> None:
    predictor = SAM2VideoPredictor(model, memory="official", progress=False)
    session = predictor.init_state("clip.mp4", async_loading_frames=True)
    predictor.add_new_points_or_box(session, 0, "cat", points=[[3, 4]], labels=[1])
    predictor.add_new_mask(session, frame_idx=1, obj_id=2, mask=torch.zeros(9, 9))
    for frame_idx, _obj_ids, masks in predictor.propagate_in_video(session, reverse=True):
        assert_type(frame_idx, int)
        assert_type(masks, torch.Tensor)
    assert_type(predictor.save_session(session, "work.session"), Path)
    predictor.load_session("work.session", "clip.mp4")
    for result in predictor.stream(0):
        print(result.quality, result.presence, result.names)
    for result in track_everything(predictor, "clip.mp4", every=5):
        print(result.frame_idx)
    EverythingStream(predictor, max_objects=3).push(volume[0])
    for index, *_ in segment_like("a.jpg", volume[0], ["b.jpg"], predictor):
        print(index)
    slices = predictor.init_state(VolumeSlices(volume, axis=0))
    print(segment_volume(predictor, slices)[1].sum())
    build_sam2_video_predictor("sam2.1_hiera_t", vos_optimized=False).reset_state(slices)
