"""SAM 2: the boxes of the paper's figure 3 and the flow between them.

Ravi et al., arXiv 2408.00714, section 4. Four verbs: `encode_image` once per image or frame, `recall` conditions the
features on memories (the paper's memory attention), `predict_masks` decodes prompts, `memorize` makes a memory of the
prediction (the paper's memory encoder). The model keeps no state of a video; the caller owns the memories.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam2nb.model.image_encoder import ImageEncoder
from sam2nb.model.layers import MLP, to_map, to_tokens
from sam2nb.model.mask_decoder import MaskDecoder, take_multimask, take_single_mask, take_stable_single_mask
from sam2nb.model.memory_attention import MemoryAttention
from sam2nb.model.memory_bank import NUM_MASKMEM
from sam2nb.model.memory_encoder import MemoryEncoder
from sam2nb.model.positional import SineEncoding, time_encoding
from sam2nb.model.prompt_encoder import PromptEncoder
from sam2nb.structures import MASK_STRIDE, ImageFeatures, MaskPrediction, Prompts, Recollection

EMBEDDING_STRIDE = 16  # from the input's pixels to the image embedding
MASK_PROMPT_SCALE, MASK_PROMPT_BIAS = 20.0, -10.0  # a given mask becomes logits of +-10; as trained
MEMORY_SCALE, MEMORY_BIAS = 20.0, -10.0  # the memory encoder reads probabilities stretched to -10..10


class SAM2(nn.Module):
    """Segment anything in images and videos.

    time_coded_pointers: object pointers carry their distance in time, and the memory of an absent object an embedding
        of its own (SAM 2.1; not in 2.0).
    stable_single_mask: an unstable single mask gives way to the best of three (part of the official post-processing).
    """

    def __init__(
        self,
        *,
        image_encoder: ImageEncoder,
        memory_attention: MemoryAttention,
        memory_encoder: MemoryEncoder,
        image_size: int,
        time_coded_pointers: bool,
        stable_single_mask: bool = False,
        num_maskmem: int = NUM_MASKMEM,
    ) -> None:
        super().__init__()
        self.image_size, self.num_maskmem = image_size, num_maskmem
        self.stable_single_mask = stable_single_mask
        self.hidden_dim = image_encoder.neck.d_model
        self.mem_dim = memory_encoder.out_proj.out_channels
        # notes for the code that uses the model, not read here
        self.config_name: str | None = None
        self.compute_dtype = torch.float32  # what predictors compute in; weights stay as they are
        self.missing_parts: tuple[str, ...] = ()  # boxes a checkpoint had no weights for
        # the boxes
        self.image_encoder = image_encoder
        self.memory_attention = memory_attention
        self.memory_encoder = memory_encoder
        self.sam_prompt_encoder = PromptEncoder(width=self.hidden_dim)
        self.sam_mask_decoder = MaskDecoder(width=self.hidden_dim)
        self.mask_downsample = nn.Conv2d(1, 1, kernel_size=4, stride=4)
        self.obj_ptr_proj = MLP(self.hidden_dim, self.hidden_dim, self.hidden_dim, self.hidden_dim)
        self.obj_ptr_tpos_proj = nn.Linear(self.hidden_dim, self.mem_dim) if time_coded_pointers else None
        # position encodings and learned embeddings
        self.image_position = SineEncoding(self.hidden_dim)
        self.memory_position = SineEncoding(self.mem_dim)
        self.maskmem_tpos_enc = nn.Parameter(torch.zeros(num_maskmem, 1, 1, self.mem_dim))
        self.no_mem_embed = nn.Parameter(torch.zeros(1, 1, self.hidden_dim))
        self.no_mem_pos_enc = nn.Parameter(torch.zeros(1, 1, self.hidden_dim))  # in every checkpoint, never read
        self.no_obj_ptr = nn.Parameter(torch.zeros(1, self.hidden_dim))
        self.no_obj_embed_spatial = nn.Parameter(torch.zeros(1, self.mem_dim)) if time_coded_pointers else None
        learned = (self.maskmem_tpos_enc, self.no_mem_embed, self.no_mem_pos_enc, self.no_obj_ptr)
        for table in learned + ((self.no_obj_embed_spatial,) if time_coded_pointers else ()):
            nn.init.trunc_normal_(table, std=0.02)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.no_mem_embed.device

    # --- encode -------------------------------------------------------------------------------------------------------

    def encode_image(self, pixels: Tensor) -> ImageFeatures:
        """Encode B images: pixels (B, 3, S, S), normalised -> ImageFeatures"""
        stride4, stride8, stride16 = self.image_encoder(pixels)
        # reduce the two finest maps to what the mask decoder adds while it upscales
        high_res = (self.sam_mask_decoder.conv_s0(stride4), self.sam_mask_decoder.conv_s1(stride8))
        return ImageFeatures(stride16, self.image_position(stride16), high_res)

    # --- recall -------------------------------------------------------------------------------------------------------

    def recall(self, features: ImageFeatures, memories: Recollection | None = None) -> Tensor:
        """Condition the image embedding on memories; without any, add the learned no-memory embedding.

        features with B = 1 serve any number of objects -> (B, 256, h, w)
        """
        if memories is None:
            return features.embedding + self.no_mem_embed.view(1, -1, 1, 1)
        size_hw = tuple(features.embedding.shape[-2:])
        # memory maps and object pointers as one sequence of keys and values
        memory, position, num_pointer_tokens = self._memory_tokens(features, memories)
        # the frame attends to it
        conditioned = self.memory_attention(
            to_tokens(features.embedding), to_tokens(features.position), memory, position, size_hw, num_pointer_tokens
        )
        return to_map(conditioned, size_hw)

    def _memory_tokens(self, features: ImageFeatures, memories: Recollection) -> tuple[Tensor, Tensor, int]:
        """Concatenate memory maps and object pointers to one sequence of tokens.

        -> tokens (B, M, 64), their position encodings (1, M, 64), how many of them (the last ones) are pointer tokens
        """
        # position of a memory token: where it is in its frame, and how old the frame is
        sine = to_tokens(self.memory_position(features.embedding))
        tokens = [to_tokens(memory.to(self.device)).to(sine.dtype) for memory, _ in memories.spatial]
        positions = [sine + self.maskmem_tpos_enc[row] for _, row in memories.spatial]
        # a pointer of 256 channels becomes four tokens of 64, the width of the memories
        per_pointer = self.hidden_dim // self.mem_dim
        if memories.pointers:
            pointers = torch.stack([pointer.to(self.device) for pointer, _ in memories.pointers], dim=1)
            tokens.append(pointers.flatten(1).unflatten(1, (-1, self.mem_dim)))
            positions.append(self._pointer_position(memories).repeat_interleave(per_pointer, dim=1))
        return torch.cat(tokens, dim=1), torch.cat(positions, dim=1), per_pointer * len(memories.pointers)

    def _pointer_position(self, memories: Recollection) -> Tensor:
        """Time encoding of the pointers, zeros in SAM 2.0: -> (1, pointers, 64)"""
        if self.obj_ptr_tpos_proj is None:
            return self.no_mem_embed.new_zeros(1, len(memories.pointers), self.mem_dim)
        distance = torch.tensor([float(d) for _, d in memories.pointers], device=self.device) / memories.pointer_span
        return self.obj_ptr_tpos_proj(time_encoding(distance, self.hidden_dim))[None]

    # --- predict ------------------------------------------------------------------------------------------------------

    def predict_masks(
        self, conditioned: Tensor, high_res: tuple[Tensor, Tensor], prompts: Prompts, multimask: bool
    ) -> MaskPrediction:
        """Predict masks of B objects; one image (batch 1) may serve them all.

        conditioned: (B or 1, 256, h, w) from `recall`; high_res: see ImageFeatures
        -> MaskPrediction with M = 3 (multimask) or M = 1
        """
        prediction = self.predict_all_masks(conditioned, high_res, prompts)
        # three masks for an ambiguous prompt, one otherwise
        if multimask:
            return take_multimask(prediction)
        if self.stable_single_mask and not self.training:
            return take_stable_single_mask(prediction)
        return take_single_mask(prediction)

    def predict_all_masks(
        self, conditioned: Tensor, high_res: tuple[Tensor, Tensor], prompts: Prompts
    ) -> MaskPrediction:
        """Predict all four masks of B objects, the single one first: as `predict_masks`, with M = 4"""
        size_hw = tuple(conditioned.shape[-2:])
        # prompts become tokens and a map; the image gets a position encoding of the same kind
        sparse, dense = self.sam_prompt_encoder(prompts, size_hw[0] * EMBEDDING_STRIDE, size_hw)
        position = self.sam_prompt_encoder.pe_layer(size_hw)
        # four masks with their scores
        return self.sam_mask_decoder(conditioned, position, sparse, dense, high_res)

    def predict_from_mask(self, features: ImageFeatures, mask: Tensor) -> tuple[MaskPrediction, Tensor]:
        """Take the user's mask as the output and run the decoder only for its object pointer.

        mask: (B, 1, S, S), 0 or 1, at the input's size
        -> MaskPrediction with M = 1 and logits of +-10, pointer (B, 256)
        """
        # the output
        logits, object_score = read_given_mask(mask)
        # decode with the mask as a prompt, and no memories
        prompts = Prompts.padding(len(mask), mask.device, masks=self.mask_downsample(mask))
        decoded = self.predict_masks(features.embedding, features.high_res, prompts, multimask=False)
        # an empty mask has the pointer of an absent object
        visible = (object_score > 0).to(mask.dtype)
        pointer = self.object_pointer(decoded.tokens[:, 0], decoded.object_score)
        pointer = visible * pointer + (1 - visible) * self.no_obj_ptr
        return MaskPrediction(logits, torch.ones_like(visible), decoded.tokens, object_score), pointer

    def object_pointer(self, token: Tensor, object_score: Tensor) -> Tensor:
        """The object pointer, or the learned no-object pointer if absent: token (B, 256), score (B, 1) -> (B, 256)"""
        return torch.where(object_score > 0, self.obj_ptr_proj(token), self.no_obj_ptr)

    # --- memorize -----------------------------------------------------------------------------------------------------

    def memorize(self, features: ImageFeatures, mask_logits: Tensor, object_score: Tensor, from_prompt: bool) -> Tensor:
        """Encode the memory of B objects on one frame.

        mask_logits: (B, 1, S, S) at the input's size; from_prompt: the user prompted this frame, so the mask is taken
        as certain.
        -> (B, 64, h, w), bfloat16 as in the official package, whatever the model's precision
        """
        # the mask as probabilities, stretched to the range the memory encoder was trained on
        probability = (mask_logits > 0).to(mask_logits.dtype) if from_prompt else mask_logits.sigmoid()
        memory = self.memory_encoder(features.embedding, probability * MEMORY_SCALE + MEMORY_BIAS)
        # mark the memory of an absent object (SAM 2.1)
        if self.no_obj_embed_spatial is not None:
            absent = (object_score <= 0).to(memory.dtype)[..., None, None]
            memory = memory + absent * self.no_obj_embed_spatial[..., None, None]
        return memory.to(torch.bfloat16)


def read_given_mask(mask: Tensor) -> tuple[Tensor, Tensor]:
    """A user's mask in the form of a prediction: (B, 1, S, S), 0 or 1 -> logits (B, 1, 4h, 4w), object score (B, 1)"""
    # logits of +-10 at the decoder's resolution
    logits = mask * MASK_PROMPT_SCALE + MASK_PROMPT_BIAS
    logits = F.interpolate(logits, scale_factor=1 / MASK_STRIDE, mode="bilinear", antialias=True)
    # an empty mask says that the object is absent
    visible = mask.flatten(1).any(dim=1, keepdim=True).to(mask.dtype)
    return logits, visible * MASK_PROMPT_SCALE + MASK_PROMPT_BIAS
