"""Draw the figures of the README from real runs: overview.jpg, and demo.gif, which moves.

    python tools/readme_figure.py                 # both, into data/figures/; minutes on two cores
    python tools/readme_figure.py --only demo     # or --only overview

Photographs are segmented by the genuine SAM 2 tiny weights, the film is tracked by sam2nb_tiny.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from matplotlib import pyplot as plt
from PIL import Image, ImageDraw, ImageFont

from sam2nb import SAM2AutomaticMaskGenerator, SAM2ImagePredictor, SAM2VideoPredictor, load_model
from sam2nb.media.images import to_rgb_uint8
from sam2nb.media.video import open_frames
from sam2nb.plotting import choose_colors, color_of, draw_masks, save_figure, show_masks

ROOT = Path(__file__).resolve().parent.parent
FIGURES, PHOTOS = ROOT / "data" / "figures", ROOT / "data" / "photos"
HENS, CROP = FIGURES / "hens.jpg", (0, 62, 1024, 638)  # 16:9
HEN_CLICKS = ((132, 342), (467, 265), (615, 342), (848, 373))
HEN_COLORS = (4, 6, 3, 2)  # sky blue, yellow, pink, green
FILM, FILM_CLICKS, FILM_COLOR = FIGURES / "bird.mp4", ((283, 218), (305, 172)), 1  # the second adds the beak

SIZE = (640, 360)  # of the moving picture, pixels
FINE = 2  # drawn larger by this, for smooth edges
FRAME_MS, FILM_MS, HOLD_MS = 90, 120, 1100  # milliseconds
GLIDE, HOVER, PRESS = 5, 4, 2  # frames: towards an object, over it, and with the button down
GIF_COLORS = 256
STILLNESS = 10  # grey levels: a pixel that changes by less stays as it was, which makes the file small
SHADE = 0.8  # of the way to the dimmed picture
ARROW = np.array(((0, 0), (0, 16), (4, 12.5), (6.6, 18.5), (9, 17.4), (6.5, 11.6), (11.6, 11.6))) * 1.25


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("overview", "demo"), help="write one of the two")
    only = parser.parse_args().only
    FIGURES.mkdir(exist_ok=True)
    if only != "overview":
        print(write_gif(FIGURES / "demo.gif", [*photo_scene(), *film_scene()]))
    if only != "demo":
        print(overview(FIGURES / "overview.jpg"))
    return 0


@cache
def hen_masks() -> np.ndarray:
    """The best mask for one click on each hen: (4, H, W) bool."""
    predictor = SAM2ImagePredictor(load_model("sam2_hiera_tiny"))
    predictor.set_image(to_rgb_uint8(HENS))
    answers = [predictor.predict([click], [1]) for click in HEN_CLICKS]
    return np.array([masks[scores.argmax()] for masks, scores, _ in answers])


@cache
def film_masks() -> tuple[np.ndarray, np.ndarray]:
    """The bird after one click on the first frame, (H, W) bool, and in all frames after two, (N, H, W) bool."""
    predictor = SAM2VideoPredictor(load_model("sam2nb_tiny"), progress=False)
    session = predictor.init_state(FILM)
    keep = {"clear_old_points": False}
    answers = [
        predictor.add_new_points_or_box(session, 0, obj_id=1, points=[click], labels=[1], **keep)[2]
        for click in FILM_CLICKS
    ]
    tracked = [masks for _, _, masks in predictor.propagate_in_video(session)]
    return (answers[0][0, 0] > 0).cpu().numpy(), np.array([(masks[0, 0] > 0).cpu().numpy() for masks in tracked])


def photo_scene() -> Iterator[tuple[Image.Image, int]]:
    """Frames and their milliseconds: point at each hen in turn, and click."""
    photo = Image.fromarray(to_rgb_uint8(HENS)).crop(CROP)
    scale = SIZE[0] / photo.width
    masks = [cropped(mask) for mask in hen_masks()]
    at, shade = np.array((SIZE[0] * 0.5, SIZE[1] * 1.05)), 0.0
    for number, (mask, click) in enumerate(zip(masks, HEN_CLICKS, strict=True)):
        goal = (np.array(click) - CROP[:2]) * scale
        done, colors = masks[:number], HEN_COLORS[: number + 1]
        for step in range(GLIDE):
            yield drawn(photo, done, colors[:-1], at + (goal - at) * ease((step + 1) / GLIDE), shade=shade), FRAME_MS
        for step in range(HOVER):
            shade = SHADE if number else SHADE * ease((step + 1) / HOVER)
            yield drawn(photo, [*done, mask], (*colors[:-1], None), goal, shade=shade, text="point"), FRAME_MS
        for step in range(PRESS):
            yield drawn(photo, [*done, mask], colors, goal, pressed=step + 1, shade=shade, text="click"), FRAME_MS
        at = goal
    yield drawn(photo, masks, HEN_COLORS, None, shade=SHADE), HOLD_MS


def film_scene() -> Iterator[tuple[Image.Image, int]]:
    """Frames and their milliseconds: point at the bird, click, click again on the beak, and the film runs."""
    frames = [Image.fromarray(frame) for frame in open_frames(FILM, progress=False)]
    after_one, tracked = film_masks()
    body, beak = np.array(FILM_CLICKS) * SIZE[0] / frames[0].width
    start = np.array((SIZE[0] * 0.85, SIZE[1] * 0.85))
    for step in range(GLIDE):
        yield drawn(frames[0], [], (), start + (body - start) * ease((step + 1) / GLIDE)), FRAME_MS
    yield drawn(frames[0], [after_one], (None,), body, shade=SHADE, text="point"), HOVER * FRAME_MS
    first, film = {"shade": SHADE, "text": "click"}, {"shade": SHADE, "text": "tracked"}
    for step in range(PRESS):
        yield drawn(frames[0], [after_one], (FILM_COLOR,), body, pressed=step + 1, **first), FRAME_MS
    for step in range(GLIDE):
        at = body + (beak - body) * ease((step + 1) / GLIDE)
        yield drawn(frames[0], [after_one], (FILM_COLOR,), at, **first), FRAME_MS
    for step in range(PRESS):
        yield drawn(frames[0], [tracked[0]], (FILM_COLOR,), beak, pressed=step + 1, **first), 2 * FRAME_MS
    for frame, mask in zip(frames, tracked, strict=True):
        yield drawn(frame, [mask], (FILM_COLOR,), None, **film), FILM_MS
    yield drawn(frames[-1], [tracked[-1]], (FILM_COLOR,), None, **film), HOLD_MS


def cropped(mask: np.ndarray) -> np.ndarray:
    left, top, right, bottom = CROP
    return mask[top:bottom, left:right]


def ease(share: float) -> float:
    """Slow at both ends."""
    return share * share * (3 - 2 * share)


def drawn(image, masks, colors, at, *, pressed=0, shade=0.0, text="") -> Image.Image:
    """A frame: the objects in their own colours with outlines (white without a colour), the rest dimmed, a pointer."""
    size = (SIZE[0] * FINE, SIZE[1] * FINE)
    plain = np.asarray(image.resize(size, Image.Resampling.LANCZOS))
    shown = plain
    if masks:
        large = [smooth(mask, size) for mask in masks]
        dimmed = draw_masks(plain, np.array(large), colors=[color or 0 for color in colors], outline=0, dim=True)
        shown = cv2.addWeighted(dimmed, shade, plain, 1 - shade, 0)
        for mask, color in zip(large, colors, strict=True):
            outline(shown, mask, (255, 255, 255) if color is None else color_of(color))
    scene = Image.fromarray(shown)
    if at is not None:
        point(scene, np.asarray(at) * FINE, pressed)
    if text:
        label(scene, text)
    return scene.resize(SIZE, Image.Resampling.LANCZOS)


def smooth(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A mask at another size, without steps at its border."""
    return cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_CUBIC) > 0.5


