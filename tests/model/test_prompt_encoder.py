import pytest
import torch

from sam2nb.model.prompt_encoder import PromptEncoder
from sam2nb.structures import PADDING_LABEL, Prompts
from tests.reference import scramble


@pytest.fixture(scope="module")
def encoder():
    encoder = PromptEncoder(width=16)
    scramble(encoder)
    return encoder


@torch.no_grad()
def test_a_token_is_the_position_of_its_pixel_centre_plus_the_embedding_of_its_label(encoder):
    points = torch.tensor([[[3.0, 7.0], [12.0, 0.0], [1.0, 2.0], [30.0, 31.0]]])
    labels = torch.tensor([[0, 1, 2, 3]])
    tokens, _ = encoder(Prompts(points, labels), 32, (2, 2))
    assert tokens.shape == (1, 5, 16)  # four points and the padding behind them
    for index in range(4):
        position = encoder.pe_layer.encode((points[0, index] + 0.5) / 32)
        torch.testing.assert_close(tokens[0, index], position + encoder.point_embeddings[index].weight[0])


@torch.no_grad()
def test_padding_has_no_position(encoder):
    tokens, _ = encoder(Prompts(torch.rand(1, 1, 2) * 32, torch.tensor([[PADDING_LABEL]])), 32, (2, 2))
    torch.testing.assert_close(tokens[0], encoder.not_a_point_embed.weight.expand(2, -1))


@torch.no_grad()
def test_without_points_there_are_no_tokens_and_without_masks_the_learned_no_mask_map(encoder):
    tokens, dense = encoder(Prompts(), 32, (2, 2))
    assert tokens.shape == (1, 0, 16)
    assert torch.equal(dense, encoder.no_mask_embed.weight.view(1, 16, 1, 1).expand(1, 16, 2, 2))
    tokens, dense = encoder(Prompts(masks=torch.randn(3, 1, 8, 8)), 32, (2, 2))
    assert tokens.shape == (3, 0, 16) and dense.shape == (3, 16, 2, 2)
