"""Google Colab: files by its upload button or the camera, checkpoints on Google Drive, a hint."""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path

from sam2nb.notebook.show import first_line
from sam2nb.weights.registry import FOLDER_VARIABLE

GPU_HINT = "a GPU is much faster: Runtime > Change runtime type > T4 GPU, then run this cell again"
DRIVE, DRIVE_FOLDER = "/content/drive", "/content/drive/MyDrive/sam2nb"
PATIENCE = 180  # seconds for a photo, after which the lesson goes on without one
TAKE = """(async () => {{
{modules}
  const area = document.body.appendChild(document.createElement("div"));
  google.colab.output.setIframeHeight(600, true);
  const tooLate = new Promise((done) => setTimeout(() => {{
    area.querySelector("[data-action=cancel]")?.click();
    done(null);
  }}, {patience} * 1000));
  const blob = await Promise.race([takeWithCamera(area, "{kind}", {seconds}), tooLate]);
  if (!blob) return ["", ""];
  const reader = new FileReader();
  const read = new Promise((done) => (reader.onload = done));
  reader.readAsDataURL(blob);
  await read;
  return [nameOf(blob), reader.result];
}})()"""


def is_here() -> bool:
    """Whether the code runs in Google Colab."""
    return "google.colab" in sys.modules


def keep_checkpoints_on_drive() -> None:
    """Mount Google Drive, and download checkpoints to it once for all notebooks. Prints one line."""
    if not is_here():
        print("DRIVE is for Google Colab; checkpoints stay on this machine")
        return
    from google.colab import drive

    try:
        drive.mount(DRIVE)
    except Exception as problem:  # a permission that was not given
        print(f"Google Drive is not used: {first_line(problem)}")
        return
    folder = os.environ.setdefault(FOLDER_VARIABLE, DRIVE_FOLDER)
    print(f"checkpoints are kept in {folder}")


def ask(kind: str, way: str, folder: Path, limit: int) -> Path | None:
    """Wait for a file: -> its path in `folder`, or None if it was cancelled, which is said in one line.

    kind: "picture" or "clip". way: "upload" or "webcam". limit: bytes, above which ValueError is raised.
    """
    from sam2nb.widgets.file import safe_name

    try:
        name, content = _upload() if way == "upload" else _camera(kind)
    except Exception as problem:  # a permission that was not given, no camera, nobody there
        print(f"no {kind} was received: {first_line(problem)}")
        return None
    if not content:
        return None
    if len(content) > limit:
        raise ValueError(f"{name} has {len(content) / 1e6:.0f} MB, more than the limit of {limit / 1e6:.0f} MB")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / safe_name(name)
    path.write_bytes(content)
    return path


def _upload() -> tuple[str, bytes]:
    from google.colab import files

    return next(iter(files.upload().items()), ("", b""))


def _camera(kind: str) -> tuple[str, bytes]:
    from google.colab import output

    from sam2nb.widgets.bundle import joined
    from sam2nb.widgets.file import SECONDS

    script = TAKE.format(modules=joined("dom", "camera"), kind=kind, seconds=SECONDS, patience=PATIENCE)
    name, address = output.eval_js(script)
    return name, base64.b64decode(address.partition(",")[2])
