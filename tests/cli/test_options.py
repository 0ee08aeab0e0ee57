"""The model that the options of several commands choose."""

from pathlib import Path

import pytest

from sam2nb.cli.options import load_chosen_model


def test_a_weights_file_needs_the_name_of_a_model_for_its_configuration():
    with pytest.raises(ValueError, match="--weights needs --model"):
        load_chosen_model("auto", Path("mine.safetensors"), None, "auto", None)
