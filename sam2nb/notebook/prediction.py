"""Commit to a prediction: a question with buttons, whose answer appears after the choice.

    commit("How often does the encoder run for ten objects?", ["once", "ten times"], "once", "`set_image` runs it …")

Where widgets cannot run, the question is shown with the answer folded away.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import Any

from sam2nb.notebook.show import in_notebook


def commit(question: str, options: Sequence[str], right: str, why: str) -> None:
    """Ask a question; whoever has chosen an option sees the right one and why.

    options: at least two different ones. why: one or two sentences. Outside a notebook the question is printed.
    Raises ValueError if `right` is not among the options.
    """
    if right not in options or len(set(options)) != len(options) or len(options) < 2:
        raise ValueError(f"right must be one of two or more different options, got {right!r} and {list(options)}")
    text = f"{question}\n" + "\n".join(f"  ( ) {option}" for option in options)
    if not in_notebook():
        print(text)
        return
    from IPython.display import display

    data = {"text/plain": text, "text/html": folded(question, options, right, why)}
    widget = _widget(question, options, right, why)
    if widget is not None:
        data |= {kind: value for kind, value in widget._repr_mimebundle_().items() if kind.startswith("application/")}
    display(data, raw=True)


def verdict(choice: str, right: str, why: str) -> str:
    """The line that appears after a choice."""
    return f"{'Yes' if choice == right else f'You chose {choice}; it is {right}'}. {why}"


def folded(question: str, options: Sequence[str], right: str, why: str) -> str:
    """The question as HTML with its answer folded away."""
    items = "".join(f"<li>{html.escape(option)}</li>" for option in options)
    answer = f"<details><summary>Answer</summary><p>{html.escape(right)}. {html.escape(why)}</p></details>"
    return f"<p>{html.escape(question)}</p><ul>{items}</ul>{answer}"


def _widget(question: str, options: Sequence[str], right: str, why: str) -> Any | None:
    """Radio buttons with an answer below, or None without ipywidgets."""
    try:
        import ipywidgets
    except ImportError:
        return None
    buttons = ipywidgets.RadioButtons(options=list(options), value=None, layout={"width": "max-content"})
    buttons.tooltip = question
    answer = ipywidgets.Label()
    buttons.observe(_answering(buttons, answer, right, why), names="value")
    return ipywidgets.VBox([ipywidgets.Label(question), buttons, answer])


def _answering(buttons: Any, answer: Any, right: str, why: str) -> Callable[[Any], None]:
    def show(change: Any) -> None:
        answer.value = verdict(change["new"], right, why)
        buttons.disabled = True  # a prediction is made once

    return show
