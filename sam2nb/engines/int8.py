"""INT8: the image encoder's products in whole numbers, calibrated on the project's photographs (NNCF).

Lossy: masks change slightly, and an ambiguous click may be answered by another of its three masks.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sam2nb.engines.openvino_files import no_telemetry
from sam2nb.media.folder import IMAGE_SUFFIXES
from sam2nb.media.images import to_model_input, to_rgb_uint8
from sam2nb.resources import resource_dir

if TYPE_CHECKING:
    import openvino

log = logging.getLogger(__name__)


def calibration_photos() -> list[Path]:
    """The photographs whose features decide the ranges of the whole numbers."""
    return sorted(file for file in (resource_dir("data") / "photos").iterdir() if file.suffix in IMAGE_SUFFIXES)


def quantise(model: openvino.Model, image_size: int) -> openvino.Model:
    """The image encoder with INT8 products; minutes.

    Raises ImportError without NNCF.
    """
    with no_telemetry():
        try:
            import nncf
        except ImportError as error:
            raise ImportError("INT8 needs a package more to prepare: pip install 'sam2nb[int8]'") from error
        photos = calibration_photos()
        log.warning("openvino calibrates INT8 on %d photographs, which takes minutes", len(photos))

        def pixels() -> Iterator:
            for photo in photos:
                yield to_model_input(to_rgb_uint8(photo), image_size).numpy()

        return nncf.quantize(
            model,
            nncf.Dataset(list(pixels())),
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(photos),
        )
