"""Damaged and hostile files at every door: each is read, or refused by name and in words, in bounded time and memory.

A quick slice by default; SAM2NB_FUZZ_FILES=10000 tries as many files, shared among the doors.
"""

import os
import resource
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from sam2nb import SAM2ImagePredictor
from sam2nb.media.images import to_rgb_uint8
from sam2nb.media.video import open_frames
from sam2nb.media.video_file import VideoEndedEarly
from sam2nb.weights.checkpoint import load_checkpoint
from sam2nb.weights.files import write_state_file
from tests.hardening.cases import SIDE, clip, picture
from tests.hardening.damage import HOSTILE, damaged

FILES = int(os.environ.get("SAM2NB_FUZZ_FILES", "400"))
SHARES = {"checkpoint": 0.35, "image": 0.35, "video": 0.15, "session": 0.15}
SECONDS, MEGABYTES = 20.0, 700  # for one file at most; the largest image that PIL opens needs most of these
INTERNAL = (  # parts of the messages of libraries
    "PytorchStreamReader", "weights_only", "zipfile", "codec can't", "unpickl", "opcode", "list index", "NoneType",
    "SafetensorError", "deserializing", "object has no attribute", "subscriptable", "KeyError",
)  # fmt: skip


class Toy(nn.Module):
    """Two tensors of a SAM 2, so that loading is quick."""

    def __init__(self) -> None:
        super().__init__()
        self.image_encoder = nn.Module()
        self.image_encoder.trunk = nn.Module()
        self.image_encoder.trunk.patch_embed = nn.Module()
        self.image_encoder.trunk.patch_embed.proj = nn.Conv2d(3, 8, 3)
        self.image_encoder.trunk.blocks = nn.ModuleList([nn.Linear(8, 8)])


class CheckpointDoor:
    """Load a file into a model, which must not change if that fails."""

    def __init__(self, folder: Path, nano) -> None:
        self.model = Toy()
        state = self.model.state_dict()
        torch.save(state, folder / "plain.pt")
        self.whole = {
            name: write_state_file(folder / name, state, {"config": "toy"}).read_bytes()
            for name in ("official.pt", "ours.safetensors")
        }
        self.whole["plain.pt"] = (folder / "plain.pt").read_bytes()

    def open(self, path: Path) -> None:
        before = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        try:
            load_checkpoint(self.model, path)
        except Exception:
            after = self.model.state_dict()
            assert all(torch.equal(before[name], after[name]) for name in before), "a refused file changed the model"
            raise
        assert all(tensor.isfinite().all() for tensor in self.model.state_dict().values())


class ImageDoor:
    """Read an image file."""

    def __init__(self, folder: Path, nano) -> None:
        self.whole = {}
        for suffix in (
            "png",
            "jpg",
            "webp",
            "tiff",
            "gif",
            "bmp",
            "qoi",
            "ico",
            "ppm",
            "tga",
            "jp2",
            "pcx",
            "dds",
            "avif",
        ):
            try:
                Image.fromarray(picture((40, 56))).save(folder / f"image.{suffix}")
            except (OSError, ValueError, KeyError):  # a format that this Pillow does not write
                continue
            self.whole[f"image.{suffix}"] = (folder / f"image.{suffix}").read_bytes()

    def open(self, path: Path) -> None:
        rgb = to_rgb_uint8(path)
        assert rgb.ndim == 3 and rgb.shape[2] == 3 and rgb.dtype == np.uint8


class VideoDoor:
    """Open a video and read all of its frames."""

    def __init__(self, folder: Path, nano) -> None:
        from sam2nb.media.video_writer import VideoWriter

        self.whole = {}
        for suffix in ("mp4", "mkv", "webm", "mov"):
            with VideoWriter(folder / f"clip.{suffix}") as writer:
                for rgb in clip():
                    writer.add(rgb)
            self.whole[f"clip.{suffix}"] = (folder / f"clip.{suffix}").read_bytes()
        images = [Image.fromarray(rgb) for rgb in clip()]
        images[0].save(folder / "clip.gif", save_all=True, append_images=images[1:])
        self.whole["clip.gif"] = (folder / "clip.gif").read_bytes()

    def open(self, path: Path) -> None:
        frames = open_frames(path, progress=False)
        try:
            for index in range(min(len(frames), 12)):
                assert frames[index].shape == (*frames.size_hw, 3)
        except VideoEndedEarly:
            pass  # said in words


class SessionDoor:
    """Load a session, or an encoded image; what is set stays if that fails."""

    def __init__(self, folder: Path, nano) -> None:
        from sam2nb import SAM2VideoPredictor

        self.images, self.video = SAM2ImagePredictor(nano), SAM2VideoPredictor(nano, progress=False)
        session = self.video.init_state(clip())
        self.video.add_new_points_or_box(session, 0, 1, [[20, 20]], [1])
        list(self.video.propagate_in_video(session, max_frame_num_to_track=1))
        self.images.set_image(picture((SIDE, SIDE)))
        files = {"work.session": self.video.save_session(session, folder / "work.session")}
        files["image.safetensors"] = self.images.save(folder / "image.safetensors")
        self.whole = {name: file.read_bytes() for name, file in files.items()}

    def open(self, path: Path) -> None:
        before = self.images.images
        if path.suffix == ".session":
            self.video.load_session(path, clip())
            return
        try:
            self.images.load(path)
        except Exception:
            assert self.images.images is before
            raise


DOORS = {"checkpoint": CheckpointDoor, "image": ImageDoor, "video": VideoDoor, "session": SessionDoor}


@pytest.fixture(scope="module", params=DOORS)
def door(request, tmp_path_factory, nano):
    made = DOORS[request.param](tmp_path_factory.mktemp(request.param), nano)
    made.name = request.param
    return made


def knock(door, path: Path) -> str:
    """Open a file -> "read" or "refused". Fails for an error of another kind, or without the file's name."""
    began = time.monotonic()
    try:
        door.open(path)
        outcome = "read"
    except (ValueError, FileNotFoundError) as error:
        text = str(error)
        assert type(error) in (ValueError, FileNotFoundError), f"{type(error).__name__}: {text}"
        assert path.name in text, text
        assert not any(part in text for part in INTERNAL), text
        outcome = "refused"
    assert time.monotonic() - began < SECONDS
    return outcome


def peak() -> int:
    """The most memory that this process ever had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_refused_by_name(door, kind, tmp_path):
    before = peak()
    for name in sorted({Path(name).suffix for name in door.whole}):
        path = tmp_path / f"hostile{name}"
        path.write_bytes(HOSTILE[kind])
        assert knock(door, path) == "refused", f"{door.name} has read {kind}"
    assert peak() - before < MEGABYTES
    assert not Path("/tmp/sam2nb-was-here").exists()


@pytest.mark.timeout(0 if FILES > 5000 else 300)
def test_a_damaged_file_is_read_or_refused_by_name(door, tmp_path):
    count, before, outcomes = int(FILES * SHARES[door.name]), peak(), Counter()
    for name, data in damaged(door.whole, count, seed=len(door.name)):
        path = tmp_path / name
        path.write_bytes(data)
        outcomes[knock(door, path)] += 1
    grown = peak() - before
    print(f"{door.name}: {count} files, {dict(outcomes)}, {grown} MB")
    assert sum(outcomes.values()) == count and outcomes["refused"] > count // 20
    assert grown < MEGABYTES
