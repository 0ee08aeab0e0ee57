"""A prompt widget in the page of a notebook, opened from a disk: live without a server and without Python."""

from __future__ import annotations

import numpy as np
import pytest

from tests.browser.laboratory import BUILD, axe_faults, chromium, show_at

pytestmark = [pytest.mark.slow, pytest.mark.browser]

PLACE = "document.querySelector('.sam2nb-live')"
CANVAS = ".sam2nb-live canvas"
SIZES = {"wide": (1280, 900), "narrow": (480, 900)}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of a notebook that shows one widget, with its script beside it."""
    import nbformat

    from sam2nb.notebook import photo
    from sam2nb.weights.npm import PackageError
    from sam2nb.widgets.live_page import MIME, SCRIPT, VARIABLE, LivePages
    from sam2nb.widgets.ort_web import ort_web
    from sam2nb.widgets.prompt import PromptWidget
    from tests.test_tools import load_tool

    try:
        live = LivePages(ort_web())
    except PackageError as error:
        pytest.skip(f"onnxruntime-web cannot be had: {error}")
    folder = tmp_path_factory.mktemp("pages")
    image = photo("astronaut")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, "1")
        mask = np.zeros(image.shape[:2], bool)
        widget = PromptWidget(image, lambda points, labels, box: mask, points=[(170, 385)], alt="an astronaut")
        data = widget._repr_mimebundle_()[0]
    output = nbformat.v4.new_output("display_data", {kind: data[kind] for kind in ("image/jpeg", "text/plain", MIME)})
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("widget", outputs=[output])])
    path = load_tool("run_notebooks").write_html(notebook, folder / "page.html", folder, live)
    live.write_script(folder / SCRIPT)
    return path


def wait_for(browser, condition: str, seconds: float = 180) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, seconds, poll_frequency=0.05).until(lambda b: b.execute_script(f"return {condition}"))


def started(browser, page) -> None:
    browser.get(page.as_uri())
    note = browser.find_element("css selector", ".sam2nb-live p").text
    assert "without Python" in note
    browser.find_element("css selector", ".sam2nb-live button").click()
    wait_for(browser, f"{PLACE}.dataset.live")


def test_the_picture_becomes_live_hovers_and_answers_clicks(page):
    from selenium.webdriver.common.action_chains import ActionChains

    with chromium() as browser:
        started(browser, page)
        history = browser.execute_script(f"return {PLACE}.pointing.history")
        assert history == [{"point": [170, 385, 1]}], "it starts with the prompts of the notebook"
        assert browser.execute_script(f"return {PLACE}.pointing.answer.masks.length") == 3
        share = browser.execute_script(f"const p = {PLACE}.pointing; return p.found.masks[p.choice].area")
        assert share > 0
        browser.find_element("xpath", "//button[text()='clear']").click()
        canvas = browser.find_element("css selector", CANVAS)
        ActionChains(browser, duration=10).move_to_element_with_offset(canvas, 20, 60).perform()
        wait_for(browser, f"{PLACE}.pointing.times.hovers.length")
        canvas.click()
        wait_for(browser, f"Boolean({PLACE}.pointing.answer)")
        assert "predicted IoU" in browser.find_element("css selector", ".sam2nb-live .sam2nb-status").text


def test_a_page_without_its_script_keeps_the_still_picture_and_says_why(page, tmp_path):
    alone = tmp_path / "alone.html"
    alone.write_text(page.read_text(encoding="utf-8"), encoding="utf-8")
    with chromium() as browser:
        browser.get(alone.as_uri())
        browser.find_element("css selector", ".sam2nb-live button").click()
        wait_for(browser, "document.querySelector('.sam2nb-live p').textContent.startsWith('A still picture')")
        assert browser.find_element("css selector", ".sam2nb-live img").is_displayed()


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_the_live_picture_fits_and_is_accessible(page, size, dark):
    with chromium(*SIZES[size]) as browser:
        show_at(browser, *SIZES[size], dark=dark)
        started(browser, page)
        browser.execute_script(f"{PLACE}.scrollIntoView()")
        BUILD.mkdir(parents=True, exist_ok=True)
        browser.save_screenshot(str(BUILD / f"live_{size}_{'dark' if dark else 'light'}.png"))
        wide = browser.execute_script(f"return document.querySelector('{CANVAS}').getBoundingClientRect().right")
        assert wide <= SIZES[size][0]
        assert not (faults := axe_faults(browser, ".sam2nb-live")), faults
