"""The mask decoder: prompt tokens and image features in, masks and their scores out.

SAM, arXiv 2304.02643, section 3 and appendix A (figure 14); SAM 2, arXiv 2408.00714, appendix D. A handful of tokens
(object score, IoU, four masks, the prompts) and the image attend to each other twice. Then every mask token becomes a
small filter f, whose product with the upscaled image map U is a mask:

    mask_logits(y, x) = f . U(y, x)

Differs from the official package: one image with N prompts is not copied N times. What the first layer computes from
the image alone is computed once; the copies appear only where prompts have made them different.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from sam2nb.model.attention import Attention
from sam2nb.model.layers import MLP, LayerNorm2d, to_map, to_tokens
from sam2nb.structures import NO_OBJECT_LOGIT, MaskPrediction

NUM_MASK_TOKENS = 4  # token 0 for the single mask, tokens 1 to 3 for the three masks of an ambiguous prompt
NUM_HEADS = 8
NUM_LAYERS = 2
MLP_WIDTH = 2048
CROSS_ATTENTION_SHRINK = 2  # attention between tokens and image runs on half the channels
# a single mask is stable when shifting its threshold by +-0.05 keeps 98 % of its area
STABILITY_DELTA = 0.05
STABILITY_THRESHOLD = 0.98


class TwoWayBlock(nn.Module):
    """One layer of the two-way transformer: four steps with a norm after each.

    self_attention: the first step, `first_self_attention` or `residual_self_attention`.
    """

    def __init__(self, *, width: int, self_attention: Callable[[Attention, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.self_attention = self_attention
        self.self_attn = Attention(width=width, num_heads=NUM_HEADS, inner_width=width)
        self.norm1 = nn.LayerNorm(width)
        self.cross_attn_token_to_image = cross_attention(width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = MLP(width, MLP_WIDTH, width)
        self.norm3 = nn.LayerNorm(width)
        self.norm4 = nn.LayerNorm(width)
        self.cross_attn_image_to_token = cross_attention(width)

    def forward(self, tokens: Tensor, image: Tensor, prompts: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        """tokens, prompts: (B, N, C); image, position: (B or 1, h*w, C) -> tokens (B, N, C), image (B, h*w, C)

        The tokens as they entered the transformer (prompts) serve as position encodings of the tokens; position is that
        of the image.
        """
        # 1. the tokens attend to each other
        tokens = self.norm1(self.self_attention(self.self_attn, tokens, prompts))
        # 2. the tokens attend to the image
        image_with_position = image + position
        tokens = self.norm2(tokens + self.cross_attn_token_to_image(tokens + prompts, image_with_position, image))
        # 3. every token on its own
        tokens = self.norm3(tokens + self.mlp(tokens))
        # 4. the image attends to the tokens
        image = self.norm4(image + self.cross_attn_image_to_token(image_with_position, tokens + prompts, tokens))
        return tokens, image


def first_self_attention(attention: Attention, tokens: Tensor, prompts: Tensor) -> Tensor:
    """Self attention of the first layer: the tokens are still the prompts, and no residual is added (as trained)."""
    return attention(tokens, tokens, tokens)


def residual_self_attention(attention: Attention, tokens: Tensor, prompts: Tensor) -> Tensor:
    """Self attention of the later layers: the prompts are added as positions, and the tokens as a residual."""
    with_position = tokens + prompts
    return tokens + attention(with_position, with_position, tokens)


def cross_attention(width: int) -> Attention:
    """Attention between tokens and image, on half the channels."""
    return Attention(width=width, num_heads=NUM_HEADS, inner_width=width // CROSS_ATTENTION_SHRINK)


class TwoWayTransformer(nn.Module):
    """Two-way layers, and a last attention of the tokens to the image."""

    def __init__(self, *, width: int) -> None:
        super().__init__()
        kinds = [first_self_attention] + [residual_self_attention] * (NUM_LAYERS - 1)
        self.layers = nn.ModuleList(TwoWayBlock(width=width, self_attention=kind) for kind in kinds)
        self.final_attn_token_to_image = cross_attention(width)
        self.norm_final_attn = nn.LayerNorm(width)

    def forward(self, prompts: Tensor, image: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        """prompts: (B, N, C); image, position: (B or 1, h*w, C) -> tokens (B, N, C), image (B, h*w, C)

        prompts: the learned tokens, then those of the prompts.
        """
        # tokens and image attend to each other, layer by layer
        tokens = prompts
        for layer in self.layers:
            tokens, image = layer(tokens, image, prompts, position)
        # a last time, the tokens attend to the image
        attended = self.final_attn_token_to_image(tokens + prompts, image + position, image)
        return self.norm_final_attn(tokens + attended), image


class MaskDecoder(nn.Module):
    """Prompt tokens and image features in, masks with their predicted IoU out."""

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
        # weights of this box in every checkpoint, but applied once per image (`SAM2.encode_image`)
        self.conv_s0 = nn.Conv2d(width, width // 8, kernel_size=1)
        self.conv_s1 = nn.Conv2d(width, width // 4, kernel_size=1)
        self.output_hypernetworks_mlps = nn.ModuleList(
            MLP(width, width, width, width // 8) for _ in range(NUM_MASK_TOKENS)
        )
        self.iou_prediction_head = MLP(width, width, width, NUM_MASK_TOKENS, output=torch.sigmoid)
        self.pred_obj_score_head = MLP(width, width, width, 1)

    def forward(
        self, image: Tensor, position: Tensor, sparse: Tensor, dense: Tensor, high_res: tuple[Tensor, Tensor]
    ) -> MaskPrediction:
        """Predict all four masks of B objects.

        image: (B or 1, 256, h, w), one image for all objects or one for each; position: (1, 256, h, w);
        sparse: (B, N, 256); dense: (B or 1, 256, h, w); high_res: see ImageFeatures, batch as image
        -> MaskPrediction with M = 4
        """
        batch, size_hw = max(image.shape[0], sparse.shape[0]), image.shape[-2:]
        # the learned tokens (object score, IoU, four masks), then the prompts
        learned = torch.cat((self.obj_score_token.weight, self.iou_token.weight, self.mask_tokens.weight))
        prompts = torch.cat((learned.expand(batch, -1, -1), sparse.expand(batch, -1, -1)), dim=1)
        # tokens and image attend to each other
        tokens, image = self.transformer(prompts, to_tokens(image + dense), to_tokens(position))
        score_token, iou_token, mask_tokens = tokens[:, 0], tokens[:, 1], tokens[:, 2 : 2 + NUM_MASK_TOKENS]
        # every mask token becomes a filter: (B, 4, 32)
        filters = [mlp(token) for mlp, token in zip(self.output_hypernetworks_mlps, mask_tokens.unbind(1), strict=True)]
        # each mask is the product of its filter with the upscaled image: (B, 4, 32) @ (B, 32, 16 h w)
        upscaled = self.upscale(to_map(image, size_hw), high_res)
        masks = torch.stack(filters, dim=1) @ upscaled.flatten(2)
        return MaskPrediction(
            logits=masks.unflatten(2, upscaled.shape[-2:]),
            iou=self.iou_prediction_head(iou_token),
            tokens=mask_tokens,
            object_score=self.pred_obj_score_head(score_token),
        )

    def upscale(self, image: Tensor, high_res: tuple[Tensor, Tensor]) -> Tensor:
        """Double the image map twice, each time adding the encoder's map of that stride.

        image: (B, 256, h, w), high_res: see ImageFeatures -> (B, 32, 4h, 4w)
        """
        stride4, stride8 = high_res
        upsample1, norm, activation1, upsample2, activation2 = self.output_upscaling
        upscaled = activation1(norm(upsample1(image) + stride8))
        return activation2(upsample2(upscaled) + stride4)


def take_multimask(prediction: MaskPrediction) -> MaskPrediction:
    """Keep the three masks for an ambiguous prompt: M = 4 -> M = 3"""
    return MaskPrediction(
        prediction.logits[:, 1:], prediction.iou[:, 1:], prediction.tokens[:, 1:], prediction.object_score
    )


def take_single_mask(prediction: MaskPrediction) -> MaskPrediction:
    """Keep the mask for an unambiguous prompt: M = 4 -> M = 1"""
    return MaskPrediction(
        prediction.logits[:, :1], prediction.iou[:, :1], prediction.tokens[:, :1], prediction.object_score
    )


def take_stable_single_mask(prediction: MaskPrediction) -> MaskPrediction:
    """Keep the single mask where it is stable, else the best of the three others: M = 4 -> M = 1

    The token stays that of the single mask, as in the official package.
    """
    single = take_single_mask(prediction)
    best = take_best(take_multimask(prediction))
    stable = stability(single.logits) >= STABILITY_THRESHOLD
    logits = torch.where(stable[..., None, None], single.logits, best.logits)
    return MaskPrediction(logits, torch.where(stable, single.iou, best.iou), single.tokens, single.object_score)


def take_best(prediction: MaskPrediction) -> MaskPrediction:
    """Keep the mask with the highest predicted IoU: M -> M = 1"""
    return take_mask(prediction, prediction.iou.argmax(dim=1))


def take_mask(prediction: MaskPrediction, chosen: Tensor) -> MaskPrediction:
    """Keep the chosen mask of each object, chosen: (B,) int64: M -> M = 1"""
    rows = torch.arange(prediction.iou.shape[0], device=prediction.iou.device)
    return MaskPrediction(
        prediction.logits[rows, chosen][:, None],
        prediction.iou[rows, chosen][:, None],
        prediction.tokens[rows, chosen][:, None],
        prediction.object_score,
    )


def hide_absent(logits: Tensor, object_score: Tensor) -> Tensor:
    """Empty the masks of absent objects: logits (B, M, h, w), object_score (B, 1) -> (B, M, h, w)"""
    return torch.where((object_score > 0)[..., None, None], logits, NO_OBJECT_LOGIT)


def stability(logits: Tensor) -> Tensor:
    """Area above +delta over area above -delta, 1 where both are empty: (B, M, H, W) -> (B, M)"""
    flat = logits.flatten(-2)
    inner = (flat > STABILITY_DELTA).sum(dim=-1).float()
    outer = (flat > -STABILITY_DELTA).sum(dim=-1).float()
    return torch.where(outer > 0, inner / outer, 1.0)
