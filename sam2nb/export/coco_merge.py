"""Join COCO files of many images or videos to one, file by file, so that many need little memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sam2nb.export.classes import ClassNames
from sam2nb.export.masks import segmentation_of
from sam2nb.masks.rle import as_rle
from sam2nb.structures import UNNAMED
from sam2nb.whole_file import whole_file


def merge_coco(
    files: Sequence[str | Path],
    path: str | Path,
    names: Sequence[str] | None = None,
    tolerance: float | None = None,
) -> Path:
    """Write one COCO file with the images and annotations of several, in their order; pycocotools reads it.

    Images and annotations get new ids; categories of the same name become one. names: of videos, one for each file:
    the file then lists them as `videos`, and each image has a `video_id` and a `frame_index`. tolerance: in pixels,
    write polygons in place of run lengths, see `segmentation_of`.

    Raises ValueError that names a file which is damaged.
    """
    classes, images, count = ClassNames(), [], 0
    with whole_file(path) as part, part.open("w", encoding="utf-8") as merged:
        merged.write('{"info": {"description": "made with sam2nb"}, "annotations": [')
        for number, content in enumerate(map(_read, files), start=1):
            first = len(images)
            images += _images(content, first, None if names is None else number)
            for annotation in _annotations(content, first, classes):
                count += 1
                if tolerance is not None:
                    annotation["segmentation"] = segmentation_of(as_rle(annotation["segmentation"]), tolerance)
                merged.write((",\n" if count > 1 else "\n") + json.dumps({**annotation, "id": count}))
        rest: dict[str, Any] = {"images": images, "categories": classes.categories()}
        if names is not None:
            rest["videos"] = [{"id": number, "name": name} for number, name in enumerate(names, start=1)]
        merged.write(f"\n], {json.dumps(rest)[1:]}\n")
    return Path(path)


def _read(file: str | Path) -> dict[str, Any]:
    try:
        content = json.loads(Path(file).read_text(encoding="utf-8"))
        return {key: content[key] for key in ("images", "annotations", "categories")}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{str(file)!r} is not a COCO file, or is damaged ({error})") from None


def _images(content: dict[str, Any], first: int, video: int | None) -> list[dict[str, Any]]:
    """Images with new ids, which follow on the first ones. video: the number of their video."""
    images = []
    for index, image in enumerate(content["images"]):
        more = {} if video is None else {"video_id": video, "frame_index": image["id"]}
        images.append({**image, "id": first + index + 1, **more})
    return images


def _annotations(content: dict[str, Any], first: int, classes: ClassNames) -> Iterator[dict[str, Any]]:
    """Annotations with the new ids of their images, and of categories of the same name."""
    image_ids = {image["id"]: first + index + 1 for index, image in enumerate(content["images"])}
    used = {annotation["category_id"] for annotation in content["annotations"]}
    names = {category["id"]: category["name"] for category in content["categories"]}
    categories = {
        number: classes.number(name) + 1 for number, name in names.items() if number in used or name != UNNAMED
    }
    for annotation in content["annotations"]:
        new = {"image_id": image_ids[annotation["image_id"]], "category_id": categories[annotation["category_id"]]}
        yield {**annotation, **new}
