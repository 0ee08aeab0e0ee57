"""The core against a recording of the official package, for machines that do not have it."""

import pytest
import torch
from safetensors.torch import load_file

from sam2nb.build import build_sam2
from sam2nb.structures import Prompts
from tests.golden_case import CONFIG, FILE, IMAGE_SIZE, SCORE, SEED, make_inputs, thin
from tests.reference import FEATURE_TOLERANCE, LOGIT_TOLERANCE, SCORE_TOLERANCE, scramble

TOLERANCES = {
    "embedding": FEATURE_TOLERANCE,
    "stride4": FEATURE_TOLERANCE,
    "stride8": FEATURE_TOLERANCE,
    "logits": LOGIT_TOLERANCE,
    "iou": SCORE_TOLERANCE,
    "tokens": LOGIT_TOLERANCE,
    "score": LOGIT_TOLERANCE,
    "memory": FEATURE_TOLERANCE,
}


@pytest.fixture(scope="module")
def outputs():
    model = build_sam2(CONFIG, device="cpu", hydra_overrides_extra=[f"++model.image_size={IMAGE_SIZE}"])
    scramble(model, SEED)
    case = make_inputs()
    with torch.no_grad():
        features = model.encode_image(case["pixels"])
        prompts = Prompts(case["points"], case["labels"])
        answer = model.predict_masks(model.recall(features), features.high_res, prompts, multimask=True)
        memory = model.memorize(features, case["mask"], torch.tensor([[SCORE]]), from_prompt=False)
    return thin(
        {
            "embedding": features.embedding,
            "stride4": features.high_res[0],
            "stride8": features.high_res[1],
            "logits": answer.logits,
            "iou": answer.iou,
            "tokens": answer.tokens,
            "score": answer.object_score,
            "memory": memory,
        }
    )


@pytest.mark.parametrize("name", TOLERANCES)
def test_the_core_says_what_the_official_package_said(outputs, name):
    recorded = load_file(FILE)[name]
    assert recorded.abs().mean() > 1e-3  # there is something to compare
    half_a_step = 2**-8 if outputs[name].dtype is torch.bfloat16 else 0.0
    torch.testing.assert_close(outputs[name].float(), recorded, atol=TOLERANCES[name], rtol=half_a_step)
