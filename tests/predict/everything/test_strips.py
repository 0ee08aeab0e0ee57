"""The operations of CPUs and of GPUs on one strip."""

import numpy as np
import pytest
import torch

from sam2nb.predict.everything.strips import OnCpu, OnGpu, strip_operations

STRIP = torch.tensor([[[1.0, -1, 1], [1, 1, 1]], [[-1, -1, -1], [-1, 1, -1]]])  # 2 masks of 2 columns and 3 rows


@pytest.mark.parametrize(("operations", "strip"), [(OnCpu(), STRIP.numpy()), (OnGpu(), STRIP)], ids=["CPU", "GPU"])
def test_areas_and_edges_are_counted_column_by_column(operations, strip):
    assert operations.areas(strip, 0.0).tolist() == [5, 1]
    # one background pixel follows each column, so columns start at 0, 4, 8 and 12
    assert operations.edges(strip, 0.0).tolist() == [0, 1, 2, 3, 4, 7, 13, 14]


def test_both_interpolate_rows_alike():
    narrow = torch.randn(3, 5, 16)
    on_cpu, on_gpu = OnCpu().interpolate_rows(narrow, 45), OnGpu().interpolate_rows(narrow, 45)
    assert on_cpu.shape == (3, 5, 45)
    np.testing.assert_allclose(on_cpu, on_gpu.numpy(), atol=1e-5)


def test_the_device_selects_the_operations():
    assert isinstance(strip_operations(torch.device("cpu")), OnCpu)
    assert isinstance(strip_operations(torch.device("cuda", 0)), OnGpu)
