"""Pictures and clips with known masks, read one at a time from the layouts people have on disk.

`open_images` and `open_clips` recognise the layout by looking:

    COCO           a .json, pictures beside it (or in `images=`)
    image folder   <root>/images/a.jpg + <root>/masks/a.png, or in one folder: a.jpg + a_mask.png, a_1.png or a/1.png
    clip folder    <root>/<clip>/frames/00000.jpg + <root>/<clip>/masks/00000.png
    DAVIS          <root>/JPEGImages/<size>/<clip>/*.jpg + <root>/Annotations/<size>/<clip>/*.png
    SA-V           <root>/JPEGImages_24fps/<clip>/*.jpg + <root>/Annotations_6fps/<clip>/<object>/*.png

A mask picture is a label map: every value above 0 is one object, whether grey or palette. What cannot be read (mask
missing, other size than its picture) raises `SampleError` from that sample alone, so that whoever walks the set can
note it and go on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
MAX_LABELS = 64  # a grey mask with more values than this was saved with soft edges or as JPEG
SMALL_AREA = 32 * 32  # COCO calls objects up to this area small
SAMPLE = Path("data") / "sample"  # the project's own labelled sample: stills/ and clips/


class SampleError(ValueError):
    """One sample of a data set cannot be used; the message names the file and what is wrong with it."""


@dataclass(frozen=True)
class LabelledImage:
    """A picture and the exact masks of some of its objects.

    image: (H, W, 3) uint8; masks: (N, H, W) bool; labels: one name per mask.
    """

    name: str
    image: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelledClip:
    """A clip whose frames are files, and the masks of its objects on some frames (read when asked for).

    frames: files in order; annotated: per object id, the indices of the frames for which its mask is known.
    """

    name: str
    frames: tuple[Path, ...]
    annotated: dict[int, tuple[int, ...]]
    read_mask: Callable[[int, int], NDArray[np.bool_]] = field(repr=False)

    @property
    def objects(self) -> tuple[int, ...]:
        """The ids of the objects."""
        return tuple(self.annotated)

    def mask(self, frame: int, obj_id: int) -> NDArray[np.bool_]:
        """The mask of one object on one annotated frame, empty where it is not visible: (H, W) bool"""
        return self.read_mask(frame, obj_id)

    def frame(self, index: int) -> NDArray[np.uint8]:
        """One frame: (H, W, 3) uint8"""
        return read_rgb(self.frames[index])

    def first_frame_of(self, obj_id: int) -> int | None:
        """The first annotated frame on which the object is visible, None where it never is."""
        return next((frame for frame in self.annotated[obj_id] if self.mask(frame, obj_id).any()), None)


@dataclass(frozen=True)
class LabelledImages:
    """A set of labelled pictures; `load(name)` reads one, iterating reads all."""

    source: str
    names: tuple[str, ...]
    load: Callable[[str], LabelledImage] = field(repr=False)

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[LabelledImage]:
        return (self.load(name) for name in self.names)


def open_images(
    path: str | Path | None = None, *, images: str | Path | None = None, min_area: float = 0
) -> LabelledImages:
    """Labelled pictures in any of the layouts above; None opens the project's own sample.

    images: where the pictures of a COCO json are, if not beside it.
    min_area: leave out objects whose area in pixels is not larger.
    ValueError where there is nothing to open.
    """
    root = _existing(path if path is not None else _sample("stills"))
    if root.is_dir():
        found = sorted(file for file in root.glob("*.json") if _is_coco(file))
        if found:
            root = found[0]
    if root.suffix.lower() == ".json":
        return _coco(root, Path(images) if images else None, min_area)
    if root.is_file():
        raise ValueError(
            f"path={str(root)!r} is a single file; expected a folder of pictures with masks or a COCO .json"
        )
    return _image_folder(root, min_area)


def open_clips(path: str | Path | None = None) -> list[LabelledClip]:
    """Labelled clips in any of the layouts above; None opens the project's own sample.

    ValueError where there is nothing to open.
    """
    root = _existing(path if path is not None else _sample("clips"))
    for pictures, labels in _pairs_of_roots(root):
        clips = [
            _clip(folder.name, _pictures(folder), labels / folder.name)
            for folder in sorted(pictures.iterdir())
            if folder.is_dir() and (labels / folder.name).is_dir()
        ]
        if clips:
            return clips
    folders = [root] if (root / "frames").is_dir() else sorted(f for f in root.iterdir() if (f / "frames").is_dir())
    clips = [_clip(folder.name, _pictures(folder / "frames"), folder / "masks") for folder in folders]
    if not clips:
        raise ValueError(
            f"no labelled clip in {str(root)!r}; expected <clip>/frames with <clip>/masks, or the DAVIS or SA-V layout"
        )
    return clips


def read_rgb(file: Path) -> NDArray[np.uint8]:
    """A picture as the files of data sets hold it (no EXIF rotation, as their masks do not have it either)."""
    try:
        with Image.open(file) as picture:
            return np.asarray(picture.convert("RGB"))
    except OSError as error:
        raise SampleError(f"{file}: cannot be read as a picture ({error})") from error


def read_labels(file: Path) -> NDArray[np.integer]:
    """A mask picture as a label map, 0 where there is nothing: (H, W)

    Palette and grey values are taken as they are, colours are numbered; grey pictures with soft edges become 0 and 1.
    """
    try:
        with Image.open(file) as picture:
            values = np.asarray(picture if picture.mode in ("P", "L", "I", "I;16", "1") else picture.convert("RGB"))
    except OSError as error:
        raise SampleError(f"{file}: cannot be read as a mask ({error})") from error
    if values.ndim == 3:
        colours = (values.astype(np.int64) * (1 << 16, 1 << 8, 1)).sum(axis=2)
        return np.unique(colours, return_inverse=True)[1].reshape(colours.shape) if colours.any() else colours
    if values.dtype == bool:
        return values.astype(np.uint8)
    if len(np.unique(values)) > MAX_LABELS:
        return (values > values.max() / 2).astype(np.uint8)
    return values


def _image_folder(root: Path, min_area: float) -> LabelledImages:
    pictures_in = next((root / name for name in ("images", "frames", "stills") if (root / name).is_dir()), root)
    masks_in = root / "masks" if (root / "masks").is_dir() else root
    mask_files = {file.stem for file in _pictures(masks_in)} if masks_in == pictures_in else set()
    pictures = {
        file.name: file
        for file in _pictures(pictures_in)
        if not (mask_files and _looks_like_a_mask(file.stem, mask_files))
    }
    if not pictures:
        raise ValueError(
            f"no picture in {str(pictures_in)!r}; expected files ending in {', '.join(sorted(IMAGE_SUFFIXES))}"
        )

    def load(name: str) -> LabelledImage:
        image = read_rgb(pictures[name])
        masks, labels = [], []
        for file in _masks_of(pictures[name], masks_in):
            values = read_labels(file)
            _check_size(values, image, file)
            for value in np.unique(values[values > 0]):
                masks.append(values == value)
                labels.append(f"{file.stem}:{value}")
        return _labelled(name, image, masks, labels, min_area, f"no mask for {name} in {masks_in}")

    return LabelledImages(str(root), tuple(pictures), load)


def _coco(file: Path, images: Path | None, min_area: float) -> LabelledImages:
    from pycocotools import mask as coco_mask  # compiled; only this layout needs it

    content = json.loads(file.read_text())
    if "annotations" not in content:
        raise ValueError(f"{str(file)!r} is not a COCO json: it has no 'annotations'")
    folder = images or next((f for f in (file.parent, file.parent / "images") if _pictures(f)), file.parent)
    category = {c["id"]: c["name"] for c in content.get("categories", ())}
    records = {record["file_name"]: record for record in content["images"]}
    annotations: dict[int, list[dict]] = {record["id"]: [] for record in records.values()}
    for annotation in content["annotations"]:
        if not annotation.get("iscrowd", 0) and annotation.get("area", np.inf) > min_area:
            annotations.get(annotation["image_id"], []).append(annotation)
    names = tuple(sorted(name for name, record in records.items() if annotations[record["id"]]))
    if not names:
        raise ValueError(f"{str(file)!r} has no picture with an instance larger than {min_area} pixels")

    def load(name: str) -> LabelledImage:
        image = read_rgb(folder / Path(name))
        masks, labels = [], []
        for annotation in annotations[records[name]["id"]]:
            mask = _decode(annotation["segmentation"], records[name], coco_mask)
            _check_size(mask, image, folder / name)
            masks.append(mask)
            labels.append(category.get(annotation.get("category_id"), "object"))
        return _labelled(name, image, masks, labels, 0, f"{name}: every instance is empty")

    return LabelledImages(str(file), names, load)


def _decode(segmentation: list | dict, record: dict, coco_mask) -> NDArray[np.bool_]:
    """COCO polygons, uncompressed or compressed RLE -> (H, W) bool"""
    height, width = record["height"], record["width"]
    if isinstance(segmentation, list):
        segmentation = coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    elif isinstance(segmentation["counts"], list):
        segmentation = coco_mask.frPyObjects(segmentation, height, width)
    return coco_mask.decode(segmentation).astype(bool)


def _clip(name: str, frames: Sequence[Path], masks_in: Path) -> LabelledClip:
    """A clip with label maps (`masks_in/*.png`) or with one folder of masks per object (SA-V)."""
    folders = sorted((f for f in masks_in.iterdir() if f.is_dir()), key=_natural) if masks_in.is_dir() else []
    if folders:
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
        if values.shape != _size_hw(frames[frame]):
            raise SampleError(f"{file}: mask is {values.shape}, its frame {_size_hw(frames[frame])}")
        return values > 0 if folders else values == obj_id

    return LabelledClip(name, tuple(frames), annotated, read)


def _values_of(label_maps: Iterable[Path]) -> list[int]:
    """The object ids in some label maps, in order; objects may enter late."""
    return sorted({int(value) for file in label_maps for value in np.unique(read_labels(file))} - {0})


def _labelled(
    name: str, image: NDArray, masks: list[NDArray], labels: list[str], min_area: float, problem: str
) -> LabelledImage:
    if not masks:
        raise SampleError(problem)
    kept = [(mask, label) for mask, label in zip(masks, labels, strict=True) if np.count_nonzero(mask) > min_area]
    stack = np.stack([mask for mask, _ in kept]) if kept else np.zeros((0, *image.shape[:2]), dtype=bool)
    return LabelledImage(name, image, stack, tuple(label for _, label in kept))


def _masks_of(picture: Path, masks_in: Path) -> list[Path]:
    """Mask files of a picture: same stem, or stem_<something>, or everything in a folder of that stem."""
    if (masks_in / picture.stem).is_dir():
        return _pictures(masks_in / picture.stem)
    pattern = re.compile(re.escape(picture.stem) + r"([_-].+)?")
    return [file for file in _pictures(masks_in) if file != picture and pattern.fullmatch(file.stem)]


def _looks_like_a_mask(stem: str, stems: set[str]) -> bool:
    """In one folder with its picture: a.png with a_mask.png or a_1.png beside it."""
    return any(stem != other and re.fullmatch(re.escape(other) + r"[_-](mask.*|\d+)", stem) for other in stems)


def _pairs_of_roots(root: Path) -> Iterator[tuple[Path, Path]]:
    """(pictures, annotations) folders of the DAVIS and SA-V layouts below root."""
    for pictures in sorted(root.glob("JPEGImages*")):
        for labels in sorted(root.glob("Annotations*")):
            for size in sorted(pictures.iterdir()):
                if (labels / size.name).is_dir() and any(f.is_dir() for f in size.iterdir()):
                    yield size, labels / size.name
            yield pictures, labels


def _sample(kind: str) -> Path:
    """The project's labelled sample, in the working folder or beside the package."""
    for base in (Path.cwd(), Path.cwd().parent, Path(__file__).resolve().parents[2]):
        if (base / SAMPLE / kind).is_dir():
            return base / SAMPLE / kind
    raise ValueError(f"the labelled sample {str(SAMPLE / kind)!r} is not here; pass the path of your own data")


def _existing(path: str | Path) -> Path:
    path = Path(path).expanduser()
    if not path.exists():
        raise ValueError(f"path={str(path)!r} does not exist")
    return path


def _is_coco(file: Path) -> bool:
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and {"images", "annotations"} <= content.keys()


def _pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted((file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES), key=_natural)


def _by_stem(folder: Path) -> dict[str, Path]:
    return {file.stem: file for file in _pictures(folder)}


def _natural(file: Path) -> list:
    """frame2 before frame10"""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", file.name)]


def _size_hw(file: Path) -> tuple[int, int]:
    with Image.open(file) as picture:
        return picture.height, picture.width


def _check_size(mask: NDArray, image: NDArray, file: Path) -> None:
    if mask.shape != image.shape[:2]:
        raise SampleError(f"{file}: mask is {mask.shape}, its picture {image.shape[:2]}")
