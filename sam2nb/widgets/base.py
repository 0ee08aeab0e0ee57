"""The part that all widgets share: the size of what is shown, its words, and answers to the browser."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import anywidget
import traitlets

from sam2nb import plotting
from sam2nb.widgets.bundle import style
from sam2nb.widgets.still import first_line, with_static_picture

logger = logging.getLogger(__name__)

Answer = tuple[dict[str, Any], list[bytes]]  # the content of a message, and its buffers


class ShownWidget(anywidget.AnyWidget):
    """An image or a video on a canvas. A subclass has `answers` to the requests of the browser, and a still picture."""

    _css = style("widgets")

    size = traitlets.List(traitlets.Int()).tag(sync=True)  # width and height of the image
    shown = traitlets.List(traitlets.Int()).tag(sync=True)  # and of what is sent of it
    palette = traitlets.List(list(plotting.PALETTE)).tag(sync=True)
    alt = traitlets.Unicode().tag(sync=True)

    def __init__(self, size_hw: tuple[int, int], shown_hw: tuple[int, int], **traits: Any) -> None:
        super().__init__(size=list(size_hw[::-1]), shown=list(shown_hw[::-1]), **traits)
        self.on_msg(self._receive)

    @property
    def answers(self) -> dict[str, Callable[[dict[str, Any]], Answer | None]]:
        """The function that answers a request of each kind."""
        raise NotImplementedError

    def static_picture(self) -> bytes:
        """A JPEG file, shown where widgets cannot run."""
        raise NotImplementedError

    def page_data(self) -> dict[str, Any]:
        """More entries for the output of a cell, by MIME type."""
        return {}

    def summary(self) -> str:
        """One line about the widget, for viewers without pictures."""
        raise NotImplementedError

    def _receive(self, _widget: Any, content: dict[str, Any], _buffers: Any) -> None:
        self._reply(content, lambda request: self.answers[request["kind"]](request))

    def _reply(self, content: dict[str, Any], function: Callable[[dict[str, Any]], Answer | None]) -> None:
        """Answer a request; the answer says which one it belongs to, and is sent in every case.

        function: returns None where the answer follows later, from another thread.
        """
        try:
            found = function(content)
        except Exception as problem:  # an exception in a callback would be lost
            logger.debug("%s failed", content.get("kind"), exc_info=True)
            found = {"problem": first_line(problem)}, []
        if found is not None:
            answer, buffers = found
            self.send({**answer, "kind": content.get("kind"), "request": content.get("request")}, buffers)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        text = f"{type(self).__name__}: {self.summary()}"
        return with_static_picture(bundle, self.static_picture(), text, self.page_data())
