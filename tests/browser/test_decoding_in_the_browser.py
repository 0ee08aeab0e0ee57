"""The prompt widget with its decoder in the browser, in a real JupyterLab: it needs no free kernel.

Latencies: pytest -s tests/browser -k latencies
"""

from __future__ import annotations

import statistics

import pytest

from tests.browser.laboratory import frozen_kernel, opened
from tests.browser.person import CANVAS, ROOT, Person

pytestmark = [pytest.mark.slow, pytest.mark.browser]

WIDGET = """
import torch
torch.set_num_threads(1)
from sam2nb import SAM2ImagePredictor, load_model
from sam2nb.notebook import photo
from sam2nb.widgets.prompt import PromptWidget
predictor = SAM2ImagePredictor(load_model("sam2nb_nano", device="cpu"), closer=False)
widget = PromptWidget(photo("astronaut"), predictor, alt="an astronaut in an orange suit")
widget
"""
BADGE = (170, 385)
NANO = "[...window.sam2nbModels].find(([key]) => key.startsWith('sam2nb_nano'))[1]"
HINT = f"document.querySelector('{ROOT} .sam2nb-hint')"


@pytest.fixture(scope="module")
def runtime():
    """onnxruntime-web on this machine."""
    from sam2nb.weights.npm import PackageError
    from sam2nb.widgets.ort_web import fetch_ort_web

    try:
        return fetch_ort_web()
    except PackageError as error:
        pytest.skip(f"onnxruntime-web cannot be had: {error}")


@pytest.fixture(scope="module")
def notebook(runtime, tmp_path_factory):
    path = tmp_path_factory.mktemp("lab") / "decoding.ipynb"
    with opened(path, WIDGET, f"document.querySelector('{ROOT}')?.dataset.decoder") as notebook:
        yield notebook


@pytest.fixture
def user(notebook):
    person = Person(notebook)
    person.start_again()
    return person


def show_another(notebook, source: str) -> str:
    """Run a cell whose last line is a widget; -> a selector of its root"""
    count = notebook.script(f"return document.querySelectorAll('{ROOT}').length")
    notebook.browser.execute_async_script(
        "const done = arguments[1]; const panel = jupyterapp.shell.currentWidget; const book = panel.content;"
        "book.activeCellIndex = book.widgets.length - 1;"
        "jupyterapp.commands.execute('notebook:insert-cell-below').then(() => {"
        "book.activeCell.model.sharedModel.setSource(arguments[0]);"
        "jupyterapp.commands.execute('notebook:run-cell').finally(() => done()); });",
        source,
    )
    notebook.wait(f"document.querySelectorAll('{ROOT}').length > {count}")
    notebook.script(f"[...document.querySelectorAll('{ROOT}')].at(-1).id = 'another{count}'")
    notebook.wait(f"document.getElementById('another{count}').dataset.decoder")
    return f"#another{count}"


