"""A model made fast is the same model: the same numbers, hooks, layers, copies and gradients."""

import copy
import pickle

import pytest
import torch
from torch import nn

from sam2nb.build import build_sam2, config_names
from sam2nb.fast import REPLACEMENTS, accelerate, textbook
from sam2nb.structures import Prompts, Recollection
from tests.reference import scramble

SIDE = 128


def build(name: str = "sam2nb_nano", fast: bool = True):
    model = build_sam2(name, device="cpu", hydra_overrides_extra=[f"++model.image_size={SIDE}"], fast=fast)
    scramble(model)
    return model


def outputs(model, batch: int = 1) -> dict[str, torch.Tensor]:
    """Every verb of the model once, for a batch of images and three objects on the first."""
    generator = torch.Generator().manual_seed(1)
    features = model.encode_image(torch.randn(batch, 3, SIDE, SIDE, generator=generator))
    one = type(features)(features.embedding[:1], features.position, tuple(level[:1] for level in features.high_res))
    points = torch.rand(3, 2, 2, generator=generator) * SIDE
    prediction = model.predict_masks(model.recall(one), one.high_res, Prompts(points, torch.ones(3, 2).int()), True)
    memory = model.memorize(one, torch.randn(3, 1, SIDE, SIDE, generator=generator), torch.ones(3, 1), False).float()
    # memories of their own: those above are rounded to bfloat16, sometimes to the other neighbour
    given = torch.randn(3, model.mem_dim, *one.embedding.shape[-2:], generator=generator)
    pointer = torch.randn(3, model.hidden_dim, generator=generator)
    conditioned = model.recall(one, Recollection(((given, model.num_maskmem - 1), (given, 0)), ((pointer, 3),), 15))
    return {
        "embedding": features.embedding,
        "stride 4": features.high_res[0],
        "stride 8": features.high_res[1],
        "logits": prediction.logits,
        "iou": prediction.iou,
        "object score": prediction.object_score,
        "memory": memory,
        "conditioned": conditioned,
    }


def assert_same(fast, plain, tolerance: float = 1e-4) -> None:
    for name, expected in plain.items():
        scale = expected.float().abs().max().clamp(min=1)
        gap = (fast[name].float() - expected.float()).abs().max() / scale
        assert gap <= (2**-8 if name == "memory" else tolerance), f"{name} differs by {gap:.3g} of its range"


@pytest.mark.parametrize("name", config_names())
@torch.no_grad()
def test_fast_equals_plain_in_every_configuration(name):
    plain = build(name, fast=False)
    expected = outputs(plain)
    assert_same(outputs(accelerate(plain)), expected)


@torch.no_grad()
def test_fast_equals_plain_for_a_batch_of_images():
    assert_same(outputs(build(), batch=3), outputs(build(fast=False), batch=3))


@torch.no_grad()
def test_fast_equals_plain_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        fast, plain = outputs(build()), outputs(build(fast=False))
    assert_same(fast, plain, tolerance=0.05)  # rounding to eight bits, layer after layer
    exact = outputs(build(fast=False))
    for name in ("embedding", "logits"):  # neither order is further from float32 than the other
        errors = [(given[name].float() - exact[name]).square().mean().sqrt() for given in (fast, plain)]
        assert errors[0] <= 1.5 * errors[1]


def test_gradients_of_the_fast_model_equal_those_of_the_plain_one():
    gradients = []
    for fast in (True, False):
        model = build(fast=fast).train()
        results = outputs(model)
        sum(results[name].square().mean() for name in ("logits", "iou", "conditioned")).backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    fast, plain = gradients
    for name, expected in plain.items():
        if not name.endswith("k_proj.bias"):  # has no influence: zero up to rounding
            assert (fast[name] - expected).abs().max() <= 1e-3 * expected.abs().max().clamp(min=1e-3), name


def test_every_replacement_names_a_method_of_its_class_and_says_what_it_replaces():
    for replacement in REPLACEMENTS:
        assert replacement.method in vars(replacement.owner)
        assert f"`{replacement.owner.__name__}.{replacement.method}`" in replacement.function.__doc__


@torch.no_grad()
def test_textbook_takes_every_replacement_back():
    model = build()
    assert any("forward" in module.__dict__ for module in model.modules())
    textbook(model)
    for replacement in REPLACEMENTS:
        assert not any(
            replacement.method in module.__dict__ for module in model.modules() if type(module) is replacement.owner
        )
    expected = outputs(build(fast=False))
    assert all(torch.equal(value, expected[name]) for name, value in outputs(model).items())


# --- hooks and replaced layers ------------------------------------------------------------------------------------


@torch.no_grad()
def test_a_hook_on_any_layer_sees_every_call_as_in_the_textbook():
    fast, plain = build(), build(fast=False)
    calls = []
    for model in (fast, plain):
        seen: dict[str, list[tuple[int, ...]]] = {}
        for name, module in model.named_modules():

            def note(_module, _inputs, output, seen=seen, name=name):
                seen.setdefault(name, []).append(tuple(output.shape) if isinstance(output, torch.Tensor) else ())

            module.register_forward_hook(note)
        outputs(model)
        calls.append(seen)
    assert calls[0] == calls[1]


