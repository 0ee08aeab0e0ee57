"""Images of every kind to RGB, and the pixels that reach the model."""

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin
from PIL.PngImagePlugin import PngInfo

from sam2nb.media.images import to_model_input, to_rgb_uint8, to_video_input, write_image
from tests.faults import disk_of

RAMP = np.arange(0, 240, dtype=np.uint8).reshape(12, 20)
COLOUR = np.stack((RAMP, RAMP[::-1], RAMP[:, ::-1]), axis=2)

SAME_GREY = {
    "HxW": RAMP,
    "HxWx1": RAMP[..., None],
    "HxWx2, opaque": np.dstack((RAMP, np.full_like(RAMP, 255))),
    "2xHxW tensor, opaque": torch.from_numpy(np.stack((RAMP, np.full_like(RAMP, 255)))),
    "16 bit": RAMP.astype(np.uint16) << 8 | 0x00FF,
    "12 bit": (RAMP.astype(np.uint16) << 4) + 0xF,
    "int64": RAMP.astype(np.int64),
    "float64": RAMP / 255,
    "float32": (RAMP / 255).astype(np.float32),
    "1xHxW tensor": torch.from_numpy(RAMP)[None],
    "HxW tensor": torch.from_numpy(RAMP),
    "half tensor": torch.from_numpy(RAMP / 255).float(),
    "PIL L": Image.fromarray(RAMP),
    "PIL 16 bit": Image.fromarray(RAMP.astype(np.uint16) << 8 | 0x00FF),
    "PIL I": Image.fromarray(RAMP.astype(np.int32)),
    "PIL F": Image.fromarray(RAMP.astype(np.float32)),
}


@pytest.mark.parametrize("kind", SAME_GREY)
def test_every_grey_image_becomes_the_same_rgb(kind):
    rgb = to_rgb_uint8(SAME_GREY[kind])
    assert rgb.dtype == np.uint8 and rgb.shape == (12, 20, 3)
    assert np.array_equal(rgb, np.repeat(RAMP[..., None], 3, axis=2))


SAME_COLOUR = {
    "HxWx3": COLOUR,
    "HxWx4": np.dstack((COLOUR, np.full_like(RAMP, 255))),
    "3xHxW array": COLOUR.transpose(2, 0, 1),
    "3xHxW tensor": torch.from_numpy(COLOUR.transpose(2, 0, 1).copy()),
    "HxWx3 tensor": torch.from_numpy(COLOUR),
    "float": COLOUR / 255,
    "PIL RGB": Image.fromarray(COLOUR),
    "PIL RGBA": Image.fromarray(COLOUR).convert("RGBA"),
    "not contiguous": np.repeat(COLOUR, 2, axis=0)[::2],
}


@pytest.mark.parametrize("kind", SAME_COLOUR)
def test_every_colour_image_becomes_the_same_rgb(kind):
    assert np.array_equal(to_rgb_uint8(SAME_COLOUR[kind]), COLOUR)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB", "I", "F"])
def test_pil_images_of_any_mode_are_accepted(mode):
    source = Image.fromarray(COLOUR)
    image = source.convert("RGB").convert(mode) if mode not in ("PA", "LAB", "LA") else None
    if image is None:
        image = Image.new(mode, (20, 12))
    assert to_rgb_uint8(image).shape == (12, 20, 3)


def test_booleans_become_black_and_white():
    assert set(np.unique(to_rgb_uint8(RAMP > 100))) == {0, 255}


def test_a_three_pixel_high_array_is_rows_first_and_a_tensor_channels_first():
    pixels = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    assert np.array_equal(to_rgb_uint8(pixels), pixels)
    assert np.array_equal(to_rgb_uint8(torch.from_numpy(pixels)), pixels.transpose(1, 2, 0))


def test_transparent_pixels_are_blended_with_white():
    grey = np.zeros((5, 5, 2), np.uint8)
    grey[0, 0], grey[1, 1] = (30, 255), (0, 128)
    assert [to_rgb_uint8(grey)[i, i].tolist() for i in range(3)] == [[30] * 3, [127] * 3, [255] * 3]
    clear = np.zeros((4, 4, 4), np.uint8)
    clear[0, 0] = (10, 20, 30, 255)
    clear[1, 1] = (0, 0, 0, 128)
    rgb = to_rgb_uint8(clear)
    assert rgb[0, 0].tolist() == [10, 20, 30] and rgb[3, 3].tolist() == [255] * 3 and rgb[1, 1].tolist() == [127] * 3
    assert np.array_equal(to_rgb_uint8(Image.fromarray(clear)), rgb)


def test_the_exif_orientation_of_a_file_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to view
    Image.fromarray(COLOUR).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(to_rgb_uint8(tmp_path / "turned.png"), np.rot90(COLOUR, -1))
    assert np.array_equal(to_rgb_uint8(str(tmp_path / "turned.png")), np.rot90(COLOUR, -1))
    assert to_rgb_uint8((tmp_path / "turned.png").as_uri()).shape == (20, 12, 3)


