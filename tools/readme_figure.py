"""Draw the figure of the README from real runs: a click, a box, everything, and an object tracked through a clip.

python tools/readme_figure.py        # writes data/figures/overview.jpg
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

from sam2nb import SAM2AutomaticMaskGenerator, SAM2ImagePredictor, SAM2VideoPredictor, load_model
from sam2nb.media.images import to_rgb_uint8
from sam2nb.media.video import open_frames
from sam2nb.plotting import save_figure, show_masks

ROOT = Path(__file__).resolve().parent.parent
PHOTOS, CLIPS = ROOT / "data" / "photos", ROOT / "data" / "clips"
CLICK, BOX = [[200, 330]], [70, 10, 480, 395]
CLIP, CLIP_BOX = CLIPS / "big_buck_bunny.mp4", [72, 105, 285, 282]


def main() -> None:
    figure, axes = plt.subplots(2, 3, figsize=(12, 6), layout="constrained")
    still_images(axes[0])
    tracked_frames(axes[1])
    target = ROOT / "data" / "figures" / "overview.jpg"
    target.parent.mkdir(exist_ok=True)
    print(save_figure(figure, target, dpi=100, quality=82))


def still_images(axes: np.ndarray) -> None:
    """A click, a box and everything, by the genuine SAM 2 tiny weights."""
    model = load_model("sam2_hiera_tiny")
    predictor = SAM2ImagePredictor(model)
    astronaut, coffee, coins = (to_rgb_uint8(PHOTOS / f"{name}.jpg") for name in ("astronaut", "coffee", "coins"))
    astronaut = astronaut[:380]
    predictor.set_image(astronaut)
    masks, scores, _ = predictor.predict(CLICK, [1])
    best = scores.argmax()
    show_masks(astronaut, masks[best], points=CLICK, labels=[1], ax=axes[0], title="a click (SAM 2 tiny)")
    predictor.set_image(coffee)
    masks, _, _ = predictor.predict(box=BOX, multimask_output=False)
    show_masks(coffee, masks[0], boxes=[BOX], ax=axes[1], title="a box (SAM 2 tiny)")
    records = SAM2AutomaticMaskGenerator(model, points_per_side=16).generate(coins)
    records.sort(key=lambda record: -record["area"])
    masks = np.array([record["segmentation"] for record in records])
    show_masks(coins, masks, ax=axes[2], title=f"everything, {len(masks)} masks (SAM 2 tiny)")


def tracked_frames(axes: np.ndarray) -> None:
    """One box on the first frame, then tracking by matching: the genuine weights at hand have no memory."""
    predictor = SAM2VideoPredictor(load_model("sam2_hiera_tiny"), memory="match", progress=False)
    session = predictor.init_state(CLIP)
    frames = open_frames(CLIP, progress=False)
    predictor.add_new_points_or_box(session, 0, obj_id=1, box=CLIP_BOX)
    shown = dict(zip(np.linspace(0, len(frames) - 1, 3).astype(int).tolist(), axes, strict=True))
    for frame, _, masks in predictor.propagate_in_video(session):
        if frame in shown:
            mask = (masks[0] > 0).cpu().numpy()
            show_masks(frames[frame], mask, ax=shown[frame], title=f"tracked, frame {frame} (SAM 2 tiny, by matching)")


if __name__ == "__main__":
    main()