def point_at_the_middle(notebook, selector: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    notebook.script(f"document.querySelector('{selector} {CANVAS}').scrollIntoView({{block: 'center'}})")
    canvas = notebook.browser.find_element("css selector", f"{selector} {CANVAS}")
    ActionChains(notebook.browser, duration=20).move_to_element_with_offset(canvas, 3, 2).perform()
    notebook.wait(f"document.querySelector('{selector}').dataset.previewMs")


def test_while_a_cell_runs_the_mask_follows_the_mouse_and_a_click_is_shown(user):
    assert user.data("decoder") == "browser"
    bare = user.pixel(*BADGE)
    revision = user.data("revision")
    with frozen_kernel(user.notebook):
        user.hover(BADGE[0] - 5, BADGE[1] - 5)
        user.notebook.wait(f"document.querySelectorAll('{ROOT} .sam2nb-masks button').length === 3")
        user.moved(*BADGE).click().perform()
        user.notebook.wait(f"document.querySelector('{ROOT}').dataset.shownMs")
        assert user.data("revision") == revision, "Python answered nothing of this"
        shown = user.pixel(BADGE[0] + 20, BADGE[1] + 15)
    assert shown[2] - shown[0] > bare[2] - bare[0], "the badge is blue"
    user.notebook.wait(f"document.querySelector('{ROOT}').dataset.revision !== '{revision}'")
    again = user.pixel(BADGE[0] + 20, BADGE[1] + 15)
    assert max(abs(one - other) for one, other in zip(shown, again, strict=True)) < 30, "the masks are alike"
    same = "exec(widget.code())\nprint((masks == widget.masks).all(), len(masks))"
    assert user.python(f"image = widget.image\n{same}") == "True 1"


def test_masks_of_the_browser_are_those_of_python(user):
    """Box, several clicks, and a chosen mask that goes into the next answer: alike on the canvas before and after."""
    pixels = (
        f"const c = document.querySelector('{CANVAS}'); const d = c.getContext('2d')"
        ".getImageData(0, 0, c.width, c.height).data; return Array.from({length: 4000}, (_, i) =>"
        "d[4 * Math.floor(i * d.length / 16000) + 2])"
    )
    user.press("o")  # without outlines, which differ by a pixel
    user.click(200, 330)
    user.answered(lambda: user.press("3"))  # the third mask
    user.notebook.script(f"delete document.querySelector('{ROOT}').dataset.shownMs")
    revision = user.data("revision")
    with frozen_kernel(user.notebook):
        user.moved(260, 420).click().perform()
        user.notebook.wait(f"document.querySelector('{ROOT}').dataset.shownMs")
        here = user.notebook.script(pixels)
    user.notebook.wait(f"document.querySelector('{ROOT}').dataset.revision !== '{revision}'")
    python = user.notebook.script(pixels)
    different = sum(abs(one - other) > 40 for one, other in zip(here, python, strict=True))
    user.press("o")
    assert different < 0.015 * len(here), f"{different} of {len(here)} pixels differ"


def measured(person) -> tuple[float, float, float]:
    """Medians in milliseconds: of hovers, of clicks to a mask from the browser, of clicks to Python's mask."""
    hovers, shown, answered = [], [], []
    for step in range(20):
        person.notebook.script(f"delete document.querySelector('{person.root}').dataset.previewMs")
        person.hover(150 + 11 * step, 300 + 9 * (step % 5))
        person.notebook.wait(f"document.querySelector('{person.root}').dataset.previewMs")
        hovers.append(float(person.data("previewMs")))
    for step in range(12):
        person.notebook.script(f"delete document.querySelector('{person.root}').dataset.shownMs")
        person.click(150 + 17 * step, 330 + 5 * (step % 3))
        answered.append(float(person.data("answeredMs")))
        shown.append(float(person.data("shownMs") or answered[-1]))  # Python may be faster
    return statistics.median(hovers), statistics.median(shown), statistics.median(answered)


def test_latencies_of_the_prompt_widget_with_nano(user):
    hover, shown, answered = measured(user)
    print(
        f"\nPromptWidget, nano in the browser (WASM): hover {hover:.0f} ms (aim 60), click to mask {shown:.0f} ms",
        end=" ",
    )
    print(f"(aim 60), kernel round trip {answered:.0f} ms (aim 60)")
    assert max(hover, shown, answered) < 10_000  # even on a busy machine


@pytest.mark.genuine
def test_latencies_of_the_prompt_widget_with_tiny(user):
    from sam2nb.weights.registry import file_on_disk

    if file_on_disk("sam2_hiera_tiny") is None:
        pytest.skip("the genuine tiny weights are not on this machine")
    make = "tiny = SAM2ImagePredictor(load_model('sam2_hiera_tiny', device='cpu'))"
    root = show_another(user.notebook, f"{make}\nPromptWidget(photo('astronaut'), tiny)")
    person = Person(user.notebook, root=root)
    assert person.data("decoder") == "browser"
    hover, shown, answered = measured(person)
    print(
        f"\nPromptWidget, tiny in the browser (WASM): hover {hover:.0f} ms (aim 300), click to mask {shown:.0f} ms",
        end="",
    )
    print(f", kernel round trip {answered:.0f} ms (aim 150)")
    assert max(hover, shown, answered) < 30_000


def test_two_widgets_on_one_predictor_share_the_model_and_keep_their_images(user):
    user.click(*BADGE)
    kept = user.python("print(int(widget.mask.sum()))")
    other = show_another(user.notebook, 'second = PromptWidget(photo("cat"), predictor, alt="a cat")\nsecond')
    point_at_the_middle(user.notebook, other)
    assert user.notebook.script(f"return {NANO}.users") == 2
    user.click(BADGE[0] + 1, BADGE[1])
    assert user.python("print(widget.mask is not None, second.mask is None)") == "True True"
    assert int(kept) > 0
    user.notebook.command("notebook:undo-cell-action")


@pytest.mark.parametrize("size", [(1, 1), (4000, 6000), (9, 700)])
def test_photographs_of_any_size_are_pointed_at(user, size):
    height, width = size
    make = f"import numpy as np\nodd = np.zeros(({height}, {width}, 3), np.uint8) + 90\nodd[: {height} // 2] = 200"
    other = show_another(user.notebook, f"{make}\nPromptWidget(odd, predictor, alt='an odd picture')")
    assert user.notebook.script(f"return document.querySelector('{other}').dataset.decoder") == "browser"
    point_at_the_middle(user.notebook, other)
    user.browser.find_element("css selector", f"{other} {CANVAS}").click()
    user.notebook.wait(f"document.querySelector('{other} .sam2nb-status').textContent.includes('1 click')")


def test_random_weights_are_labelled(user):
    make = "from sam2nb import build_sam2\nmodel = build_sam2('sam2nb_nano', device='cpu')"
    other = show_another(user.notebook, f"{make}\nPromptWidget(photo('cat'), SAM2ImagePredictor(model))")
    note = user.browser.find_element("css selector", f"{other} .sam2nb-note").text
    assert note.startswith("RANDOM WEIGHTS")
    point_at_the_middle(user.notebook, other)


def test_without_webassembly_python_makes_the_masks_and_one_line_says_so(user):
    user.notebook.script("window.keptWasm = window.WebAssembly; window.WebAssembly = undefined")
    other = show_another(user.notebook, "PromptWidget(photo('coins'), predictor, alt='coins')")
    user.notebook.script("window.WebAssembly = window.keptWasm")
    hint = user.browser.find_element("css selector", f"{other} .sam2nb-hint").text
    assert hint.startswith("This browser has no WebAssembly") and "\n" not in hint
    point_at_the_middle(user.notebook, other)


def test_a_decoder_that_fails_in_the_browser_gives_way_to_python(user):
    user.notebook.browser.execute_async_script(
        f"const done = arguments[0]; {NANO}.model.then((model) => {{ model.decode = () => {{"
        "delete model.decode; return Promise.reject(new Error('out of memory')); }; done(); });"
    )
    user.hover(300, 300)
    user.notebook.wait(f"{HINT}.textContent.includes('out of memory')")
    user.hover(310, 310)
    user.notebook.wait(f"document.querySelector('{ROOT}').querySelectorAll('.sam2nb-masks button').length === 3")
    user.click(*BADGE)
    assert user.python("print(widget.mask[385, 170])") == "True"


def test_after_the_kernel_is_closed_the_mask_still_follows_the_mouse_and_prompts_stay(user):
    """The last test of this file: there is no Python any more."""
    other = show_another(user.notebook, "PromptWidget(photo('astronaut'), predictor, points=[(170, 385)])")
    user.browser.execute_async_script(
        "jupyterapp.shell.currentWidget.sessionContext.shutdown().finally(() => arguments[0]())"
    )
    click_on = user.browser.find_element("css selector", f"{other} {CANVAS}")
    user.notebook.script(f"delete document.querySelector('{other}').dataset.shownMs")
    click_on.click()
    user.notebook.wait(f"document.querySelector('{other}').dataset.shownMs")
    user.notebook.wait(f"document.querySelector('{other} .sam2nb-problem')")
    status = user.browser.find_element("css selector", f"{other} .sam2nb-status").text
    assert "prompts stay" in status and "\n" not in status
