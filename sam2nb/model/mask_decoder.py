"""The mask decoder (SAM, arXiv 2304.02643, section 3 and appendix A; SAM 2, arXiv 2408.00714, appendix D).

A handful of tokens (object score, quality, four masks, the prompts) and the image look at each other twice; then
every mask token becomes a small filter whose product with the enlarged image map is a mask.

Differs from official: one picture with N prompts is not copied N times. What the first layer computes from the
picture alone is computed once; the copies appear only where prompts have made them different.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam2nb.model.attention import Attention
from sam2nb.model.layers import MLP, LayerNorm2d, to_map, to_tokens
from sam2nb.structures import MaskPrediction

NUM_MASK_TOKENS = 4  # token 0 answers alone, tokens 1 to 3 answer an ambiguous prompt together
MLP_WIDTH = 2048
CROSS_ATTENTION_SHRINK = 2  # attention between tokens and image runs on half the channels
# a single answer is stable when shifting its threshold by +-0.05 keeps 98 % of its area
STABILITY_DELTA = 0.05
STABILITY_THRESHOLD = 0.98


class TwoWayBlock(nn.Module):
    """Tokens among themselves, tokens to image, tokens alone, image to tokens; a norm after each."""

    def __init__(self, *, width: int, num_heads: int, first: bool) -> None:
        super().__init__()
        self.first = first
        self.self_attn = Attention(width=width, num_heads=num_heads)
        self.norm1 = nn.LayerNorm(width)
        self.cross_attn_token_to_image = _cross_attention(width, num_heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = MLP(width, MLP_WIDTH, width)
        self.norm3 = nn.LayerNorm(width)
        self.norm4 = nn.LayerNorm(width)
        self.cross_attn_image_to_token = _cross_attention(width, num_heads)

    def forward(self, tokens: Tensor, image: Tensor, prompts: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        """tokens, prompts: (B, N, C); image, position: (B or 1, h*w, C) -> tokens (B, N, C), image (B, h*w, C)"""
        if self.first:
            tokens = self.self_attn(tokens, tokens, tokens)  # the tokens still are their own position
        else:
            placed = tokens + prompts
            tokens = tokens + self.self_attn(placed, placed, tokens)
        tokens = self.norm1(tokens)
        placed_image = image + position
        tokens = self.norm2(tokens + self.cross_attn_token_to_image(tokens + prompts, placed_image, image))
        tokens = self.norm3(tokens + self.mlp(tokens))
        image = self.norm4(image + self.cross_attn_image_to_token(placed_image, tokens + prompts, tokens))
        return tokens, image


class TwoWayTransformer(nn.Module):
    """Two such blocks and a last look of the tokens at the image."""

    def __init__(self, *, width: int, num_heads: int = 8, depth: int = 2) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TwoWayBlock(width=width, num_heads=num_heads, first=index == 0) for index in range(depth)
        )
        self.final_attn_token_to_image = _cross_attention(width, num_heads)
        self.norm_final_attn = nn.LayerNorm(width)

    def forward(self, prompts: Tensor, image: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        """prompts: (B, N, C); image, position: (B or 1, h*w, C) -> tokens (B, N, C), image (B, h*w, C)"""
        tokens = prompts
        for layer in self.layers:
            tokens, image = layer(tokens, image, prompts, position)
        last_look = self.final_attn_token_to_image(tokens + prompts, image + position, image)
        return self.norm_final_attn(tokens + last_look), image


class MaskDecoder(nn.Module):
    """Prompt tokens and image features in, masks with their estimated quality out."""

    def __init__(self, *, width: int) -> None:
        super().__init__()
        self.transformer = TwoWayTransformer(width=width)
        self.iou_token = nn.Embedding(1, width)
        self.mask_tokens = nn.Embedding(NUM_MASK_TOKENS, width)
        self.obj_score_token = nn.Embedding(1, width)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(width, width // 4, kernel_size=2, stride=2),
            LayerNorm2d(width // 4),
            nn.GELU(),
            nn.ConvTranspose2d(width // 4, width // 8, kernel_size=2, stride=2),
            nn.GELU(),
        )
        # part of this box's weights, but run once per image, by the image encoder (`high_res_heads`)
        self.conv_s0 = nn.Conv2d(width, width // 8, kernel_size=1)
        self.conv_s1 = nn.Conv2d(width, width // 4, kernel_size=1)
        self.output_hypernetworks_mlps = nn.ModuleList(
            MLP(width, width, width, width // 8) for _ in range(NUM_MASK_TOKENS)
        )
        self.iou_prediction_head = MLP(width, width, width, NUM_MASK_TOKENS)
        self.pred_obj_score_head = MLP(width, width, width, 1)

    @property
    def high_res_heads(self) -> tuple[nn.Conv2d, nn.Conv2d]:
        """What the decoder wants of the two finest maps: 256 -> 32 channels at stride 4, 256 -> 64 at stride 8."""
        return self.conv_s0, self.conv_s1

    def forward(
        self, image: Tensor, position: Tensor, sparse: Tensor, dense: Tensor, high_res: tuple[Tensor, Tensor]
    ) -> MaskPrediction:
        """All four masks for B objects.

        image: (B or 1, 256, h, w), one picture for all objects or one for each; position: (1, 256, h, w);
        sparse: (B, N, 256); dense: (B or 1, 256, h, w); high_res: see ImageFeatures, batch as image
        -> MaskPrediction with M = 4
        """
        batch, size_hw = max(len(image), len(sparse)), image.shape[-2:]
        own = torch.cat((self.obj_score_token.weight, self.iou_token.weight, self.mask_tokens.weight))
        prompts = torch.cat((own.expand(batch, -1, -1), sparse.expand(batch, -1, -1)), dim=1)
        tokens, image = self.transformer(prompts, to_tokens(image + dense), to_tokens(position))
        score_token, iou_token, mask_tokens = tokens[:, 0], tokens[:, 1], tokens[:, 2 : 2 + NUM_MASK_TOKENS]
        return MaskPrediction(
            logits=self.draw(mask_tokens, to_map(image, size_hw), high_res),
            iou=self.iou_prediction_head(iou_token).sigmoid(),
            tokens=mask_tokens,
            object_score=self.pred_obj_score_head(score_token),
        )

    def draw(self, mask_tokens: Tensor, image: Tensor, high_res: tuple[Tensor, Tensor]) -> Tensor:
        """mask_tokens: (B, M, 256), image: (B, 256, h, w) -> logits (B, M, 4h, 4w)"""
        stride4, stride8 = high_res
        enlarge1, norm, gelu, enlarge2, _ = self.output_upscaling
        canvas = gelu(norm(double(image, enlarge1) + stride8))
        canvas = gelu(double(canvas, enlarge2) + stride4)
        filters = [mlp(mask_tokens[:, m]) for m, mlp in enumerate(self.output_hypernetworks_mlps)]
        return (torch.stack(filters, dim=1) @ canvas.flatten(2)).unflatten(2, canvas.shape[-2:])


def double(grid: Tensor, conv: nn.ConvTranspose2d) -> Tensor:
    """A transposed convolution with kernel and stride 2, as a linear layer: its 2x2 patches do not overlap.

    On channels-last maps this is several times as fast on a CPU.

    grid: (B, C, h, w) -> (B, C', 2h, 2w)
    """
    weight = conv.weight.permute(2, 3, 1, 0).flatten(0, 2)
    patches = F.linear(grid.permute(0, 2, 3, 1), weight, conv.bias.repeat(4)).unflatten(3, (2, 2, -1))
    return patches.transpose(2, 3).flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)


def _cross_attention(width: int, num_heads: int) -> Attention:
    return Attention(width=width, num_heads=num_heads, inner_width=width // CROSS_ATTENTION_SHRINK)


def three_answers(prediction: MaskPrediction) -> MaskPrediction:
    """Keep the three masks for an ambiguous prompt: M = 4 -> M = 3"""
    return MaskPrediction(
        prediction.logits[:, 1:], prediction.iou[:, 1:], prediction.tokens[:, 1:], prediction.object_score
    )


def one_answer(prediction: MaskPrediction) -> MaskPrediction:
    """Keep the mask made for a single answer: M = 4 -> M = 1"""
    return MaskPrediction(
        prediction.logits[:, :1], prediction.iou[:, :1], prediction.tokens[:, :1], prediction.object_score
    )


def one_stable_answer(prediction: MaskPrediction) -> MaskPrediction:
    """As `one_answer`, but where that mask is unstable, the best of the other three takes its place.

    The token stays that of the single answer, as in official.
    """
    single = one_answer(prediction)
    best = take_best(three_answers(prediction))
    stable = stability(single.logits) >= STABILITY_THRESHOLD
    logits = torch.where(stable[..., None, None], single.logits, best.logits)
    return MaskPrediction(logits, torch.where(stable, single.iou, best.iou), single.tokens, single.object_score)


def take_best(prediction: MaskPrediction) -> MaskPrediction:
    """Keep the mask with the highest estimated quality: M -> M = 1"""
    rows = torch.arange(len(prediction.iou), device=prediction.iou.device)
    best = prediction.iou.argmax(dim=1)
    return MaskPrediction(
        prediction.logits[rows, best][:, None],
        prediction.iou[rows, best][:, None],
        prediction.tokens[rows, best][:, None],
        prediction.object_score,
    )


def stability(logits: Tensor) -> Tensor:
    """Area above +delta over area above -delta, 1 where both are empty: (B, M, H, W) -> (B, M)"""
    flat = logits.flatten(-2)
    inner = (flat > STABILITY_DELTA).sum(dim=-1).float()
    outer = (flat > -STABILITY_DELTA).sum(dim=-1).float()
    return torch.where(outer > 0, inner / outer, 1.0)
