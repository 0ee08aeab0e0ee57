"""The implementations that `benchmark` times, each behind the same four verbs: encode, click, everything, track.

Each gets the same weights, the same photograph, the same clip and its usual interface. `official` and `transformers`
need their packages (`sam2==1.1.0`, `transformers`); their results are those packages', not ours.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from sam2nb.build import build_sam2, load_model, pick_device, pick_dtype
from sam2nb.fast.compiled import compile_boxes
from sam2nb.model.sam2 import SAM2
from sam2nb.weights.registry import find_checkpoint

GRID_SIDE = 16  # points per side of everything-mode


@dataclass(frozen=True)
class Setting:
    """What is the same for all contestants of one run."""

    model: str
    weights: str | None  # a file in official naming; None: random, made from one seed
    device: str
    dtype: str
    image_size: int
    compile: bool
    threads: int | None
    seed: int = 0


class Contestant(Protocol):
    """An implementation under test. `track` yields after every frame."""

    def encode(self, photo: NDArray) -> None: ...
    def click(self, x: float, y: float) -> None: ...
    def everything(self, photo: NDArray) -> None: ...
    def track(self, clip: Path, boxes: NDArray) -> Iterator[None]: ...


def build_model(setting: Setting) -> SAM2:
    """Our model of a setting; random weights are the same in every process."""
    torch.manual_seed(setting.seed)
    device = pick_device(setting.device)
    size = [f"++model.image_size={setting.image_size}"]
    if setting.weights is None:
        model = build_sam2(find_checkpoint(setting.model).config, device=device, hydra_overrides_extra=size)
    elif setting.weights == "own":
        model = load_model(setting.model, device=device, image_size=setting.image_size)
    else:
        config = find_checkpoint(setting.model).config
        model = build_sam2(config, setting.weights, device, hydra_overrides_extra=size)
    model.compute_dtype = pick_dtype(setting.dtype, device)
    return model


class Ours:
    """This package."""

    def __init__(self, setting: Setting) -> None:
        from sam2nb.predict.everything.generator import SAM2AutomaticMaskGenerator
        from sam2nb.predict.image import SAM2ImagePredictor
        from sam2nb.predict.video.predictor import SAM2VideoPredictor

        model = build_model(setting)
        if setting.compile:
            compile_boxes(model)
        self.predictor = SAM2ImagePredictor(model)
        self.generator = SAM2AutomaticMaskGenerator(model, points_per_side=GRID_SIDE)
        self.video = SAM2VideoPredictor(model)

    def encode(self, photo: NDArray) -> None:
        self.predictor.set_image(photo)

    def click(self, x: float, y: float) -> None:
        self.predictor.predict(np.array([[x, y]], np.float32), np.array([1]))

    def everything(self, photo: NDArray) -> None:
        self.generator.generate(photo)

    def track(self, clip: Path, boxes: NDArray) -> Iterator[None]:
        return _track(self.video, clip, boxes)


class Official:
    """Meta's `sam2` package."""

    def __init__(self, setting: Setting) -> None:
        from sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator
        from sam2.build_sam import build_sam2 as build_official
        from sam2.build_sam import build_sam2_video_predictor
        from sam2.sam2_image_predictor import SAM2ImagePredictor

        own = build_model(setting)
        entry = find_checkpoint(setting.model).config
        config = f"configs/{'sam2.1' if entry.startswith('sam2.1') else 'sam2'}/{entry}.yaml"
        options: dict[str, Any] = {
            "device": setting.device,
            "hydra_overrides_extra": [f"++model.image_size={setting.image_size}"],
        }
        model = build_official(config, None, **options)
        self.video = build_sam2_video_predictor(config, None, vos_optimized=setting.compile, **options)
        for target in (model, self.video):
            target.load_state_dict(own.state_dict())
        self.predictor = SAM2ImagePredictor(model)
        self.generator = SAM2AutomaticMaskGenerator(model, points_per_side=GRID_SIDE)
        self.precision = _autocast(setting)

    def encode(self, photo: NDArray) -> None:
        with self.precision():
            self.predictor.set_image(photo)

    def click(self, x: float, y: float) -> None:
        with self.precision():
            self.predictor.predict(np.array([[x, y]], np.float32), np.array([1]))

    def everything(self, photo: NDArray) -> None:
        with self.precision():
            self.generator.generate(photo)

    def track(self, clip: Path, boxes: NDArray) -> Iterator[None]:
        return _track(self.video, clip, boxes, self.precision)


