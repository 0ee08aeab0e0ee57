"""The description of a machine that goes into a record."""

from sam2nb.evaluation.benchmarks.machine import describe_machine


def test_processor_memory_and_versions_are_described():
    machine = describe_machine("cpu", {})
    assert machine["cpu"] and machine["memory_gb"] > 0 and machine["torch"] and machine["gpu"] is None


def test_a_folder_that_is_no_git_checkout_has_no_commit(tmp_path):
    assert describe_machine("cpu", {"sam2nb": tmp_path})["commits"] == {"sam2nb": None}
