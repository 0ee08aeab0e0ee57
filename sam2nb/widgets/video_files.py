"""Files of a tracked video by the name of their format: COCO, YOLO, CVAT, DAVIS, mp4."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from sam2nb.export.cvat import save_cvat
from sam2nb.export.masks import load_coco_images
from sam2nb.export.tracks import save_tracks
from sam2nb.media.video import FrameSource
from sam2nb.predict.video.session import FrameResult

ZIP = "application/zip"


class Format(NamedTuple):
    """One format. name: of the file that is downloaded. kind: its MIME type. target: the argument of `save_tracks`."""

    name: str
    kind: str
    target: str

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder of files, which is downloaded as a .zip file."""
        return self.kind == ZIP


FORMATS = {
    "coco": Format("tracks_coco.json", "application/json", "rle"),
    "yolo": Format("tracks_yolo.zip", ZIP, "yolo"),
    "cvat": Format("tracks_cvat.xml", "application/xml", "rle"),
    "davis": Format("tracks_davis.zip", ZIP, "masks"),
    "mp4": Format("tracks.mp4", "video/mp4", "video"),
}


def check_format(name: str) -> Format:
    """The format of that name; ValueError for another one."""
    if name not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {name!r}")
    return FORMATS[name]


def write_tracks(name: str, path: str | Path, results: Iterable[FrameResult], frames: FrameSource, fps: float) -> Path:
    """Write results in a format, to a file or, for yolo and davis, a folder. -> its path

    Raises ValueError for another format, and what the writers raise.
    """
    target = check_format(name).target
    if name != "cvat":
        save_tracks(results, frames, **{target: path}, fps=fps)
        return Path(path)
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder) / "coco.json"
        save_tracks(results, rle=runs)
        return save_cvat(load_coco_images(runs), path)


def tracks_file(name: str, results: Iterable[FrameResult], frames: FrameSource, fps: float) -> bytes:
    """Results in a format as the bytes of one file, see `write_tracks`; a folder as a .zip file."""
    form = check_format(name)
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / form.name
        if not form.is_folder:
            return write_tracks(name, whole, results, frames, fps).read_bytes()
        inside = write_tracks(name, Path(folder) / "files", results, frames, fps)
        return Path(shutil.make_archive(str(whole.with_suffix("")), "zip", inside)).read_bytes()
