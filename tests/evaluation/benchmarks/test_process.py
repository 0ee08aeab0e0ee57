"""Contestants by name or folder, and the report of a process that ends."""

import pytest

from sam2nb.evaluation.benchmarks.process import OWN_ROOT, Entry, Worker, entries


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
