"""Labelled images and clips from the layouts people have on disk.

`open_images` and `open_clips` recognize the layout from the files:

    COCO           a .json with its images beside it or in images/ beside it
    image folder   <root>/images/a.jpg + <root>/masks/a.png, or in one folder: a.jpg + a_mask.png, a_1.png or a/1.png
    clip folder    <root>/<clip>/frames/00000.jpg + <root>/<clip>/masks/00000.png
    DAVIS          <root>/JPEGImages/<size>/<clip>/*.jpg + <root>/Annotations/<size>/<clip>/*.png
    SA-V           <root>/JPEGImages_24fps/<clip>/*.jpg + <root>/Annotations_6fps/<clip>/<object>/*.png
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sam2nb.evaluation.coco import is_coco, open_coco
from sam2nb.evaluation.samples import (
    LabelledClip,
    LabelledImage,
    LabelledImages,
    SampleError,
    check_size,
    images_in,
    read_labels,
    read_rgb,
    read_size_hw,
)
from sam2nb.media.folder import IMAGE_SUFFIXES, natural_key
from sam2nb.resources import resource_dir


def open_images(path: str | Path | None = None, *, min_area: float = 0) -> LabelledImages:
    """Labelled images in a COCO or image-folder layout.

    path: a folder or a COCO .json; None opens the project's own sample.
    min_area: leave out objects whose area in pixels is not larger.

    Raises ValueError if the path does not exist or holds no labelled images.
    """
    root = _existing(path if path is not None else _sample("stills"))
    if root.is_dir():
        root = next((file for file in sorted(root.glob("*.json")) if is_coco(file)), root)
    if root.suffix.lower() == ".json":
        return open_coco(root, min_area)
    if root.is_file():
        raise ValueError(f"path must be a folder of images with masks or a COCO .json, got the file {str(root)!r}")
    return _image_folder(root, min_area)


def open_clips(path: str | Path | None = None) -> list[LabelledClip]:
    """Labelled clips in a clip-folder, DAVIS or SA-V layout.

    path: a folder; None opens the project's own sample.

    Raises ValueError if the path does not exist or holds no labelled clips.
    """
    root = _existing(path if path is not None else _sample("clips"))
    for frames_in, masks_in in _davis_roots(root):
        clips = [
            _clip(folder.name, images_in(folder), masks_in / folder.name)
            for folder in sorted(frames_in.iterdir())
            if folder.is_dir() and (masks_in / folder.name).is_dir()
        ]
        if clips:
            return clips
    folders = [root] if (root / "frames").is_dir() else sorted(f for f in root.iterdir() if (f / "frames").is_dir())
    clips = [_clip(folder.name, images_in(folder / "frames"), folder / "masks") for folder in folders]
    if not clips:
        raise ValueError(
            f"no labelled clip in {str(root)!r}; expected <clip>/frames with <clip>/masks, or the DAVIS or SA-V layout"
        )
    return clips


def _image_folder(root: Path, min_area: float) -> LabelledImages:
    stills_in = next((root / name for name in ("images", "frames", "stills") if (root / name).is_dir()), root)
    masks_in = root / "masks" if (root / "masks").is_dir() else root
    shared = {file.stem for file in images_in(masks_in)} if masks_in == stills_in else set()
    files = {file.name: file for file in images_in(stills_in) if not _looks_like_a_mask(file.stem, shared)}
    if not files:
        raise ValueError(
            f"no image in {str(stills_in)!r}; expected files ending in {', '.join(sorted(IMAGE_SUFFIXES))}"
        )

    def load(name: str) -> LabelledImage:
        image = read_rgb(files[name])
        found = list(_objects(files[name], image, masks_in))
        if not found:
            raise SampleError(f"no mask for {name} in {masks_in}")
        kept = [(label, mask) for label, mask in found if np.count_nonzero(mask) > min_area]
        masks = np.stack([mask for _, mask in kept]) if kept else np.zeros((0, *image.shape[:2]), dtype=bool)
        return LabelledImage(name, image, masks, tuple(label for label, _ in kept))

    return LabelledImages(str(root), tuple(files), load)


def _objects(image_file: Path, image: NDArray, masks_in: Path) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """(label, mask) of every object in the mask files of an image."""
    for file in _mask_files(image_file, masks_in):
        values = read_labels(file)
        check_size(values, image, file)
        for value in np.unique(values[values > 0]):
            yield f"{file.stem}:{value}", values == value


def _mask_files(image_file: Path, masks_in: Path) -> list[Path]:
    """The mask files of an image: the same stem, stem_<suffix>, or all files of a folder named like the stem."""
    if (masks_in / image_file.stem).is_dir():
        return images_in(masks_in / image_file.stem)
    pattern = re.compile(re.escape(image_file.stem) + r"([_-].+)?")
    return [file for file in images_in(masks_in) if file != image_file and pattern.fullmatch(file.stem)]


def _looks_like_a_mask(stem: str, stems: set[str]) -> bool:
    """Whether a file in one folder with its image is a mask: a_mask.png or a_1.png beside a.png."""
    return any(stem != other and re.fullmatch(re.escape(other) + r"[_-](mask.*|\d+)", stem) for other in stems)


def _clip(name: str, frames: Sequence[Path], masks_in: Path) -> LabelledClip:
    """A clip with label maps (`masks_in/*.png`) or with one folder of masks for every object (SA-V)."""
    folders = [f for f in masks_in.iterdir() if f.is_dir()] if masks_in.is_dir() else []
    if folders:
        folders.sort(key=lambda folder: natural_key(folder.name))
        files = {int(f.name) if f.name.isdigit() else i: _by_stem(f) for i, f in enumerate(folders)}
    else:
        label_maps = _by_stem(masks_in)
        files = dict.fromkeys(_values_of(label_maps[f.stem] for f in frames if f.stem in label_maps), label_maps)
    annotated = {obj_id: tuple(i for i, f in enumerate(frames) if f.stem in own) for obj_id, own in files.items()}
    if not any(annotated.values()):
        raise ValueError(f"clip {name!r} has no mask in {str(masks_in)!r} with the name of one of its frames")

    def read(frame: int, obj_id: int) -> NDArray[np.bool_]:
        file = files[obj_id].get(frames[frame].stem)
        if file is None:
            raise SampleError(f"clip {name!r}: frame {frame} has no mask of object {obj_id}")
        values = read_labels(file)
        if values.shape != read_size_hw(frames[frame]):
            raise SampleError(f"{file}: mask is {values.shape}, its frame {read_size_hw(frames[frame])}")
        return values > 0 if folders else values == obj_id

    return LabelledClip(name, tuple(frames), annotated, read)


def _values_of(label_maps: Iterable[Path]) -> list[int]:
    """The object ids in some label maps, in order; an object may appear first on a late frame."""
    return sorted({int(value) for file in label_maps for value in np.unique(read_labels(file))} - {0})


def _davis_roots(root: Path) -> Iterator[tuple[Path, Path]]:
    """(frames, masks) folders of the DAVIS and SA-V layouts below a root."""
    for frames_in in sorted(root.glob("JPEGImages*")):
        for masks_in in sorted(root.glob("Annotations*")):
            for size in sorted(frames_in.iterdir()):
                if (masks_in / size.name).is_dir() and any(f.is_dir() for f in size.iterdir()):
                    yield size, masks_in / size.name
            yield frames_in, masks_in


def _by_stem(folder: Path) -> dict[str, Path]:
    return {file.stem: file for file in images_in(folder)}


def _sample(kind: str) -> Path:
    """The project's own labelled sample: "stills" or "clips"."""
    return resource_dir("data") / "sample" / kind


def _existing(path: str | Path) -> Path:
    path = Path(path).expanduser()
    if not path.exists():
        raise ValueError(f"path {str(path)!r} does not exist")
    return path