class Transformers:
    """Hugging Face's `transformers`."""

    def __init__(self, setting: Setting) -> None:
        import transformers

        from sam2nb.huggingface import Sam2Config, Sam2Model

        ours = Sam2Model(Sam2Config(find_checkpoint(setting.model).config, setting.image_size))
        ours.sam2.load_state_dict(build_model(setting).state_dict())
        with tempfile.TemporaryDirectory() as folder:
            ours.save_pretrained(folder)
            self.model = transformers.Sam2Model.from_pretrained(folder).eval().to(setting.device)
            self.video_model = transformers.Sam2VideoModel.from_pretrained(folder).eval().to(setting.device)
        if setting.compile:
            self.model, self.video_model = torch.compile(self.model), torch.compile(self.video_model)
        side = {"height": setting.image_size, "width": setting.image_size}
        images = transformers.Sam2ImageProcessor(size=side)
        self.processor = transformers.Sam2Processor(images, target_size=setting.image_size)
        self.video_processor = transformers.Sam2VideoProcessor(
            images, transformers.Sam2VideoVideoProcessor(size=side), target_size=setting.image_size
        )
        self.device, self.precision = setting.device, _autocast(setting)
        self.embeddings: Any = None
        self.sizes: Any = None

    @torch.inference_mode()
    def encode(self, photo: NDArray) -> None:
        inputs = self.processor(images=Image.fromarray(photo), return_tensors="pt").to(self.device)
        self.sizes = inputs["original_sizes"]
        with self.precision():
            self.embeddings = self.model.get_image_embeddings(inputs["pixel_values"])

    @torch.inference_mode()
    def click(self, x: float, y: float) -> None:
        prompt = self.processor(
            input_points=[[[[x, y]]]], input_labels=[[[1]]], original_sizes=self.sizes, return_tensors="pt"
        ).to(self.device)
        points = {name: prompt[name] for name in ("input_points", "input_labels")}
        with self.precision():
            answer = self.model(image_embeddings=self.embeddings, multimask_output=True, **points)
        self.processor.post_process_masks(answer.pred_masks.float().cpu(), self.sizes)

    def everything(self, photo: NDArray) -> None:
        raise NotImplementedError("transformers has no everything-mode of this grid behind the same interface")

    @torch.inference_mode()
    def track(self, clip: Path, boxes: NDArray) -> Iterator[None]:
        frames = [Image.open(file).convert("RGB") for file in sorted(clip.iterdir())]
        session = self.video_processor.init_video_session(video=frames, inference_device=self.device)
        self.video_processor.add_inputs_to_inference_session(
            session, frame_idx=0, obj_ids=list(range(len(boxes))), input_boxes=[boxes.tolist()]
        )
        with self.precision():
            self.video_model(inference_session=session, frame_idx=0)
            for answer in self.video_model.propagate_in_video_iterator(session):
                self.video_processor.post_process_masks(
                    [answer.pred_masks], [[session.video_height, session.video_width]], binarize=False
                )
                yield


CONTESTANTS: dict[str, Callable[[Setting], Contestant]] = {
    "sam2nb": Ours,
    "official": Official,
    "transformers": Transformers,
}


def _track(
    predictor: Any, clip: Path, boxes: NDArray, precision: Callable[[], AbstractContextManager] = nullcontext
) -> Iterator[None]:
    """Official's calling convention, which is ours too: prompt every object by a box, then go frame by frame."""
    with torch.inference_mode(), precision():
        state = predictor.init_state(str(clip))
        for obj_id, box in enumerate(boxes):
            predictor.add_new_points_or_box(state, 0, obj_id, box=box)
        for _ in predictor.propagate_in_video(state):
            yield


def _autocast(setting: Setting) -> Callable[[], AbstractContextManager]:
    device = pick_device(setting.device)
    dtype = pick_dtype(setting.dtype, device)
    return nullcontext if dtype is torch.float32 else lambda: torch.autocast(device.type, dtype=dtype)
