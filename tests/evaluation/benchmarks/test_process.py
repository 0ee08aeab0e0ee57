"""Contestants by name or folder, and the report of a process that ends."""

import psutil
import pytest

from sam2nb.evaluation.benchmarks.process import OWN_ROOT, WAYS, Entry, Worker, entries, neighbours


def checkout(folder):
    (folder / "sam2nb").mkdir(parents=True)
    (folder / "sam2nb" / "__init__.py").touch()
    return folder


def test_this_package_comes_first_and_once():
    assert entries([]) == entries(["sam2nb"]) == [Entry("sam2nb", "sam2nb", OWN_ROOT)]
    assert [entry.label for entry in entries(["official", "transformers"])] == ["sam2nb", "official", "transformers"]


def test_a_folder_with_the_package_is_another_checkout(tmp_path):
    folder = checkout(tmp_path / "before")
    assert entries([str(folder)])[1] == Entry("before (checkout)", "sam2nb", folder.resolve())


def test_two_checkouts_of_one_name_are_rejected(tmp_path):
    folders = [str(checkout(tmp_path / parent / "before")) for parent in "ab"]
    with pytest.raises(ValueError, match="two folders called 'before'"):
        entries(folders)


@pytest.mark.parametrize("name", ["sam1", "no/such/folder", "."])
def test_unknown_contestants_are_named(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"against has '{name}'; known are official, transformers"):
        entries([name])


def test_a_checkout_that_cannot_be_imported_is_a_problem_and_not_an_error(tmp_path, capfd):
    folder = checkout(tmp_path / "empty")
    (folder / "sam2nb" / "__init__.py").write_text("raise RuntimeError('half a checkout')")
    worker = Worker(Entry("empty (checkout)", "sam2nb", folder))
    try:
        assert worker.ask({"contestant": "sam2nb"}) == {"problem": "its process ended with code 1"}
    finally:
        worker.close()
    assert "half a checkout" in capfd.readouterr().err


@pytest.mark.parametrize("way", WAYS)
def test_another_way_to_compute_is_a_contestant(way):
    entry = entries([way])[1]
    assert entry.label == f"sam2nb {way}" and entry.kind == "sam2nb" and entry.changes == WAYS[way]


def test_neighbours_are_busy_and_end():
    before = set(psutil.Process().children())
    with neighbours(2):
        started = set(psutil.Process().children()) - before
        assert len(started) == 2 and all(process.is_running() for process in started)
    psutil.wait_procs(started, timeout=10)
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in started)
