from pathlib import Path

import pytest

from sam2nb.media.folder import check_exists, find_images, find_videos, is_several, list_images, natural_key


def test_names_sort_by_their_numbers():
    names = ["10.jpg", "a2.jpg", "9.jpg", "a10.jpg", "007.jpg"]
    assert sorted(names, key=natural_key) == ["007.jpg", "9.jpg", "10.jpg", "a2.jpg", "a10.jpg"]


def test_other_files_and_hidden_files_are_left_out(tmp_path):
    for name in ("b.PNG", "a.jpeg", "notes.txt", "._a.jpeg"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in list_images(tmp_path)] == ["a.jpeg", "b.PNG"]


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A folder with images and videos in it and in folders, some hidden, and a link back to it."""
    monkeypatch.chdir(tmp_path)
    names = ["a10.jpg", "a2.PNG", "note.txt", ".hidden.jpg", "pets/cat.jpg", "pets/old/cat.jpg", ".git/x.jpg"]
    names += ["clips/one.mp4", "clips/deep/two.MOV", "clips/frames/0.png", "clips/frames/1.png", "clips/readme.md"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "pets" / "back").symlink_to(tmp_path, target_is_directory=True)
    return Path(".")


def names_of(found):
    return [name for _, name in found]


def test_a_folder_stands_for_its_images_and_those_in_its_folders(tree):
    found = find_images([tree], leave_out=Path("clips"))
    assert names_of(found) == ["a2", "a10", "pets/cat", "pets/old/cat"]
    assert found[2].path == Path("pets/cat.jpg")
    assert names_of(find_images([Path("pets"), Path("a2.PNG")])) == ["cat", "old/cat", "a2"]


def test_a_pattern_names_what_it_finds_from_where_it_begins(tree):
    assert names_of(find_images([Path("*.jpg")])) == ["a10"]
    assert names_of(find_images([Path("pets/**/c*.jpg")])) == ["cat", "old/cat"]
    assert names_of(find_images([Path("p*")], leave_out=Path("pets/old"))) == ["pets/cat"]
    with pytest.raises(ValueError, match=r"no images match 'x\*.jpg'"):
        find_images([Path("x*.jpg")])


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(tree):
    Path("scan[1].png").touch()
    assert names_of(find_images([Path("scan[1].png")])) == ["scan[1]"]


def test_a_folder_of_frames_is_one_video_another_holds_videos(tree):
    assert names_of(find_videos([Path("clips")])) == ["one", "deep/two", "frames"]
    assert names_of(find_videos([Path("clips/frames")])) == ["frames"]
    assert names_of(find_videos([Path("clips/*")])) == ["deep/two", "frames", "one"]
    assert is_several(Path("clips")) and is_several(Path("*.mp4"))
    assert not is_several(Path("clips/frames")) and not is_several(Path("clips/one.mp4"))


def test_the_same_image_twice_is_one_and_two_of_one_name_are_refused(tree):
    assert names_of(find_images([Path("pets/cat.jpg"), Path("pets/../pets/cat.jpg")])) == ["cat"]
    with pytest.raises(ValueError, match=r"'pets/cat.jpg' and 'pets/old/cat.jpg' have the same name"):
        find_images([Path("pets/cat.jpg"), Path("pets/old/cat.jpg")])


def test_a_folder_without_images_and_one_that_is_written_to_are_named(tree):
    with pytest.raises(ValueError, match="the folder 'clips/deep' has no images"):
        find_images([Path("clips/deep")])
    with pytest.raises(ValueError, match="'pets' holds the images to read: give another --out"):
        find_images([Path("pets")], leave_out=Path("pets"))


def test_a_missing_file_is_named_with_the_one_that_may_be_meant(tree):
    with pytest.raises(FileNotFoundError, match="no file or folder 'pets/cta.jpg'; there is 'pets/cat.jpg'"):
        check_exists(Path("pets/cta.jpg"))
    with pytest.raises(FileNotFoundError, match="no file or folder 'gone/cat.jpg'$"):
        find_images([Path("gone/cat.jpg")])
