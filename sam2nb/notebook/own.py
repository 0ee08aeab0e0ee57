"""Pictures and clips of your own: a file, an address, an upload or the camera; else a default."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
from PIL import Image

from sam2nb.media.images import shrunk_size, to_rgb_uint8
from sam2nb.media.video import FrameSource, open_frames
from sam2nb.media.video_file import DEFAULT_FPS, VideoEndedEarly
from sam2nb.media.video_writer import VideoWriter
from sam2nb.notebook import colab
from sam2nb.notebook.samples import clip_names, clip_path, photo, photo_names
from sam2nb.notebook.show import in_notebook
from sam2nb.weights.transfer import Unreachable, download_file

UPLOAD, WEBCAM = "upload", "webcam"
LONGEST = 2048  # pixels: the longer side of a picture, which is more than the model sees
FRAMES, SIDE = 150, 960  # of a clip: six seconds, small enough for a computer without a GPU
MEGABYTE = 10**6


@dataclass(frozen=True)
class Kind:
    """A picture or a clip. limit: bytes of a file. describe: looks into a file, raises ValueError if it is neither."""

    name: str
    limit: int
    describe: Callable[[Path], str]
    names: Callable[[], list[str]]


def picture(source: Any, default: Any, longest: int | None) -> np.ndarray:
    """`Lab.picture`: (H, W, 3) uint8"""
    found, note = _chosen(source, default, PICTURE)
    if isinstance(found, str) and found in photo_names() and not Path(found).exists():
        rgb, name = photo(found), found
    else:
        rgb, name = to_rgb_uint8(_existing(found, PICTURE)), _name_of(found)
    height, width = rgb.shape[:2]
    if longest is not None and max(height, width) > longest:
        rgb = _resized(rgb, shrunk_size((height, width), longest))
        note += f", shrunk from {width} x {height}"
    print(f"picture: {name}, {_size(rgb.shape[:2])}{note}")
    return rgb


def clip(source: Any, default: Any, frames: int, longest: int) -> Any:
    """`Lab.clip`: a path, or the frames that were given"""
    found, note = _chosen(source, default, CLIP)
    name = _name_of(found)
    if isinstance(found, str) and found in clip_names() and not Path(found).exists():
        found = clip_path(found)
    elif isinstance(found, (str, Path)):
        found = _existing(found, CLIP)
        whole = open_frames(found, progress=False)
        if len(whole) > frames or max(whole.size_hw) > longest:
            found = _shorter_clip(whole, found.stem, frames, longest)
            note += f", made from {len(whole)} frames of {_size(whole.size_hw)}"
    opened = open_frames(found, progress=False)
    print(f"clip: {name}, {len(opened)} frames of {_size(opened.size_hw)}{note}")
    return found


def _chosen(source: Any, default: Any, kind: Kind) -> tuple[Any, str]:
    """The source, or a path where it comes from elsewhere, or the default; and a note on why it is the default."""
    if source is None:
        return default, ""
    if not isinstance(source, str):
        return source, ""
    if source in (UPLOAD, WEBCAM):
        return _from_person(source, default, kind)
    if source.startswith(("http://", "https://")):
        try:
            return _from_address(source, kind), ""
        except Unreachable as error:
            return default, f", because {error}"
    return source, ""


def _existing(found: Any, kind: Kind) -> Any:
    """The path, if it exists; what is no path is returned as it is."""
    if not isinstance(found, (str, Path)):
        return found
    path = Path(found).expanduser()
    if not path.exists():
        raise FileNotFoundError(
            f"there is no file {str(found)!r}: the {kind.name} must be a path, an address (https://…), "
            f'"{UPLOAD}", "{WEBCAM}" or one of {", ".join(kind.names())}'
        )
    return path


# --- from elsewhere ---------------------------------------------------------------------------------------------------

_received: dict[tuple[str, str], Path] = {}  # by kind and way: the file that the reader gave last


def _from_person(way: str, default: Any, kind: Kind) -> tuple[Any, str]:
    """The file that a person gives now or gave before; until then, the default."""
    if colab.is_here():
        path = colab.ask(kind.name, way, _own_folder(), kind.limit)
        if path is not None:
            kind.describe(path)
            _received[kind.name, way] = path
    elif in_notebook():
        _show_widget(kind, way)
    if (kind.name, way) in _received:
        return _received[kind.name, way], ""
    if not in_notebook():
        return default, ", because there is no notebook here to ask in"
    return default, "" if colab.is_here() else f", until you give a {kind.name} above and run this cell again"


def _show_widget(kind: Kind, way: str) -> None:
    from IPython.display import display

    from sam2nb.widgets.file import FileWidget

    def take(path: Path) -> str:
        sentence = kind.describe(path)
        _received[kind.name, way] = path
        return sentence

    display(FileWidget(kind.name, way, kind.limit, _own_folder(), take))


def _from_address(url: str, kind: Kind) -> Path:
    """The file at an address, fetched once."""
    name = Path(unquote(urlsplit(url).path)).name or kind.name
    target = _own_folder() / hashlib.sha256(url.encode()).hexdigest()[:12] / name
    if not target.is_file():
        download_file(url, target, kind.describe, label=name, kind=kind.name, limit=kind.limit)
    return target


@cache
def _temporary_folder() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory(prefix="sam2nb-own-")


def _own_folder() -> Path:
    """A folder for the reader's files, removed when the kernel stops."""
    return Path(_temporary_folder().name)


# --- sizes ------------------------------------------------------------------------------------------------------------


def _shorter_clip(whole: FrameSource, name: str, frames: int, longest: int) -> Path:
    """Write the first frames of a clip, shrunk, into a new file."""
    count = min(len(whole), frames)
    path = _own_folder() / f"{name}_{count}_frames.mp4"
    size_hw = shrunk_size(whole.size_hw, longest)
    with VideoWriter(path, getattr(whole, "fps", DEFAULT_FPS)) as writer, suppress(VideoEndedEarly):
        for index in range(count):
            writer.add(_resized(whole[index], size_hw))
    return path


def _resized(rgb: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    if rgb.shape[:2] == size_hw:
        return rgb
    return np.asarray(Image.fromarray(rgb).resize(size_hw[::-1], Image.Resampling.LANCZOS))


def _size(size_hw: tuple[int, int]) -> str:
    return f"{size_hw[1]} x {size_hw[0]} pixels"


def _name_of(found: Any) -> str:
    return Path(found).name if isinstance(found, (str, Path)) else f"your {type(found).__name__}"


def _describe_picture(path: Path) -> str:
    return f"{path.name}: {_size(to_rgb_uint8(path).shape[:2])}"


def _describe_clip(path: Path) -> str:
    frames = open_frames(path, progress=False)
    return f"{path.name}: {len(frames)} frames of {_size(frames.size_hw)}"


PICTURE = Kind("picture", 50 * MEGABYTE, _describe_picture, photo_names)
CLIP = Kind("clip", 250 * MEGABYTE, _describe_clip, clip_names)
