import pytest
import torch

from sam2nb.fast import trunk as fast
from sam2nb.model import hiera, layers
from sam2nb.model.hiera import GlobalBlock, Hiera, PatchEmbed, StageOpeningBlock, WindowedBlock
from tests.reference import scramble

SIZES = [(64, 64), (36, 20), (8, 6)]  # 64 and 36 do not fill windows of 14, 6 is less than one


@pytest.fixture(autouse=True)
def small_bands(monkeypatch):
    monkeypatch.setattr(fast, "TOKENS_PER_BAND", 256)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("size_hw", SIZES)
@pytest.mark.parametrize(
    ("block", "function"),
    [
        (WindowedBlock(width=16, num_heads=2, window=8), fast.windowed_block),
        (WindowedBlock(width=16, num_heads=2, window=14), fast.windowed_block),
        (GlobalBlock(width=16, num_heads=2), fast.global_block),
        (StageOpeningBlock(width_in=16, width=32, num_heads=2, window=8), fast.stage_opening_block),
        (StageOpeningBlock(width_in=16, width=32, num_heads=2, window=4), fast.stage_opening_block),
        (StageOpeningBlock(width_in=16, width=32, num_heads=2, window=14), fast.stage_opening_block),
    ],
    ids=["windowed 8", "windowed 14", "global", "opening 8", "opening 4", "opening 14"],
)
def test_every_block_in_bands_equals_the_textbook(block, function, size_hw, batch):
    scramble(block)
    x = torch.randn(batch, *size_hw, 16)
    with torch.no_grad():
        torch.testing.assert_close(function(block, x), block(x), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(function(block, x), block(x), atol=1e-5, rtol=1e-5)  # and with gradients, at once


@torch.no_grad()
def test_patches_in_channels_last_layout_equal_the_textbook():
    patches = PatchEmbed(8)
    pixels = torch.randn(2, 3, 64, 32)
    torch.testing.assert_close(fast.channels_last_patches(patches, pixels), patches(pixels), atol=1e-5, rtol=1e-5)


def test_the_kept_position_equals_the_textbook_until_its_tables_change():
    trunk = Hiera(embed_dim=16, num_heads=1, stages=(1, 1), windows=(8, 4), global_blocks=(), position_grid=7)
    with torch.no_grad():
        kept = fast.cached_position(trunk, (16, 24))
        assert torch.equal(kept, trunk.position((16, 24)))
        assert fast.cached_position(trunk, (16, 24)) is kept
        trunk.pos_embed.add_(1)
        assert torch.equal(fast.cached_position(trunk, (16, 24)), trunk.position((16, 24)))
    assert fast.cached_position(trunk, (16, 24)).requires_grad  # in training the tables learn


def test_bands_cover_the_map_once_and_respect_their_step():
    grid = torch.randn(1, 70, 256, 3)
    seen = []

    def note(band):
        seen.append(band.shape[1])
        return band + 1

    with torch.no_grad():
        torch.testing.assert_close(fast.in_bands(note, grid, 4), grid + 1)
    assert sum(seen) == 70 and len(seen) > 1 and all(rows % 4 == 0 for rows in seen[:-1])
    seen.clear()
    fast.in_bands(note, grid, 4)
    assert seen == [70]  # with gradients: all at once


def test_pooling_and_windows_equal_the_textbook():
    grid = torch.randn(2, 10, 12, 3)
    assert torch.equal(fast.max_pool(grid), hiera.max_pool(grid))
    windows = fast.window_partition(grid, 7, padding=torch.zeros(3))
    assert torch.equal(windows, layers.window_partition(grid, 7))
    assert torch.equal(fast.window_unpartition(windows, (10, 12)), grid)