@pytest.mark.parametrize(
    "name",
    [
        "image_encoder.neck.convs.0.conv",
        "image_encoder.trunk.blocks.1.attn.qkv",
        "image_encoder.trunk.blocks.0.mlp.layers.0",
        "image_encoder.trunk.blocks.0.attn",
        "image_encoder.trunk.patch_embed.proj",
        "memory_attention.layers.0.cross_attn_image.v_proj",
        "sam_mask_decoder.output_upscaling.0",
        "sam_mask_decoder.conv_s0",
        "sam_mask_decoder.transformer.layers.0.cross_attn_token_to_image.k_proj",
        "sam_mask_decoder.transformer.layers.1.cross_attn_image_to_token.q_proj",
        "sam_mask_decoder.transformer.final_attn_token_to_image.v_proj",
    ],
)
@torch.no_grad()
def test_one_hook_alone_fires_and_its_output_counts(name):
    model = build()
    before = outputs(model)
    handle = model.get_submodule(name).register_forward_hook(lambda _module, _inputs, output: output * 0)
    changed = outputs(model)
    assert any(not torch.equal(changed[key], before[key]) for key in before)
    handle.remove()
    assert all(torch.equal(value, before[key]) for key, value in outputs(model).items())


class LowRank(nn.Module):
    """A linear layer with a low-rank addition, as LoRA substitutes it for the layer."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base
        self.down = nn.Linear(base.in_features, 2, bias=False)
        self.up = nn.Linear(2, base.out_features, bias=False)

    def forward(self, x):
        return self.base(x) + self.up(self.down(x))


class Rounded(nn.Module):
    """A linear layer with weights of eight bits, as quantisation substitutes it for the layer."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.step = base.weight.abs().max().item() / 127
        self.register_buffer("weight", (base.weight / self.step).round().to(torch.int8))
        self.bias = base.bias

    def forward(self, x):
        return nn.functional.linear(x, self.weight.to(x.dtype) * self.step, self.bias)


@pytest.mark.parametrize("layer", [LowRank, Rounded])
@torch.no_grad()
def test_layers_put_in_place_of_linear_ones_are_called_as_in_the_textbook(layer):
    models = []
    for fast in (True, False):
        model = build(fast=fast)
        torch.manual_seed(0)
        for name, module in list(model.named_modules()):
            if type(module) is nn.Linear:
                parent, _, leaf = name.rpartition(".")
                setattr(model.get_submodule(parent), leaf, layer(module))
        models.append(model)
    fast, plain = map(outputs, models)
    assert_same(fast, plain)
    assert (plain["logits"] - outputs(build(fast=False))["logits"]).abs().max() > 1e-2  # the layers matter


@torch.no_grad()
def test_hooks_for_all_modules_of_the_process_are_honoured():
    model, seen = build(), set()
    handle = nn.modules.module.register_module_forward_hook(lambda module, _inputs, _output: seen.add(module))
    try:
        outputs(model)
    finally:
        handle.remove()
    called = {name for name, module in model.named_modules() if module in seen}
    assert {"sam_mask_decoder.output_upscaling.0", "image_encoder.neck.convs.0.conv"} <= called


# --- copies, inference mode, compilers ----------------------------------------------------------------------------


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
@torch.no_grad()
def test_a_copy_is_fast_and_lives_a_life_of_its_own(copied):
    model = build()
    before = outputs(model)
    twin = copied(model)
    assert all(torch.equal(value, before[name]) for name, value in outputs(twin).items())
    for parameter in twin.parameters():
        parameter.mul_(1.1)
    assert not torch.equal(outputs(twin)["logits"], before["logits"])
    assert all(torch.equal(value, before[name]) for name, value in outputs(model).items())


@pytest.mark.parametrize("fast", [True, False])
def test_a_model_built_and_used_under_inference_mode_works_there_and_elsewhere(fast):
    with torch.inference_mode():
        model = build(fast=fast)
        inside = outputs(model)
    with torch.no_grad():
        outside = outputs(model)
    assert all(torch.equal(value, inside[name]) for name, value in outside.items())
    outputs(model.train())["logits"].sum().backward()  # its parameters are ordinary ones


def test_a_model_first_used_under_inference_mode_can_be_trained():
    model = build()
    with torch.inference_mode():
        outputs(model)
    outputs(model.train())["logits"].sum().backward()
    learning = model.sam_mask_decoder.transformer.named_parameters()
    assert not [name for name, p in learning if p.grad is None and not name.endswith("k_proj.bias")]


@pytest.mark.filterwarnings("ignore")  # torch.jit is deprecated, but people still use it
@torch.no_grad()
def test_a_traced_model_is_the_textbook():
    model, plain = build(), build(fast=False)
    pixels = torch.randn(1, 3, SIDE, SIDE)
    for exported in (
        torch.export.export(model.image_encoder, (pixels,)).module(),
        torch.jit.trace(model.image_encoder, (pixels,), check_trace=False),
    ):
        for ours, theirs in zip(exported(pixels), plain.image_encoder(pixels), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
