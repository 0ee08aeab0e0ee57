"""A small copy of the fetched images, to carry to a machine without registry access.

Images are shrunk to what training reads. File names and manifest stay the same (every image is WEBP inside, whatever
its name says), so `prepare` takes the copy as `raw` and has nothing to fetch. A gigabyte becomes about fifty megabytes.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from PIL import Image

from sam2nb.training.data.cutouts import CUTOUT_SIDE, TEXTURE_SIDE
from sam2nb.training.data.sources import MANIFEST_NAME, list_files
from sam2nb.training.data.teacher import TEACHER_SIDE

logger = logging.getLogger(__name__)

LONGER_SIDES = {"photos": TEACHER_SIDE * 5 // 4, "cutouts": CUTOUT_SIDE * 3 // 2, "textures": TEXTURE_SIDE}
QUALITY = 88


def pack(raw: Path, target: Path) -> int:
    """Write the small copy of `raw` into `target`; returns its size in bytes. Images already there are kept."""
    raw, target = Path(raw), Path(target)
    target.mkdir(parents=True, exist_ok=True)
    shutil.copy(raw / MANIFEST_NAME, target / MANIFEST_NAME)
    for kind, side in LONGER_SIDES.items():
        for path, _ in list_files(raw, kind):
            copy = target / path.relative_to(raw)
            if copy.exists():
                continue
            try:
                write_shrunk(path, copy, side)
            except OSError as error:
                logger.warning("leaving out %s: %s", path, error)
    return sum(file.stat().st_size for file in target.rglob("*") if file.is_file())


def write_shrunk(path: Path, copy: Path, side: int) -> None:
    """Write an image with its longer side at most `side`."""
    with Image.open(path) as image:
        image = image.convert("RGBA" if "A" in image.getbands() or "transparency" in image.info else "RGB")
        image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
        copy.parent.mkdir(parents=True, exist_ok=True)
        image.save(copy, format="WEBP", quality=QUALITY, method=2)
