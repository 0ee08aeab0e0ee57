from pathlib import Path

import pytest

from tests.media.clips import write_clip


@pytest.fixture(scope="module")
def mp4(tmp_path_factory) -> Path:
    return write_clip(tmp_path_factory.mktemp("video") / "clip.mp4")
