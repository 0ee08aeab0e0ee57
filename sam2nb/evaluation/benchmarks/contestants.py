"""The implementations that a benchmark compares, all behind the same methods.

Every contestant gets the same weights, the same images and its usual interface. `official` and `transformers` need
their packages (`sam2==1.1.0`, `transformers`). This file runs in a contestant's process, where `sam2nb` may be another
checkout: of `sam2nb` itself it uses only the public names.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from sam2nb.evaluation.benchmarks.setting import Setting, Workload

UNFILTERED = {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "output_mode": "coco_rle"}


class Contestant(Protocol):
    """An implementation under test."""

    def encode(self, image: NDArray) -> None:
        """Encode an image, (H, W, 3) uint8, for the clicks that follow."""

    def click(self, x: float, y: float) -> Any:
        """Masks or logits predicted from one click: (3, H, W)"""

    def everything(self, workload: Workload, unfiltered: bool) -> Callable[[NDArray], int]:
        """A function that segments everything in an image and returns the number of masks."""

    def open(self, clip: Path) -> Any:
        """Open a folder of frames and return the state that holds it."""

    def track(self, clip: Path, boxes: NDArray) -> Iterator[Any]:
        """Prompt every box on frame 0 and yield the logits of every frame: (N, 1, H, W)"""

    def stream(self, frame: NDArray, boxes: NDArray) -> Callable[[NDArray], Any]:
        """Prompt every box on a first frame and return a function that takes the next frame and returns logits."""


def build_model(setting: Setting, weights: Path | None) -> Any:
    """Our model of a setting; random weights are the same in every process.

    weights: a checkpoint file, or None for random weights.
    """
    import sam2nb

    torch.manual_seed(setting.seed)
    model = sam2nb.build_sam2_video_predictor(
        sam2nb.CHECKPOINTS[setting.model].config,
        device=setting.device,
        hydra_overrides_extra=[f"++model.image_size={setting.image_size}"],
        vos_optimized=setting.compile,
    ).model
    if weights is not None:
        sam2nb.load_checkpoint(model, weights)
    model.compute_dtype = getattr(torch, setting.dtype)
    return model


@dataclass
class PackageContestant:
    """A package with the official calling convention: Meta's, ours, or another checkout of ours.

    make_generator: takes the options of SAM2AutomaticMaskGenerator. make_video_predictor: raises ValueError for weights
    with which the package cannot track. precision: the context in which every call runs.
    """

    predictor: Any
    make_generator: Callable[..., Any]
    make_video_predictor: Callable[[], Any]
    precision: Callable[[], AbstractContextManager] = nullcontext

    def encode(self, image: NDArray) -> None:
        with self.precision():
            self.predictor.set_image(image)

    def click(self, x: float, y: float) -> Any:
        with self.precision():
            return self.predictor.predict(np.array([[x, y]], np.float32), np.array([1]))[0]

    def everything(self, workload: Workload, unfiltered: bool) -> Callable[[NDArray], int]:
        grid = {"points_per_side": workload.points_per_side, "points_per_batch": workload.points_per_batch}
        generator = self.make_generator(**grid, **(UNFILTERED if unfiltered else {}))

        def segment(image: NDArray) -> int:
            with self.precision():
                return len(generator.generate(image))

        return segment

    def open(self, clip: Path) -> Any:
        with self.precision():
            return self.make_video_predictor().init_state(str(clip))

    def track(self, clip: Path, boxes: NDArray) -> Iterator[Any]:
        predictor = self.make_video_predictor()
        with torch.inference_mode(), self.precision():
            state = predictor.init_state(str(clip))
            for obj_id, box in enumerate(boxes):
                predictor.add_new_points_or_box(state, 0, obj_id, box=box)
            for _, _, logits in predictor.propagate_in_video(state):
                yield logits

    def stream(self, frame: NDArray, boxes: NDArray) -> Callable[[NDArray], Any]:
        predictor = self.make_video_predictor()
        if not hasattr(predictor, "stream"):
            raise NotImplementedError("this package has no stream that is fed frame by frame")
        session = predictor.stream()
        session.push(frame)
        for obj_id, box in enumerate(boxes):
            session.add_new_points_or_box(obj_id, box=box)
        return lambda later: session.push(later)[2]


def build_sam2nb(setting: Setting, weights: Path | None) -> PackageContestant:
    """The `sam2nb` of this process: this package, or another checkout of it."""
    from sam2nb import SAM2AutomaticMaskGenerator, SAM2ImagePredictor, SAM2VideoPredictor

    model = build_model(setting, weights)
    if setting.engine is not None:
        from sam2nb.build import use_engine  # not in every checkout

        use_engine(model, setting.engine, setting.precision)
    images = SAM2ImagePredictor(model)
    images.closer = False  # one look, as the others
    return PackageContestant(images, partial(SAM2AutomaticMaskGenerator, model), partial(SAM2VideoPredictor, model))


def build_official(setting: Setting, weights: Path | None) -> PackageContestant:
    """Meta's `sam2` package."""
    from sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator
    from sam2.build_sam import build_sam2, build_sam2_video_predictor
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    import sam2nb

    ours = build_model(replace(setting, compile=False), weights)
    entry = sam2nb.CHECKPOINTS[setting.model].config
    config = f"configs/{'sam2.1' if entry.startswith('sam2.1') else 'sam2'}/{entry}.yaml"
    size = [f"++model.image_size={setting.image_size}"]
    model = build_sam2(config, None, setting.device, hydra_overrides_extra=size)
    video = build_sam2_video_predictor(
        config, None, setting.device, hydra_overrides_extra=size, vos_optimized=setting.compile
    )
    for target in (model, video):
        target.load_state_dict(ours.state_dict())

    def video_predictor() -> Any:
        if getattr(ours, "missing_parts", ()):
            raise ValueError("these weights have no learned memory, and the official package has no other")
        return video

    return PackageContestant(
        SAM2ImagePredictor(model), partial(SAM2AutomaticMaskGenerator, model), video_predictor, _autocast(setting)
    )


