"""The image predictor, by the name of `sam2.sam2_image_predictor`."""

from sam2nb.predict.image import SAM2ImagePredictor

__all__ = ["SAM2ImagePredictor"]
