"""Images and videos on disk, in natural order: of a folder, of folders in it, of glob patterns."""

from __future__ import annotations

import difflib
import glob
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
ALIKE = 0.8  # of names, for a hint at the one that may be meant
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".mov", ".avi", ".webm", ".mkv", ".m4v", ".mpg", ".mpeg", ".ts", ".mts", ".wmv", ".flv", ".gif", ".3gp"}
)


class Found(NamedTuple):
    """An image or a video on disk.

    path: of the file, or of the folder of frames. name: its own name without ending, as in "cat"; below a folder or
    pattern with the folders between, as in "pets/cat". Files that belong to it are named after it.
    """

    path: Path
    name: str


def natural_key(name: str) -> list[tuple[int, int | str]]:
    """Sort key that reads digits as numbers: frame2 before frame10."""
    return [(0, int(part)) if part.isdigit() else (1, part.lower()) for part in re.split(r"(\d+)", name) if part]


def list_images(folder: Path) -> list[Path]:
    """The image files directly in a folder, in natural order; hidden files are left out."""
    return _in_order(path for path in folder.iterdir() if _is_image(path))


def find_images(paths: Sequence[Path], leave_out: Path | None = None) -> list[Found]:
    """Image files: those given, and those in the given folders, in the folders in these, and of glob patterns.

    leave_out: a folder in which nothing is searched: that of the results.
    Raises FileNotFoundError or ValueError for a path without any, and ValueError for two images of the same name.
    """

    def inside(folder: Path) -> Iterator[Path]:
        yield from list_images(folder)
        for child in _folders_in(folder, leave_out):
            yield from inside(child)

    return _distinct([found for path in paths for found in _find(path, _is_image, inside, "images", leave_out)])


def find_videos(paths: Sequence[Path], leave_out: Path | None = None) -> list[Found]:
    """Videos: files and folders of frames; those in folders without images, in the folders in these, and of patterns.

    Arguments and errors: as of `find_images`.
    """

    def inside(folder: Path) -> Iterator[Path]:
        if list_images(folder):
            yield folder
            return
        yield from _in_order(path for path in folder.iterdir() if _is_video(path))
        for child in _folders_in(folder, leave_out):
            yield from inside(child)

    return _distinct([found for path in paths for found in _find(path, _is_video, inside, "videos", leave_out)])


def is_several(path: Path) -> bool:
    """Whether a path stands for several videos: a glob pattern, or a folder without images of its own."""
    return not path.exists() and _is_pattern(path) or path.is_dir() and not list_images(path)


def check_exists(path: Path) -> None:
    """Raise FileNotFoundError for a path that does not exist; it names the file of the most similar name beside it."""
    if path.exists():
        return
    beside = [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, beside, n=1, cutoff=ALIKE)
    hint = f"; there is {str(path.with_name(near[0]))!r}" if near else ""
    raise FileNotFoundError(f"there is no file or folder {str(path)!r}{hint}")


def _find(
    path: Path,
    is_wanted: Callable[[Path], bool],
    inside: Callable[[Path], Iterator[Path]],
    kind: str,
    leave_out: Path | None,
) -> list[Found]:
    """Whatever one path stands for, in natural order."""
    if path.is_file():
        return [Found(path, path.stem)]
    if not path.exists() and _is_pattern(path):
        root, files = _matches(path)
        files = [file for match in files for file in (inside(match) if match.is_dir() else [match])]
        files = _once([file for file in files if file.is_dir() or is_wanted(file)])
        missing = f"no {kind} match {str(path)!r}"
    else:
        check_exists(path)
        root, files, missing = path, list(inside(path)), f"the folder {str(path)!r} has no {kind}"
    if leave_out is not None:
        out = leave_out.resolve()
        if root.resolve() == out:
            raise ValueError(f"{str(leave_out)!r} holds the {kind} to read: give another --out for the results")
        files = [file for file in files if out not in file.resolve().parents]
    if not files:
        raise ValueError(missing)
    return [_below(root, file) for file in files]


def _once(files: list[Path]) -> list[Path]:
    """The same files in order, each once: by its shortest path, where links lead to it by several."""
    by_file = {file.resolve(): file for file in sorted(files, key=lambda file: -len(file.parts))}
    return _in_order(list(by_file.values()))


def _below(root: Path, file: Path) -> Found:
    if file == root:
        return Found(file, file.resolve().name)
    name = file.relative_to(root)
    return Found(file, (name if file.is_dir() else name.with_suffix("")).as_posix())


def _is_pattern(path: Path) -> bool:
    return glob.has_magic(str(path))


def _matches(pattern: Path) -> tuple[Path, list[Path]]:
    """The folder at which a pattern begins, and the files and folders that match it."""
    plain = next(index for index, part in enumerate(pattern.parts) if glob.has_magic(part))
    found = [Path(name) for name in glob.glob(str(pattern), recursive=True)]
    return Path(*pattern.parts[:plain]), _in_order(found)


def _in_order(paths: Iterator[Path] | list[Path]) -> list[Path]:
    return sorted(paths, key=lambda path: [natural_key(part) for part in path.parts])


def _folders_in(folder: Path, leave_out: Path | None) -> list[Path]:
    """The visible folders in a folder, but for one, and for links back to where it lies."""
    unwanted = {folder.resolve(), *folder.resolve().parents, *([] if leave_out is None else [leave_out.resolve()])}
    children = (path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    return _in_order(child for child in children if child.resolve() not in unwanted)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith(".") and path.is_file()


def _distinct(found: list[Found]) -> list[Found]:
    """The same without repetitions. Raises ValueError for two of one name, whose results would share their files."""
    first: dict[str, Path] = {}
    for path, name in found:
        if first.setdefault(name, path).resolve() != path.resolve():
            raise ValueError(
                f"{str(first[name])!r} and {str(path)!r} have the same name, their results would overwrite each other: "
                "give the folder that holds both, rename one, or use two commands with different --out"
            )
    return [Found(path, name) for name, path in first.items()]
