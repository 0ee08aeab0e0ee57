"""Evaluation protocols of the papers: boxes and simulated clicks on images, J&F on clips.

Images (SAM 2, arXiv 2408.00714, section 6; SAM, arXiv 2304.02643, section 7.1). For every object:

- box: the tight box around the true mask, single-mask output.
- click 1: the pixel deepest inside the true mask; of the three masks, the one with the highest *predicted* IoU.
- click k: one more click, deepest inside the wrong pixels (`next_click`). The prompt is all clicks so far and the
  logits of the last mask; single-mask output. An object whose mask is already perfect keeps its score.

Scores are IoUs averaged over objects (not over images), from masks at the size of the image. For comparison: the
genuine SAM 2 tiny weights in Meta's own package, on 192 objects (larger than 32x32) of 50 COCO val2017 images, score
0.843 with the box and 0.657 / 0.799 / 0.854 / 0.891 with 1 / 2 / 3 / 5 clicks.

Videos (semi-supervised, as in DAVIS and SA-V): the prompt is the true mask of an object (or a box, or a click) on the
first annotated frame that shows it. J&F is taken per object over the annotated frames after it, without the last one,
which DAVIS leaves out as well; then averaged over the objects of all clips.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from sam2nb.evaluation.metrics import Click, JAndF, j_and_f, mask_iou, next_click
from sam2nb.evaluation.samples import LabelledClip, LabelledImages, SampleError

CLICKS = (1, 2, 3, 5)
PROMPTS = ("mask", "box", "click")
SIZES, SIZE_LIMITS = ("small", "medium", "large"), (32**2, 96**2)  # pixels; at a limit the smaller size, as in COCO

logger = logging.getLogger(__name__)


@dataclass
class ImageScores:
    """IoU of every object: with its box, and after k clicks; `problems` names the samples that were left out.

    areas: of the objects, in pixels.
    """

    source: str
    box: list[float] = field(default_factory=list)
    clicks: dict[int, list[float]] = field(default_factory=dict)
    areas: list[int] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def objects(self) -> int:
        """The number of objects scored."""
        return max([len(self.box), *map(len, self.clicks.values())], default=0)

    def mean(self) -> dict[str, float]:
        """Means over objects, {"box": 0.84, "clicks_1": 0.66, …}; nan if no object could be scored."""
        means = {"box": self.box} if self.box or not self.clicks else {}
        means |= {f"clicks_{k}": values for k, values in self.clicks.items()}
        return {name: float(np.mean(values)) if values else float("nan") for name, values in means.items()}

    def by_size(self) -> dict[str, ImageScores]:
        """The scores of the small, medium and large objects (COCO's sizes), without sizes that no object has."""
        sizes = np.searchsorted(SIZE_LIMITS, self.areas)
        parts = {}
        for size, name in enumerate(SIZES):
            rows = np.flatnonzero(sizes == size).tolist()
            clicks = {k: [values[row] for row in rows] for k, values in self.clicks.items()}
            box = [self.box[row] for row in rows] if self.box else []
            if rows:
                parts[name] = ImageScores(self.source, box, clicks, [self.areas[row] for row in rows])
        return parts


@dataclass
class VideoScores:
    """J&F of every object, by "clip/id"; `problems` names the clips that were left out."""

    prompt: str
    objects: dict[str, JAndF] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def mean(self) -> JAndF:
        """Means over objects; nan if no object could be scored."""
        if not self.objects:
            return JAndF(float("nan"), float("nan"), float("nan"))
        return JAndF(*np.mean(list(self.objects.values()), axis=0).tolist())


def evaluate_images(
    predictor: Any, images: LabelledImages, *, clicks: Sequence[int] = CLICKS, box: bool = True, progress: bool = True
) -> ImageScores:
    """Score an image predictor with boxes and simulated clicks.

    predictor: a SAM2 model, or any object with the `set_image` and `predict` of SAM2ImagePredictor.
    clicks: the numbers of clicks after which the IoU is recorded.
    box: whether to score the box prompt as well.

    Raises ValueError for a number of clicks below 1. Samples that cannot be read are listed in `problems` instead.
    """
    if any(k < 1 for k in clicks):
        raise ValueError(f"clicks must be 1 or more, got {tuple(clicks)!r}")
    predictor = _image_predictor(predictor)
    scores = ImageScores(images.source, clicks={k: [] for k in sorted(clicks)})
    for name in tqdm(images.names, desc="images", disable=not progress, leave=False):
        try:
            sample = images.load(name)
        except (SampleError, OSError) as error:
            _note(scores.problems, str(error))
            continue
        predictor.set_image(sample.image)
        for truth in sample.masks:
            if min(np.ptp(np.nonzero(truth), axis=1), default=0) < 1:
                _note(scores.problems, f"{name}: an object one pixel wide or high, which no box can show")
                continue
            scores.areas.append(int(truth.sum()))
            if box:
                scores.box.append(box_iou(predictor, truth))
            for k, iou in click_ious(predictor, truth, max(clicks, default=0)).items():
                if k in scores.clicks:
                    scores.clicks[k].append(iou)
    return scores


def box_iou(predictor: Any, truth: NDArray[np.bool_]) -> float:
    """IoU of the mask predicted from the tight box around `truth`, (H, W) bool, in the image that is set."""
    masks, _, _ = predictor.predict(box=tight_box(truth), multimask_output=False)
    return mask_iou(masks[0] > 0, truth)


def click_ious(predictor: Any, truth: NDArray[np.bool_], count: int) -> dict[int, float]:
    """IoU after 1 … count simulated clicks in the image that is set: {clicks: IoU}

    truth: (H, W) bool, the object's true mask.
    """
    clicks: list[Click] = []
    mask, logits, ious = None, None, {}
    for k in range(1, count + 1):
        click = next_click(mask, truth)
        if click is None:  # a user would stop here; the later scores stay perfect
            ious[k] = 1.0
            continue
        clicks.append(click)
        masks, quality, low = predictor.predict(
            point_coords=np.array([(c.x, c.y) for c in clicks], dtype=np.float32),
            point_labels=np.array([c.label for c in clicks], dtype=np.int32),
            mask_input=logits,
            multimask_output=k == 1,
        )
        best = int(np.argmax(quality))
        mask, logits = masks[best] > 0, low[best][None]
        ious[k] = mask_iou(mask, truth)
    return ious


def evaluate_video(
    predictor: Any, clips: Iterable[LabelledClip], *, prompt: str = "mask", progress: bool = True
) -> VideoScores:
    """Score a video predictor: every object is prompted once, on its first annotated frame.

    predictor: a SAM2 model, or any object with the methods of SAM2VideoPredictor.
    prompt: "mask", "box" or "click" (one click, deepest inside).

    Raises ValueError for another prompt. Clips that cannot be read are listed in `problems` instead.
    """
    if prompt not in PROMPTS:
        raise ValueError(f"prompt must be one of {', '.join(PROMPTS)}, got {prompt!r}")
    predictor = _video_predictor(predictor)
    scores = VideoScores(prompt)
    for clip in tqdm(list(clips), desc="clips", disable=not progress, leave=False):
        try:
            scores.objects |= {f"{clip.name}/{k}": v for k, v in score_clip(predictor, clip, prompt).items()}
        except (SampleError, OSError) as error:
            _note(scores.problems, str(error))
    return scores


def score_clip(predictor: Any, clip: LabelledClip, prompt: str = "mask") -> dict[int, JAndF]:
    """J&F of every object of one clip: {object id: JAndF}

    Raises SampleError if no object has enough annotated frames, or a file of the clip cannot be read.
    """
    starts = {obj_id: clip.first_frame_of(obj_id) for obj_id in clip.objects}
    starts = {obj_id: start for obj_id, start in starts.items() if start is not None}
    scored = {obj_id: [f for f in clip.annotated[obj_id] if f > start][:-1] for obj_id, start in starts.items()}
    scored = {obj_id: frames for obj_id, frames in scored.items() if frames}
    if not scored:
        raise SampleError(f"clip {clip.name!r}: no object has two annotated frames after its first one")
    state = predictor.init_state([clip.frame(i) for i in range(len(clip.frames))])
    for obj_id, start in starts.items():
        add_prompt(predictor, state, start, obj_id, clip.mask(start, obj_id), prompt)
    wanted = {frame for frames in scored.values() for frame in frames}
    masks: dict[tuple[int, int], NDArray[np.bool_]] = {}
    for frame, obj_ids, logits in predictor.propagate_in_video(state, start_frame_idx=min(starts.values())):
        if frame in wanted:
            for row, obj_id in enumerate(obj_ids):
                masks[frame, obj_id] = (logits[row, 0] > 0).cpu().numpy()
    return {
        obj_id: j_and_f([masks[f, obj_id] for f in frames], [clip.mask(f, obj_id) for f in frames])
        for obj_id, frames in scored.items()
    }


def add_prompt(predictor: Any, state: Any, frame: int, obj_id: int, truth: NDArray[np.bool_], prompt: str) -> None:
    """Prompt an object on a frame with its true mask, its tight box, or one click deepest inside."""
    if prompt == "mask":
        predictor.add_new_mask(state, frame, obj_id, truth)
    elif prompt == "box":
        predictor.add_new_points_or_box(state, frame, obj_id, box=tight_box(truth))
    else:
        click = next_click(None, truth)
        predictor.add_new_points_or_box(
            state, frame, obj_id, points=np.array([[click.x, click.y]], np.float32), labels=np.array([1], np.int32)
        )


def tight_box(mask: NDArray) -> NDArray[np.float32]:
    """The smallest box around a mask, with corners at pixel centres as in SAM's evaluation.

    mask: (H, W) bool -> (4,) as x1, y1, x2, y2

    Raises SampleError for an empty mask.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        raise SampleError("an empty mask has no box")
    return np.array([columns[0], rows[0], columns[-1], rows[-1]], dtype=np.float32)


def save_scores(path: str | Path, model: str, conditions: dict, *scores: ImageScores | VideoScores) -> None:
    """Write scores as one JSON file: the means first, then the score of every object."""
    record: dict[str, Any] = {"model": model, "conditions": conditions}
    for score in scores:
        kind = "images" if isinstance(score, ImageScores) else "clips"
        mean = score.mean()
        record[kind] = {"mean": mean if isinstance(mean, dict) else mean._asdict(), **asdict(score)}
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n")


def _image_predictor(predictor: Any) -> Any:
    if hasattr(predictor, "set_image"):
        return predictor
    from sam2nb.predict.image import SAM2ImagePredictor

    return SAM2ImagePredictor(predictor)


def _video_predictor(predictor: Any) -> Any:
    if hasattr(predictor, "propagate_in_video"):
        return predictor
    from sam2nb.predict.video.predictor import SAM2VideoPredictor

    return SAM2VideoPredictor(predictor)


def _note(problems: list[str], problem: str) -> None:
    logger.warning("left out: %s", problem)
    problems.append(problem)
