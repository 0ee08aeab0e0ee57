"""Receive a file from the browser: one that is chosen, or what the camera took.

The file comes in pieces, each answered before the next is sent, so that its size is limited by `limit` alone.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from sam2nb.widgets.bundle import joined, style
from sam2nb.widgets.still import first_line

logger = logging.getLogger(__name__)

MODULES = ("dom", "layers", "kernel", "camera", "file_widget")
SECONDS = 5  # of a recording
LONGEST_NAME = 80  # characters


class FileWidget(anywidget.AnyWidget):
    """A field for a file, or a button for the camera; what arrives is given to `take`.

    kind: "picture" or "clip". way: "upload" or "webcam". limit: bytes. folder: where the file is written.
    take: receives the path and returns a sentence that the reader sees; its exceptions are shown as one line.
    """

    _esm = joined(*MODULES)
    _css = style("widgets")

    kind = traitlets.Unicode().tag(sync=True)
    way = traitlets.Unicode().tag(sync=True)
    accept = traitlets.Unicode().tag(sync=True)  # kinds of files, as the browser names them
    limit = traitlets.Int().tag(sync=True)
    seconds = traitlets.Int(SECONDS).tag(sync=True)

    def __init__(self, kind: str, way: str, limit: int, folder: str | Path, take: Callable[[Path], str]) -> None:
        self._folder, self._take, self._received = Path(folder), take, bytearray()
        accept = "image/*" if kind == "picture" else "video/*,image/gif"
        super().__init__(kind=kind, way=way, limit=limit, accept=accept)
        self.on_msg(self._receive)

    def _receive(self, _widget: Any, content: dict[str, Any], buffers: Any) -> None:
        """Append a piece; after the last one, write the file and give it away."""
        try:
            answer = self._append(content["name"], content["start"], content["size"], bytes(buffers[0]))
        except Exception as problem:  # an exception in a callback would be lost
            logger.debug("a file could not be received", exc_info=True)
            self._received.clear()
            answer = {"problem": first_line(problem)}
        self.send({**answer, "request": content.get("request")})

    def _append(self, name: str, start: int, size: int, piece: bytes) -> dict[str, Any]:
        if start == 0:
            self._received.clear()
        if start != len(self._received) or start + len(piece) > min(size, self.limit):
            raise ValueError(f"{name} did not arrive whole, please choose it again")
        self._received += piece
        if len(self._received) < size:
            return {}
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / safe_name(name)
        path.write_bytes(self._received)
        self._received.clear()
        return {"taken": self._take(path)}


def safe_name(name: str) -> str:
    """A name of a file that came from elsewhere, without folders and unusual characters, and not too long."""
    return re.sub(r"[^\w.-]+", "_", Path(name).name).lstrip(".")[-LONGEST_NAME:] or "file"
