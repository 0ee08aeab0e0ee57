"""The helpers of `sam2.utils`: amg, misc and transforms."""

__all__: list[str] = []
