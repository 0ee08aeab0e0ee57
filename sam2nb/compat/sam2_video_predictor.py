"""The video predictor, by the name of `sam2.sam2_video_predictor`."""

from sam2nb.predict.video.predictor import SAM2VideoPredictor

__all__ = ["SAM2VideoPredictor"]
