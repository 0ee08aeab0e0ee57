"""Everything mode, by the name of `sam2.automatic_mask_generator`."""

from sam2nb.predict.everything.generator import SAM2AutomaticMaskGenerator

__all__ = ["SAM2AutomaticMaskGenerator"]
