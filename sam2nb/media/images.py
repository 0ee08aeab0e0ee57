"""Any image to RGB and to the model's input; masks back to the image's size.

Arrays, tensors, PIL images and files are accepted, in grey or colour; the official package takes RGB uint8 arrays and
PIL images only. The pixels that reach the model are bit for bit those of the official transforms.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any, Union
from urllib.parse import unquote, urlparse

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor

from sam2nb.whole_file import whole_file

ImageLike = Union[np.ndarray, Tensor, Image.Image, str, Path]  # noqa: UP007  (a runtime value on python 3.10)

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
CHANNELS = (1, 2, 3, 4)  # grey, grey and alpha, RGB, RGB and alpha
DEPTHS = (8, 10, 12, 14, 16)  # bits that cameras and scanners use; the smallest that holds the brightest pixel is taken
OVERSHOOT = 0.1  # resizing a float image may leave 0..1 by a little
WHITE = 255


def to_rgb_uint8(image: ImageLike) -> np.ndarray:
    """Convert an image of any kind to RGB: -> (H, W, 3) uint8

    image: an array (H, W) or (H, W, C) with C = 1 (grey), 2 (grey and alpha), 3 (RGB) or 4 (RGB and alpha); a tensor in
    (C, H, W) or (H, W, C) order; a PIL image of any mode; the path of a file (its EXIF orientation is applied) or a
    file:// address. Floats are in 0..1; 16-bit integers are scaled from the smallest usual bit depth that holds them;
    transparent pixels are blended with white.

    Raises TypeError for anything that is not an image; ValueError for an image that is empty, damaged, of an unusual
    shape or has NaN values; FileNotFoundError for a path that does not exist.
    """
    if isinstance(image, (str, Path)):
        return _from_pil(read_image(image))
    if isinstance(image, Image.Image):
        return _from_pil(image)
    if isinstance(image, Tensor):
        return _from_array(_to_numpy(image), channels_first=True)
    if isinstance(image, np.ndarray):
        return _from_array(image, channels_first=False)
    raise TypeError(f"image must be an array, tensor, PIL image or path, got {type(image).__name__}")


def read_image(path: str | Path) -> Image.Image:
    """Open an image file and apply its EXIF orientation.

    Raises FileNotFoundError, or ValueError for a file that is not an image, is damaged, or exceeds PIL's size limit.
    """
    text = str(path)
    if text.startswith(("http://", "https://")):
        raise ValueError(f"image is an address on the web, {text!r}: download the file and pass its path")
    file = unquote(urlparse(text).path) if text.startswith("file:") else path
    if not os.path.isfile(file):  # unlike Path.is_file, False for a name that is too long
        raise FileNotFoundError(f"image: there is no file {text!r}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # large scans are welcome
            with Image.open(file) as image:
                return ImageOps.exif_transpose(image)
    except MemoryError:
        raise
    except Exception as error:  # on a damaged file, each decoder raises what it likes
        raise ValueError(f"image {text!r} cannot be read: it is not an image, or is damaged ({error})") from error


def write_image(image: Image.Image | np.ndarray, path: str | Path, **options: Any) -> Path:
    """Write an image file, whole or not at all, in the format of its ending, and return its path.

    image: of PIL, or an array (H, W, 3) or (H, W) uint8. options: of the format, such as quality=92.
    """
    picture = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    kind = Image.registered_extensions()[Path(path).suffix.lower()]
    with whole_file(path) as part:
        picture.save(part, format=kind, **options)
    return Path(path)


def read_label_map(path: str | Path) -> np.ndarray:
    """Read a mask or label map, in which each value above 0 is an object: -> (H, W) bool or integers

    Raises what `read_image` raises, and ValueError for an image in colour.
    """
    labels = np.asarray(read_image(path))
    if labels.ndim != 2:
        raise ValueError(f"a mask must be a label map (grey or palette), {Path(path).name!r} is in colour")
    return labels


def shrunk_size(size_hw: tuple[int, int], longest: int) -> tuple[int, int]:
    """Height and width of an image whose longer side is shrunk to `longest`; a smaller one keeps its size."""
    scale = min(1.0, longest / max(size_hw))
    return tuple(max(1, round(side * scale)) for side in size_hw)


def _from_pil(image: Image.Image) -> np.ndarray:
    if min(image.size) == 0:
        raise ValueError(f"image is empty: {image.width}x{image.height}")
    try:
        image.load()
    except MemoryError:
        raise
    except Exception as error:  # PIL decodes only now
        raise ValueError(f"image is a PIL image that cannot be decoded: it is closed, or damaged ({error})") from error
    if image.mode == "RGB":
        return np.asarray(image)
    if image.mode.startswith("I") or image.mode == "F":
        pixels = np.asarray(image)
        # PIL's float mode holds 0..255, float images elsewhere 0..1
        return _from_array(pixels / 255.0 if image.mode == "F" and pixels.max() > 1 else pixels, channels_first=False)
    if image.has_transparency_data:
        return _on_white(np.asarray(image.convert("RGBA")))
    return np.asarray(image.convert("RGB"))


def _to_numpy(image: Tensor) -> np.ndarray:
    image = image.detach().resolve_conj().resolve_neg()
    try:
        return (image.float() if image.dtype.is_floating_point and image.dtype.itemsize < 4 else image).cpu().numpy()
    except (RuntimeError, TypeError) as error:  # sparse, quantized, without data
        raise TypeError(f"image must be an ordinary tensor of pixels, got {image.dtype} on {image.device}") from error


def _from_array(pixels: np.ndarray, channels_first: bool) -> np.ndarray:
    if pixels.ndim not in (2, 3) or pixels.size == 0:
        raise ValueError(
            f"image must be a single image of shape (H, W) or (H, W, 1, 2, 3 or 4), got {pixels.shape}"
            + (": use set_image_batch for several" if pixels.ndim == 4 else "")
        )
    pixels = pixels[..., None] if pixels.ndim == 2 else _channels_last(pixels, channels_first)
    pixels = _to_uint8(pixels)
    grey = pixels[..., [0, 0, 0]]
    if pixels.shape[2] == 1:
        return grey
    if pixels.shape[2] == 2:
        pixels = np.concatenate((grey, pixels[..., 1:]), axis=2)
    return _on_white(pixels) if pixels.shape[2] == 4 else np.ascontiguousarray(pixels)


def _channels_last(pixels: np.ndarray, channels_first: bool) -> np.ndarray:
    first, last = pixels.shape[0] in CHANNELS, pixels.shape[2] in CHANNELS
    first = first and (channels_first or pixels.shape[0] != 2)  # rather two images than grey and alpha
    if not first and not last:
        raise ValueError(f"image must have 1, 2, 3 or 4 channels, got shape {pixels.shape}")
    if first and (channels_first or not last):
        return pixels.transpose(1, 2, 0)
    return pixels


def _to_uint8(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == bool:
        return pixels.astype(np.uint8) * 255
    if pixels.dtype.kind == "f":
        return _unit_to_uint8(pixels)
    if pixels.dtype.kind not in "iu":
        raise TypeError(f"image must hold bool, integer or float pixels, got dtype {pixels.dtype}")
    low, high = int(pixels.min()), int(pixels.max())
    if low < 0 or high >= 2 ** DEPTHS[-1]:
        raise ValueError(f"integer image must be in 0..65535, got {low}..{high}: shift and scale it first")
    depth = next(bits for bits in DEPTHS if high < 2**bits)
    return (pixels.astype(np.int32) >> (depth - 8)).astype(np.uint8)


def _unit_to_uint8(pixels: np.ndarray) -> np.ndarray:
    if not np.isfinite(pixels).all():
        raise ValueError(f"image holds {int((~np.isfinite(pixels)).sum())} NaN or infinite values")
    low, high = float(pixels.min()), float(pixels.max())
    if low < -OVERSHOOT or high > 1 + OVERSHOOT:
        raise ValueError(f"float image must be in 0..1, got {low:.3g}..{high:.3g}: divide by 255, or pass uint8")
    return (np.clip(pixels, 0, 1) * 255 + 0.5).astype(np.uint8)


def _on_white(rgba: np.ndarray) -> np.ndarray:
    alpha = rgba[..., 3:].astype(np.uint16)
    if alpha.min() == WHITE:
        return np.ascontiguousarray(rgba[..., :3])
    return ((rgba[..., :3] * alpha + WHITE * (255 - alpha) + 127) // 255).astype(np.uint8)


def to_model_input(rgb: np.ndarray, image_size: int, device: torch.device | str = "cpu") -> Tensor:
    """Prepare a still image for the model: to float, antialiased bilinear resize to a square, normalise.

    The two sides are scaled separately; the aspect ratio is not kept.

    rgb: (H, W, 3) uint8 -> (1, 3, S, S) float32
    """
    channels = []
    for channel in range(rgb.shape[2]):  # one at a time, so that a large scan needs little memory
        unit = torch.tensor(rgb[..., channel]).to(device).float().div_(255)[None, None]
        size = (image_size, image_size)
        channels.append(F.interpolate(unit, size, mode="bilinear", align_corners=False, antialias=True))
    return normalise(torch.cat(channels, dim=1))


def to_video_input(rgb: np.ndarray, image_size: int, device: torch.device | str = "cpu") -> Tensor:
    """Prepare a video frame for the model: bicubic resize of the bytes to a square, to float, normalise.

    The official package resizes frames and still images differently, so the two give slightly different pixels.

    rgb: (H, W, 3) uint8 -> (1, 3, S, S) float32
    """
    square = Image.fromarray(rgb).resize((image_size, image_size))
    unit = torch.tensor(np.asarray(square)).permute(2, 0, 1)[None].to(device).float() / 255
    return normalise(unit)


def normalise(unit: Tensor) -> Tensor:
    """Subtract ImageNet's mean and divide by its standard deviation: (B, 3, H, W) in 0..1 -> the same shape"""
    mean = torch.tensor(IMAGENET_MEAN, device=unit.device).view(1, 3, 1, 1)
    std = torch.tensor(IMAGENET_STD, device=unit.device).view(1, 3, 1, 1)
    return (unit - mean) / std


def masks_to_image(logits: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Upsample low-resolution logits to the image's size: (B, M, 4h, 4w) -> (B, M, H, W) float32, bilinear"""
    return F.interpolate(logits.float(), size_hw, mode="bilinear", align_corners=False)
