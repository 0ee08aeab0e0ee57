import pytest
import torch

from sam2nb.build import build_sam2
from sam2nb.model.hiera import GlobalBlock, StageOpeningBlock


@pytest.fixture(scope="module")
def tiny():
    return build_sam2("sam2.1_hiera_t", device="cpu").image_encoder


def test_the_block_that_opens_a_stage_is_still_on_the_old_window(tiny):
    windows = [getattr(block, "window", None) for block in tiny.trunk.blocks]
    assert windows == [8, 8, 4, 4, 14, None, 14, None, 14, None, 14, 7]
    opening = [i for i, block in enumerate(tiny.trunk.blocks) if isinstance(block, StageOpeningBlock)]
    assert opening == [1, 3, 10]


@pytest.mark.parametrize(
    ("name", "blocks", "global_blocks"),
    [
        ("sam2_hiera_t", 12, [5, 7, 9]),
        ("sam2_hiera_s", 16, [7, 10, 13]),
        ("sam2_hiera_b+", 24, [12, 16, 20]),
        ("sam2_hiera_l", 48, [23, 33, 43]),
    ],
)
def test_three_blocks_attend_to_the_whole_grid(name, blocks, global_blocks):
    trunk = build_sam2(name, device="cpu").image_encoder.trunk
    assert len(trunk.blocks) == blocks
    assert [i for i, block in enumerate(trunk.blocks) if isinstance(block, GlobalBlock)] == global_blocks


@torch.no_grad()
def test_stages_halve_the_grid_and_double_the_channels(tiny):
    maps = tiny.trunk(torch.randn(1, 3, 224, 224))
    assert [tuple(m.shape[1:]) for m in maps] == [(96, 56, 56), (192, 28, 28), (384, 14, 14), (768, 7, 7)]


@torch.no_grad()
def test_position_is_the_stretched_table_plus_the_repeated_tile(tiny):
    trunk = tiny.trunk
    position = trunk.position((256, 256))
    stretched = torch.nn.functional.interpolate(trunk.pos_embed, size=(256, 256), mode="bicubic")[0]
    tile = position[0].permute(2, 0, 1) - stretched
    assert torch.allclose(tile[:, :8, :8], trunk.pos_embed_window[0], atol=1e-6)
    assert torch.allclose(tile[:, 96:104, 200:208], trunk.pos_embed_window[0], atol=1e-6)