BAD = {
    "empty": (np.zeros((0, 5, 3), np.uint8), ValueError, "empty|shape"),
    "two images": (np.zeros((2, 9, 9), np.uint8), ValueError, "channels"),
    "five channels": (np.zeros((9, 9, 5), np.uint8), ValueError, "channels"),
    "a batch": (np.zeros((2, 9, 9, 3), np.uint8), ValueError, "set_image_batch"),
    "NaN": (np.full((9, 9), np.nan), ValueError, "NaN"),
    "float in 0..255": (COLOUR.astype(np.float32), ValueError, r"0\.\.1"),
    "negative": (np.full((9, 9), -5, np.int16), ValueError, r"0\.\.65535"),
    "complex": (np.zeros((9, 9), complex), TypeError, "dtype"),
    "text": (np.array([["a", "b"]]), TypeError, "dtype"),
    "a list": ([[1, 2], [3, 4]], TypeError, "list"),
    "None": (None, TypeError, "NoneType"),
    "no such file": ("nowhere/at/all.png", FileNotFoundError, "all.png"),
    "a web address": ("https://example.org/cat.png", ValueError, "download"),
    "half a web address": ("http://[::1", ValueError, "download"),
    "a name that is too long": ("a" * 300 + ".png", FileNotFoundError, "there is no file"),
    "a name with a zero": ("cat\0.png", FileNotFoundError, "there is no file"),
    "a tensor without data": (torch.zeros(9, 9, device="meta"), TypeError, "ordinary tensor"),
    "a sparse tensor": (torch.eye(9).to_sparse(), TypeError, "ordinary tensor"),
    "a conjugate": (torch.zeros(9, 9, dtype=torch.complex64).conj(), TypeError, "complex"),
}


@pytest.mark.parametrize("kind", BAD)
def test_anything_but_an_image_is_refused(kind):
    image, error, words = BAD[kind]
    with pytest.raises(error, match=words):
        to_rgb_uint8(image)


def test_damaged_files_and_files_of_another_kind_are_named(tmp_path):
    (tmp_path / "notes.jpg").write_text("not an image")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(tmp_path / "whole.png")
    (tmp_path / "half.png").write_bytes((tmp_path / "whole.png").read_bytes()[:3000])
    for name in ("notes.jpg", "half.png"):
        with pytest.raises(ValueError, match=name):
            to_rgb_uint8(tmp_path / name)


@pytest.mark.parity
@pytest.mark.parametrize("shape", [(300, 451, 3), (17, 1000, 3), (1, 1, 3), (1951, 300, 3)])
def test_pixels_equal_the_official_transforms(official, shape):
    from sam2.utils.transforms import SAM2Transforms

    rgb = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    expected = SAM2Transforms(resolution=256, mask_threshold=0.0)(rgb)
    assert torch.equal(to_model_input(rgb, 256)[0], expected)


@pytest.mark.parity
def test_frames_equal_the_official_video_loader(official, tmp_path):
    from sam2.utils.misc import load_video_frames

    rgb = np.random.default_rng(0).integers(0, 256, (90, 161, 3), np.uint8)
    Image.fromarray(rgb).save(tmp_path / "0.jpg")
    frames, _, _ = load_video_frames(str(tmp_path), 256, offload_video_to_cpu=True, compute_device=torch.device("cpu"))
    stored = np.asarray(Image.open(tmp_path / "0.jpg"))
    assert torch.equal(to_video_input(stored, 256)[0], frames[0])


def test_a_pil_image_whose_file_ends_early_is_refused_by_name(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(tmp_path / "whole.png")
    (tmp_path / "half.png").write_bytes((tmp_path / "whole.png").read_bytes()[:3000])
    with Image.open(tmp_path / "half.png") as lazily_opened, pytest.raises(ValueError, match="image is a PIL image"):
        to_rgb_uint8(lazily_opened)
    with Image.open(tmp_path / "whole.png") as closed:
        pass
    with pytest.raises(ValueError, match="image is a PIL image that cannot be decoded: it is closed"):
        to_rgb_uint8(closed)


def test_a_text_bomb_in_an_image_is_refused_by_name(tmp_path):
    notes = PngInfo()
    notes.add_text("bomb", "0" * (PngImagePlugin.MAX_TEXT_CHUNK + 1), zip=True)
    Image.fromarray(RAMP).save(tmp_path / "bomb.png", pnginfo=notes)
    with pytest.raises(ValueError, match="bomb.png.*cannot be read"):
        to_rgb_uint8(tmp_path / "bomb.png")


def test_on_a_full_disk_a_written_image_leaves_nothing(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    with disk_of(1000), pytest.raises(OSError):
        write_image(noise, tmp_path / "noise.png")
    assert list(tmp_path.iterdir()) == []
    assert np.array_equal(to_rgb_uint8(write_image(noise, tmp_path / "noise.PNG")), noise)