def outline(rgb: np.ndarray, mask: np.ndarray, color: tuple[int, int, int]) -> None:
    """Draw the border of a mask in place; specks get none."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    large = [contour for contour in contours if cv2.contourArea(contour) > mask.size / 2000]
    cv2.drawContours(rgb, large, -1, color, 3 * FINE, cv2.LINE_AA)


def point(scene: Image.Image, at: np.ndarray, pressed: int) -> None:
    """Draw the pointer of a mouse in place, and a ring where its button goes down."""
    draw = ImageDraw.Draw(scene)
    if pressed:
        radius = FINE * 7 * pressed
        draw.ellipse([*(at - radius), *(at + radius)], outline="white", width=2 * FINE)
    draw.polygon([tuple(corner) for corner in at + ARROW * FINE], fill="white", outline="black", width=FINE)


def label(scene: Image.Image, text: str) -> None:
    """Write a word in the lower left corner in place."""
    font = ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans-Bold.ttf"), 15 * FINE)
    draw = ImageDraw.Draw(scene)
    left, top = 14 * FINE, scene.height - 34 * FINE
    right = left + draw.textlength(text, font=font)
    draw.rounded_rectangle([left - 8, top - 8, right + 8, top + 20 * FINE], radius=6 * FINE, fill=(20, 20, 24))
    draw.text((left, top - FINE), text, fill="white", font=font)


def write_gif(path: Path, frames: list[tuple[Image.Image, int]]) -> str:
    """Write frames with one palette for all; pixels that hardly change stay as they were."""
    kept: list[np.ndarray] = []
    for frame, _ in frames:
        pixels = np.asarray(frame).astype(np.int16)
        if kept:
            still = np.abs(pixels - kept[-1]).max(axis=2, keepdims=True) < STILLNESS
            pixels = np.where(still, kept[-1], pixels)
        kept.append(pixels)
    images = [Image.fromarray(pixels.astype(np.uint8)) for pixels in kept]
    outlines = [(255, 255, 255), *(color_of(index) for index in (*HEN_COLORS, FILM_COLOR))]
    patches = [np.full((60, SIZE[0] // 2, 3), color, np.uint8) for color in outlines]
    sample = np.concatenate([*(np.asarray(image)[::2, ::2] for image in of_every_brightness(images)), *patches])
    palette = Image.fromarray(sample).quantize(GIF_COLORS, Image.Quantize.MEDIANCUT)
    indexed = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    milliseconds = [ms for _, ms in frames]
    indexed[0].save(path, save_all=True, append_images=indexed[1:], duration=milliseconds, loop=0, optimize=True)
    return f"{path}: {len(images)} frames, {path.stat().st_size / 1e6:.2f} MB"


def of_every_brightness(images: list[Image.Image], each: int = 5) -> list[Image.Image]:
    """As many dark as bright frames, so that a palette made from them suits short scenes too."""
    groups: dict[int, list[Image.Image]] = {}
    for image in images:
        groups.setdefault(int(np.asarray(image).mean()) // 20, []).append(image)
    return [group[row] for group in groups.values() for row in np.linspace(0, len(group) - 1, each).astype(int)]


def overview(path: Path) -> Path:
    """Clicks, a box, everything, and an object in three frames of a film."""
    figure, axes = plt.subplots(2, 3, figsize=(12, 5.2), layout="constrained")
    hens = to_rgb_uint8(HENS)[CROP[1] : CROP[3]]
    clicks = np.array(HEN_CLICKS) - CROP[:2]
    masks = np.array([cropped(mask) for mask in hen_masks()])
    title = "clicks"
    show_masks(hens, masks, points=clicks, labels=[1] * 4, colors=HEN_COLORS, dim=True, ax=axes[0, 0], title=title)
    box_and_everything(axes[0, 1:])
    frames, (_, tracked) = open_frames(FILM, progress=False), film_masks()
    for ax, number in zip(axes[1], np.linspace(0, len(frames) - 1, 3).astype(int), strict=True):
        title = "two clicks in a film" if number == 0 else f"tracked, frame {number}"
        show_masks(frames[number], tracked[number], colors=[FILM_COLOR], dim=True, ax=ax, title=title)
    return save_figure(figure, path, dpi=100, quality=85)


def box_and_everything(axes: np.ndarray) -> None:
    """A cat by a box, and coins without a prompt."""
    model = load_model("sam2_hiera_tiny")
    cat, coins = (to_rgb_uint8(PHOTOS / f"{name}.jpg") for name in ("cat", "coins"))
    predictor = SAM2ImagePredictor(model)
    predictor.set_image(cat)
    box = [60, 5, 340, 295]
    masks, _, _ = predictor.predict(box=box, multimask_output=False)
    show_masks(cat, masks[0], boxes=[box], colors=[4], dim=True, ax=axes[0], title="a box")
    records = SAM2AutomaticMaskGenerator(model, points_per_side=16).generate(coins)
    masks = np.array([record["segmentation"] for record in sorted(records, key=lambda record: -record["area"])])
    show_masks(coins, masks, colors=choose_colors(coins, masks), ax=axes[1], title=f"everything: {len(masks)} masks")


if __name__ == "__main__":
    sys.exit(main())
