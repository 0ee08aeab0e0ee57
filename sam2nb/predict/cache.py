"""A cache of encoded images on disk: an image that was encoded before is read instead.

A file belongs to an image's pixels, the weights, the input size and the precision. The folder stays below a size: the
files that were used longest ago go first. The cache never fails: what cannot be read is encoded again, and where
nothing can be written one warning says so.
"""

from __future__ import annotations

import hashlib
import logging
import os
from contextlib import suppress
from pathlib import Path

import numpy as np

from sam2nb.model.sam2 import SAM2
from sam2nb.predict.encoding import EncodedImage, encode_images, load_images, save_images, with_pixels
from sam2nb.predict.saving import VERSION, note_model
from sam2nb.whole_file import PART, remove_leftovers

CACHE_BYTES = 2 << 30  # 128 images at 1024 x 1024 in float32, twice as many in half precision
PREFIX, SUFFIX = "embedding-", ".safetensors"  # nothing else in the folder is ever touched

log = logging.getLogger(__name__)


class EmbeddingCache:
    """Encoded images in a folder, which is made when the first one is written. Several processes may share it.

    max_bytes: size of the folder; 16 MB hold an image at 1024 x 1024 in float32.
    Raises ValueError for a size that is not positive.
    """

    def __init__(self, folder: str | Path, max_bytes: int = CACHE_BYTES) -> None:
        if max_bytes <= 0:
            raise ValueError(f"cache_size must be a positive number of bytes, got {max_bytes!r}")
        self.folder, self.max_bytes = Path(folder), max_bytes
        self._is_writable = True

    def encode(self, model: SAM2, images: list[np.ndarray]) -> list[EncodedImage]:
        """`encode_images`, for those images alone that are not in the folder: each (H, W, 3) uint8"""
        files = [self.file_of(rgb, model) for rgb in images]
        found = [self._read(file, model) for file in files]
        missing = [index for index, image in enumerate(found) if image is None]
        for index, image in zip(missing, encode_images(model, [images[i] for i in missing]), strict=True):
            found[index] = image
            self._write(files[index], image, model)
        return [with_pixels(image, model, rgb) for image, rgb in zip(found, images, strict=True)]

    def file_of(self, rgb: np.ndarray, model: SAM2) -> Path:
        """The file of an image, whether it exists or not."""
        note = note_model(model)
        digest = hashlib.sha256(f"{VERSION} {note.weights} {note.image_size} {note.precision} {rgb.shape}\n".encode())
        digest.update(np.ascontiguousarray(rgb))
        return self.folder / f"{PREFIX}{digest.hexdigest()}{SUFFIX}"

    def _read(self, file: Path, model: SAM2) -> EncodedImage | None:
        try:
            [image] = load_images(file, model)
        except FileNotFoundError:
            return None
        except (ValueError, OSError) as error:
            log.info("%s; the image is encoded again", error)
            return None
        with suppress(OSError):  # on a read-only disk it keeps its time
            os.utime(file)  # used now
        return image

    def _write(self, file: Path, image: EncodedImage, model: SAM2) -> None:
        if not self._is_writable:
            return
        try:
            save_images(file, [image], model, pixels=False)
            self._shrink()
        except OSError as error:
            log.warning("the cache %s cannot be written, nothing more is added to it: %s", self.folder, error)
            self._is_writable = False

    def _shrink(self) -> None:
        """Delete what was used longest ago until the folder is small enough."""
        remove_leftovers(self.folder, f".{PREFIX}*{PART}")
        files = []
        for file in self.folder.glob(f"{PREFIX}*{SUFFIX}"):
            try:
                status = file.stat()
            except FileNotFoundError:
                continue  # another process deleted it
            files.append((status.st_mtime_ns, status.st_size, file))
        total = sum(size for _, size, _ in files)
        for _, size, file in sorted(files):
            if total <= self.max_bytes:
                return
            file.unlink(missing_ok=True)
            total -= size