class TransformersContestant:
    """Hugging Face's `transformers`."""

    def __init__(self, setting: Setting, weights: Path | None) -> None:
        import transformers

        from sam2nb import CHECKPOINTS
        from sam2nb.huggingface.config import Sam2Config
        from sam2nb.huggingface.model import Sam2Model

        ours = Sam2Model(Sam2Config(CHECKPOINTS[setting.model].config, setting.image_size))
        ours.sam2.load_state_dict(build_model(replace(setting, compile=False), weights).state_dict())
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
    def encode(self, image: NDArray) -> None:
        inputs = self.processor(images=Image.fromarray(image), return_tensors="pt").to(self.device)
        self.sizes = inputs["original_sizes"]
        with self.precision():
            self.embeddings = self.model.get_image_embeddings(inputs["pixel_values"])

    @torch.inference_mode()
    def click(self, x: float, y: float) -> Any:
        prompt = self.processor(
            input_points=[[[[x, y]]]], input_labels=[[[1]]], original_sizes=self.sizes, return_tensors="pt"
        ).to(self.device)
        points = {name: prompt[name] for name in ("input_points", "input_labels")}
        with self.precision():
            output = self.model(image_embeddings=self.embeddings, multimask_output=True, **points)
        return self.processor.post_process_masks(output.pred_masks.float().cpu(), self.sizes)[0]

    def everything(self, workload: Workload, unfiltered: bool) -> Callable[[NDArray], int]:
        raise NotImplementedError("transformers has no everything mode with this grid behind the same interface")

    def stream(self, frame: NDArray, boxes: NDArray) -> Callable[[NDArray], Any]:
        raise NotImplementedError("streams are measured for sam2nb only")

    def open(self, clip: Path) -> Any:
        frames = [Image.open(file).convert("RGB") for file in sorted(clip.iterdir())]
        return self.video_processor.init_video_session(video=frames, inference_device=self.device)

    @torch.inference_mode()
    def track(self, clip: Path, boxes: NDArray) -> Iterator[Any]:
        session = self.open(clip)
        self.video_processor.add_inputs_to_inference_session(
            session, frame_idx=0, obj_ids=list(range(len(boxes))), input_boxes=[boxes.tolist()]
        )
        size_hw = [session.video_height, session.video_width]
        with self.precision():
            self.video_model(inference_session=session, frame_idx=0)
            for output in self.video_model.propagate_in_video_iterator(session):
                yield self.video_processor.post_process_masks([output.pred_masks], [size_hw], binarize=False)[0]


CONTESTANTS: Mapping[str, Callable[[Setting, Path | None], Contestant]] = {
    "sam2nb": build_sam2nb,
    "official": build_official,
    "transformers": TransformersContestant,
}


def _autocast(setting: Setting) -> Callable[[], AbstractContextManager]:
    dtype = getattr(torch, setting.dtype)
    if dtype is torch.float32:
        return nullcontext
    return lambda: torch.autocast(torch.device(setting.device).type, dtype=dtype)
