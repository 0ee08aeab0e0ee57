"""The mask explorer in a real JupyterLab, with thousands of masks: point, slide, select; it filters as Python does."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.browser.laboratory import BUILD, axe_faults, opened

pytestmark = [pytest.mark.slow, pytest.mark.browser]

MASKS = 4000
WIDGET = f"""
import numpy as np
from sam2nb.masks.rle import rle_from_mask
from sam2nb.notebook import photo
from sam2nb.predict.everything.records import record_of_mask
from sam2nb.widgets.explorer import MaskExplorer
image = photo("coins")
height, width = image.shape[:2]
random = np.random.default_rng(0)
rows, columns = np.ogrid[:height, :width]
def disc():
    x, y, radius = random.integers(0, width), random.integers(0, height), random.integers(3, 40)
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2
records = [
    record_of_mask(rle_from_mask(disc()), predicted_iou=random.random(), stability_score=random.random())
    for _ in range({MASKS})
]
coin = np.zeros((height, width), bool)
coin[170:210, 330:370] = True
records.append(record_of_mask(rle_from_mask(coin), predicted_iou=0.99, stability_score=0.98))
explorer = MaskExplorer(image, records, alt="coins")
explorer
"""
PRINT = "print(list(explorer.thresholds.values()))\nprint(len(explorer.kept))"
ROOT = ".sam2nb-explorer"


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    path = tmp_path_factory.mktemp("lab") / "explorer.ipynb"
    with opened(path, WIDGET, f"document.querySelector('{ROOT}')?.dataset.kept") as notebook:
        yield notebook


def kept(notebook) -> int:
    return int(notebook.script(f"return document.querySelector('{ROOT}').dataset.kept"))


def slide(notebook, index: int, value: float) -> None:
    """Move a slider as a person does: many events on the way."""
    notebook.script(
        f"const input = document.querySelectorAll('{ROOT} input[type=range]')[arguments[0]];"
        "for (const share of [0.3, 0.6, 1]) { input.value = arguments[1] * share;"
        "input.dispatchEvent(new Event('input', {bubbles: true})); }",
        index,
        value,
    )


@pytest.mark.parametrize(
    "thresholds", [(0.8, 0.95, 0.7, 0), (0.5, 0.5, 0.3, 10), (0, 0, 1, 0), (0.2, 0.1, 0.5, 30), (0, 0.9, 0.05, 0)]
)
def test_sliders_filter_thousands_of_masks_as_python_does(notebook, thresholds):
    for index, value in enumerate(thresholds):
        slide(notebook, index, value)
    wanted = [*thresholds[:3], thresholds[3] ** 2]  # the slider of the area is that of a side
    for _ in range(10):  # changes travel while Python is idle: the newest may come after the cell
        found, expected = notebook.run_new_cell(PRINT).splitlines()
        if np.allclose(json.loads(found), wanted):
            break
    assert np.allclose(json.loads(found), wanted)
    notebook.wait(f"document.querySelector('{ROOT}').dataset.kept === '{expected}'", 20)
    spent = notebook.script(f"return document.querySelector('{ROOT}').dataset.filteredMs")
    print(f"{expected} of {MASKS + 1} masks, filtered and painted in {spent} ms")


def test_pointing_names_a_mask_and_a_click_selects_it(notebook):
    from selenium.webdriver.common.action_chains import ActionChains

    for index, value in enumerate((0.97, 0.9, 0.7, 0)):
        slide(notebook, index, value)
    notebook.run_new_cell("explorer.chosen = []")
    canvas = notebook.browser.find_element("css selector", f"{ROOT} canvas")
    notebook.script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    scale = canvas.size["width"] / 384
    offset = round((350 - 192) * scale), round((190 - 303 / 2) * scale)
    ActionChains(notebook.browser, duration=20).move_to_element_with_offset(canvas, *offset).perform()
    status = f"document.querySelector('{ROOT} .sam2nb-status').textContent"
    notebook.wait(f"{status}.includes('mask {MASKS}: 1,600 px (1.4%), predicted IoU 0.99, stability 0.98')", 20)
    ActionChains(notebook.browser, duration=20).move_to_element_with_offset(canvas, *offset).click().perform()
    notebook.wait(f"{status}.includes('selected')", 20)
    assert notebook.run_new_cell("print(explorer.chosen, explorer.selected[0]['area'])") == f"[{MASKS}] 1600"
    notebook.script(f"document.querySelector('{ROOT} [data-action=coco]').click()")
    notebook.wait(f"{status}.includes('masks_coco.json is ready')", 20)


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_the_explorer_is_accessible(notebook, theme):
    notebook.command("apputils:change-theme", theme=theme)
    notebook.script(f"document.querySelector('{ROOT}').scrollIntoView()")
    BUILD.mkdir(parents=True, exist_ok=True)
    notebook.browser.save_screenshot(str(BUILD / f"explorer_{theme.split()[1].lower()}.png"))
    assert not (faults := axe_faults(notebook.browser, ROOT)), faults
