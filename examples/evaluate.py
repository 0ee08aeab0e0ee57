"""Score a checkpoint on labelled images (IoU by box and by clicks) and on labelled clips (J&F).
Run: python examples/evaluate.py [OUT.json]"""

import sys
from pathlib import Path

from sam2nb import load_model
from sam2nb.evaluation import evaluate_images, evaluate_video
from sam2nb.evaluation.datasets import open_clips, open_images
from sam2nb.evaluation.protocols import save_scores

ROOT = Path(__file__).resolve().parent.parent
OUT = sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/examples/evaluate.json"

model = load_model("sam2nb_nano")
images = open_images(ROOT / "data/sample/stills")  # a folder with images/ and masks/, or a COCO .json
clips = open_clips(ROOT / "data/sample/clips")  # per clip frames/ and masks/; or the DAVIS or the SA-V layout

stills = evaluate_images(model, images, clicks=[1, 3])
print(f"{stills.objects} objects in images, mean IoU:", {name: round(iou, 3) for name, iou in stills.mean().items()})
videos = evaluate_video(model, clips[:2], prompt="mask")
print(f"{len(videos.objects)} objects in clips, J&F {videos.mean().j_and_f:.3f}")

save_scores(OUT, "sam2nb_nano", {"image_size": model.image_size}, stills, videos)
print(OUT)
