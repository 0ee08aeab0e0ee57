"""Accuracy of a model on labelled pictures and clips, prompted as the papers do.

Images (SAM 2, arXiv 2408.00714, section 6; SAM, arXiv 2304.02643, section 7.1). Per object:

- box: the tight box around the true mask, one answer.
- click 1: the pixel deepest inside the true mask; of the three answers the one with the highest *predicted* IoU.
- click k: one more click in the middle of the largest error (`next_click`). All clicks so far and the logits of the
  last answer go in, one answer comes out. An object whose mask is already perfect keeps its score.

Scores are IoUs averaged over objects (not over pictures), from masks at the picture's own size. As a yardstick: the
genuine SAM 2 tiny weights in Meta's own package score so on 192 objects (larger than 32x32) of 50 COCO val2017 stills:
box 0.843, clicks 1 / 2 / 3 / 5: 0.657 / 0.799 / 0.854 / 0.891.

Videos (semi-supervised, as DAVIS and SA-V): the true mask (or a box, or a click) of each object on the first annotated
frame that shows it, J&F per object over the annotated frames after it, without the last one, as DAVIS leaves it out;
then the mean over the objects of all clips.
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

from sam2nb.evaluation.datasets import LabelledClip, LabelledImages, SampleError
from sam2nb.evaluation.metrics import Click, JAndF, j_and_f, mask_iou, next_click

CLICKS = (1, 2, 3, 5)
PROMPTS = ("mask", "box", "click")

log = logging.getLogger(__name__)


@dataclass
class ImageScores:
    """IoU of every object: by box, and after k clicks; what had to be left out is in `problems`."""

    source: str
    box: list[float] = field(default_factory=list)
    clicks: dict[int, list[float]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def objects(self) -> int:
        return max([len(self.box), *map(len, self.clicks.values())], default=0)

    def mean(self) -> dict[str, float]:
        """{"box": 0.84, "clicks_1": 0.66, …}, nan where nothing could be measured"""
        means = {"box": self.box} if self.box or not self.clicks else {}
        means |= {f"clicks_{k}": values for k, values in self.clicks.items()}
        return {name: float(np.mean(values)) if values else float("nan") for name, values in means.items()}


@dataclass
class VideoScores:
    """J&F of every object by clip and id; what had to be left out is in `problems`."""

    prompt: str
    objects: dict[str, JAndF] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def mean(self) -> JAndF:
        """Mean over objects, nan where nothing could be measured."""
        if not self.objects:
            return JAndF(float("nan"), float("nan"), float("nan"))
        return JAndF(*np.mean(list(self.objects.values()), axis=0).tolist())


def evaluate_images(
    predictor: Any, images: LabelledImages, *, clicks: Sequence[int] = CLICKS, box: bool = True, progress: bool = True
) -> ImageScores:
    """Score an image predictor by box and by simulated clicks.

    predictor: anything with `set_image` and `predict` as SAM2ImagePredictor has them, or a SAM2 model.
    clicks: after how many clicks to note the IoU.
    """
    if any(k < 1 for k in clicks):
        raise ValueError(f"clicks={tuple(clicks)!r}: counts start at 1")
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
            if box:
                scores.box.append(box_iou_of(predictor, truth))
            for k, iou in click_ious(predictor, truth, max(clicks, default=0)).items():
                if k in scores.clicks:
                    scores.clicks[k].append(iou)
    return scores


def box_iou_of(predictor: Any, truth: NDArray[np.bool_]) -> float:
    """IoU of the answer to the tight box around `truth` (the picture must be set)."""
    masks, _, _ = predictor.predict(box=tight_box(truth), multimask_output=False)
    return mask_iou(masks[0] > 0, truth)


def click_ious(predictor: Any, truth: NDArray[np.bool_], count: int) -> dict[int, float]:
    """IoU after 1 … count simulated clicks: {clicks: IoU} (the picture must be set)."""
    clicks: list[Click] = []
    mask, logits, ious = None, None, {}
    for k in range(1, count + 1):
        click = next_click(mask, truth)
        if click is None:  # perfect: the user stops, the score stays
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
    """Score a video predictor: each object is prompted once, on its first annotated frame.

    predictor: anything with the methods of SAM2VideoPredictor, or a SAM2 model.
    prompt: "mask", "box" or "click" (one click, deepest inside).
    """
    if prompt not in PROMPTS:
        raise ValueError(f"prompt={prompt!r}; expected one of {', '.join(PROMPTS)}")
    predictor = _video_predictor(predictor)
    scores = VideoScores(prompt)
    for clip in tqdm(list(clips), desc="clips", disable=not progress, leave=False):
        try:
            scores.objects |= {f"{clip.name}/{k}": v for k, v in score_clip(predictor, clip, prompt).items()}
        except (SampleError, OSError) as error:
            _note(scores.problems, str(error))
    return scores


def score_clip(predictor: Any, clip: LabelledClip, prompt: str = "mask") -> dict[int, JAndF]:
    """J&F of every object of one clip: {object: JAndF}"""
    starts = {obj_id: clip.first_frame_of(obj_id) for obj_id in clip.objects}
    starts = {obj_id: start for obj_id, start in starts.items() if start is not None}
    judged = {obj_id: [f for f in clip.annotated[obj_id] if f > start][:-1] for obj_id, start in starts.items()}
    judged = {obj_id: frames for obj_id, frames in judged.items() if frames}
    if not judged:
        raise SampleError(f"clip {clip.name!r}: no object has two annotated frames after its first one")
    state = predictor.init_state([clip.frame(i) for i in range(len(clip.frames))])
    for obj_id, start in starts.items():
        add_prompt(predictor, state, start, obj_id, clip.mask(start, obj_id), prompt)
    wanted = {frame for frames in judged.values() for frame in frames}
    answers: dict[tuple[int, int], NDArray[np.bool_]] = {}
    for frame, obj_ids, logits in predictor.propagate_in_video(state, start_frame_idx=min(starts.values())):
        if frame in wanted:
            for row, obj_id in enumerate(obj_ids):
                answers[frame, obj_id] = (logits[row, 0] > 0).cpu().numpy()
    return {
        obj_id: j_and_f([answers[f, obj_id] for f in frames], [clip.mask(f, obj_id) for f in frames])
        for obj_id, frames in judged.items()
    }


def add_prompt(predictor: Any, state: Any, frame: int, obj_id: int, truth: NDArray[np.bool_], prompt: str) -> None:
    """Tell the predictor where an object is: by its mask, by a tight box, or by one click deepest inside."""
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
    """The smallest box around a mask as (x0, y0, x1, y1); corners are pixel centres, as in SAM's evaluation."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        raise SampleError("an empty mask has no box")
    return np.array([columns[0], rows[0], columns[-1], rows[-1]], dtype=np.float32)


def save_scores(path: str | Path, model: str, conditions: dict, *scores: ImageScores | VideoScores) -> None:
    """Write scores as one JSON: means first, then every single value."""
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
    if getattr(predictor, "missing_parts", ()):
        raise ValueError(
            f"this checkpoint cannot track: it has no weights for {', '.join(predictor.missing_parts)}; "
            "use sam2nb_nano or an official checkpoint"
        )
    from sam2nb.predict.video.predictor import SAM2VideoPredictor

    return SAM2VideoPredictor(predictor)


def _note(problems: list[str], problem: str) -> None:
    log.warning("left out: %s", problem)
    problems.append(problem)
