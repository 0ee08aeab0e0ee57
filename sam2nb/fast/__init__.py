"""The same numbers, faster: methods of the textbook model replaced by cheaper ones.

    accelerate(model)      # what build_sam2 and load_model do, unless fast=False

Weights, names and results stay (up to rounding); only the order of the work changes. Every replacement is listed in
`REPLACEMENTS`, with the layers whose weights it reads directly instead of calling them. Where such a layer has a hook,
or is not of the class the replacement was written for (LoRA, quantised linears), the textbook method runs, so that
nothing is bypassed silently; likewise while `torch.compile`, `torch.export` or `torch.jit` traces the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.modules import module as global_hooks

from sam2nb.fast import attention, decoder, encoder, positions, trunk
from sam2nb.model.attention import Attention, RoPEAttention
from sam2nb.model.hiera import (
    GlobalBlock,
    Hiera,
    HieraAttention,
    PatchEmbed,
    PooledAttention,
    StageOpeningBlock,
    WindowedBlock,
)
from sam2nb.model.image_encoder import FpnNeck, ImageEncoder
from sam2nb.model.layers import MLP, LayerNorm2d
from sam2nb.model.mask_decoder import MaskDecoder
from sam2nb.model.positional import RandomFourier, SineEncoding
from sam2nb.model.sam2 import SAM2


class Replacement(NamedTuple):
    """A cheaper form of one method.

    skips: the modules that the textbook method would call and this one does not, or calls in another way.
    """

    owner: type[nn.Module]
    method: str
    function: Callable[..., Any]
    skips: Callable[[Any], Iterable[nn.Module]]


def _inside(module: nn.Module) -> Iterable[nn.Module]:
    modules = module.modules()
    next(modules)  # the module itself is called as always
    return modules


def _no_modules(module: nn.Module) -> Iterable[nn.Module]:
    return ()


REPLACEMENTS = (
    Replacement(SAM2, "encode_image", encoder.encode_image, encoder.skipped),
    Replacement(PatchEmbed, "forward", trunk.channels_last_patches, _inside),
    Replacement(Hiera, "position", trunk.cached_position, _no_modules),
    Replacement(WindowedBlock, "forward", trunk.windowed_block, _inside),
    Replacement(GlobalBlock, "forward", trunk.global_block, _inside),
    Replacement(StageOpeningBlock, "forward", trunk.stage_opening_block, _inside),
    Replacement(Attention, "forward", attention.few_tokens, _inside),
    Replacement(RoPEAttention, "forward", attention.streamed, _inside),
    Replacement(MaskDecoder, "upscale", decoder.upscale, lambda box: box.output_upscaling.modules()),
    Replacement(SineEncoding, "forward", positions.cached_sine, _no_modules),
    Replacement(RandomFourier, "forward", positions.cached_grid, _no_modules),
)
_REPLACEMENT_OF = {(replacement.owner, replacement.method): replacement for replacement in REPLACEMENTS}
KNOWN_LAYERS = {
    *(nn.Linear, nn.Conv2d, nn.ConvTranspose2d, nn.LayerNorm, nn.GELU, nn.Sequential, nn.ModuleList),
    *(MLP, LayerNorm2d, HieraAttention, PooledAttention, PatchEmbed, ImageEncoder, FpnNeck),
}
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def accelerate(model: SAM2) -> SAM2:
    """Replace methods of a model's modules by cheaper ones, in place; `textbook` undoes it."""
    for module in model.modules():
        for replacement in REPLACEMENTS:
            if type(module) is replacement.owner:
                setattr(module, replacement.method, partial(_run, module, replacement.method))
    return model


def textbook(model: SAM2) -> SAM2:
    """Take all replacements of a model back, in place."""
    for module in model.modules():
        for replacement in REPLACEMENTS:
            if _is_replaced(module, replacement.method):
                delattr(module, replacement.method)
    return model


def _run(module: nn.Module, method: str, *args: Any, **kwargs: Any) -> Any:
    """Call the cheaper form where every layer that it skips is untouched, the textbook form elsewhere."""
    replacement = _REPLACEMENT_OF[type(module), method]
    if _is_traced() or _has_global_hooks() or not all(map(_is_untouched, replacement.skips(module))):
        return getattr(type(module), method)(module, *args, **kwargs)
    return replacement.function(module, *args, **kwargs)


def _is_traced() -> bool:
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def _has_global_hooks() -> bool:
    """True if a hook is registered for all modules of the process, as by `register_module_forward_hook`."""
    return bool(global_hooks._global_forward_hooks or global_hooks._global_forward_pre_hooks)


def _is_untouched(layer: nn.Module) -> bool:
    """True for a layer of a known class, without hooks, whose forward nobody else replaced."""
    if type(layer) not in KNOWN_LAYERS or any(getattr(layer, hooks) for hooks in HOOKS):
        return False
    return "forward" not in layer.__dict__ or _is_replaced(layer, "forward")


def _is_replaced(module: nn.Module, method: str) -> bool:
    """True if `accelerate` put this method in place."""
    own = module.__dict__.get(method)
    return isinstance(own, partial) and own.func is _run
