from sam2nb.media.folder import list_images, natural_key


def test_names_sort_by_their_numbers():
    names = ["10.jpg", "a2.jpg", "9.jpg", "a10.jpg", "007.jpg"]
    assert sorted(names, key=natural_key) == ["007.jpg", "9.jpg", "10.jpg", "a2.jpg", "a10.jpg"]


def test_other_files_and_hidden_files_are_left_out(tmp_path):
    for name in ("b.PNG", "a.jpeg", "notes.txt", "._a.jpeg"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in list_images(tmp_path)] == ["a.jpeg", "b.PNG"]
