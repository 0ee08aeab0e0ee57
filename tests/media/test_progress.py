from sam2nb.media.progress import with_bar


def test_a_bar_changes_no_item():
    assert list(with_bar(range(3), "counting")) == [0, 1, 2]


def test_without_a_bar_the_items_come_back_as_they_are():
    items = [1, 2]
    assert with_bar(items, "counting", show=False) is items
