"""Fine-tune the mask decoder on a dozen labelled images; the IoU on others, before and after.
Run: python examples/finetune.py [OUT.safetensors]"""

import sys
import tempfile
from pathlib import Path

from sam2nb import SAM2, SAM2ImagePredictor, load_model, save_checkpoint
from sam2nb.evaluation import evaluate_images
from sam2nb.training.recipes.finetune import finetune
from sam2nb.training.recipes.toy import cells

ROOT = Path(__file__).resolve().parent.parent
OUT = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/examples/finetuned.safetensors")

# drawn cells, to be segmented whole, where a click usually yields the nucleus; your own: open_images("folder")
# from sam2nb.evaluation.datasets, with images/ and masks/ in the folder, or a COCO .json
training, test = cells(12, seed=1), cells(6, seed=2)


def report(when: str, model: SAM2) -> None:
    predictor = SAM2ImagePredictor(model, closer=False)  # one look, as in training
    scores = evaluate_images(predictor, test, clicks=[1, 3])
    print(f"{when}: mean IoU of {scores.objects} cells", {name: round(iou, 3) for name, iou in scores.mean().items()})


model = load_model("sam2nb_nano")
report("before", model)
with tempfile.TemporaryDirectory() as run:  # with a folder of your own, an interrupted run is resumed
    model = finetune(model, training, run, parts="decoder", steps=100, rate=2e-4)
report("after", model)
OUT.parent.mkdir(parents=True, exist_ok=True)
print(save_checkpoint(model, OUT))
