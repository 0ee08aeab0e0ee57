"""Files that are written whole or not at all."""

import os
import stat

import pytest

from sam2nb.whole_file import LEFTOVER_SECONDS, whole_file


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(RuntimeError), whole_file(path) as part:
        part.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_the_file_appears_when_it_is_complete_with_the_usual_rights_in_a_new_folder(tmp_path):
    path = tmp_path / "new" / "a.json"
    with whole_file(path) as part:
        part.write_text("text")
        assert not path.exists()
    plain = tmp_path / "plain"
    plain.touch()
    assert path.read_text() == "text" and stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_the_leftovers_of_a_killed_process_go_when_they_are_old(tmp_path):
    old, young, other = (tmp_path / name for name in (".a[1].x.part", ".a[1].y.part", ".a1.z.part"))
    for file in (old, young, other):
        file.touch()
    for file in (old, other):
        os.utime(file, (file.stat().st_mtime - 2 * LEFTOVER_SECONDS,) * 2)
    with whole_file(tmp_path / "a[1]") as part:
        part.touch()
    assert {f.name for f in tmp_path.iterdir()} == {other.name, young.name, "a[1]"}
