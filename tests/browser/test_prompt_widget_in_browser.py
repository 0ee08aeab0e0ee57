"""The JavaScript of the prompt widget in a headless Chromium, on a page with a stand-in for the Python side.

Needs chromium and chromedriver (Debian: `apt-get install chromium chromium-driver`) and selenium; skipped without them.
"""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from sam2nb.plotting import jpeg_bytes
from sam2nb.widgets.prompt import STATIC, overlay_png

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
WIDTH, HEIGHT = 320, 200

PAGE = """<!doctype html><html><head><meta charset="utf-8"><style>body{margin:0}%CSS%</style></head>
<body><div id="place" style="width:640px"></div><script type="module">
const bytes = (text) => {
  const raw = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  return new DataView(raw.buffer);
};
const start = %STATE%;
const state = { ...start, picture: bytes(start.picture), overlay: bytes(start.overlay) };
const listeners = {};
window.saved = 0;
const model = {
  get: (name) => state[name],
  set: (name, value) => {
    if (!(value instanceof DataView) && JSON.stringify(state[name]) === JSON.stringify(value)) return;
    state[name] = value;
    for (const call of listeners["change:" + name] ?? []) call();
  },
  save_changes: () => { window.saved += 1; },
  on: (name, call) => { (listeners[name] ??= []).push(call); },
  off: (name, call) => { listeners[name] = (listeners[name] ?? []).filter((other) => other !== call); },
};
window.model = model;
window.state = state;
window.listeners = listeners;
window.answer = (overlay, status) => {
  model.set("overlay", bytes(overlay));
  state.status = status;
  model.set("revision", state.revision + 1);
};
const source = new Blob([%SOURCE%], { type: "text/javascript" });
const widget = (await import(URL.createObjectURL(source))).default;
window.cleanup = widget.render({ model, el: document.getElementById("place") });
window.ready = true;
</script></body></html>"""


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no chromium with chromedriver on this machine (Debian: chromium, chromium-driver)")
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=900,800"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.set_script_timeout(30)
    yield driver
    driver.quit()


@pytest.fixture
def page(browser, tmp_path):
    return open_page(browser, tmp_path)


def open_page(browser, folder: Path, clicks=(), corners=()):
    state = {
        "picture": base64.b64encode(jpeg_bytes(np.full((HEIGHT, WIDTH, 3), 128, np.uint8))).decode(),
        "overlay": "",
        "size": [WIDTH, HEIGHT],
        "clicks": list(clicks),
        "corners": list(corners),
        "status": "Click on an object.",
        "revision": 0,
        "alt": "a grey card",
    }
    page = PAGE.replace("%CSS%", (STATIC / "prompt_widget.css").read_text())
    page = page.replace("%STATE%", json.dumps(state))
    page = page.replace("%SOURCE%", json.dumps((STATIC / "prompt_widget.js").read_text()))
    path = folder / "page.html"
    path.write_text(page, encoding="utf-8")
    browser.get(path.as_uri())
    wait_for(browser, "window.ready === true && document.querySelector('canvas') !== null")
    wait_for(browser, f"{PIXEL}(10, 10)[0] === 128")
    return browser


PIXEL = """((x, y) => { const c = document.querySelector('canvas');
  return Array.from(c.getContext('2d').getImageData(x * c.width / 320, y * c.height / 200, 1, 1).data); })"""


def wait_for(browser, condition: str, seconds: float = 10):
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, seconds, poll_frequency=0.05).until(lambda b: b.execute_script(f"return {condition}"))


def state(browser, name: str):
    return browser.execute_script(f"return window.state[{json.dumps(name)}]")


def canvas(browser):
    return browser.find_element("css selector", ".sam2nb-prompt canvas")


def pointer(browser):
    from selenium.webdriver.common.action_chains import ActionChains

    return ActionChains(browser, duration=20)


def offset(x: float, y: float) -> tuple[int, int]:
    """Image pixels -> screen pixels from the centre of the canvas, which is shown at twice the image's size."""
    return round((x - WIDTH / 2) * 2), round((y - HEIGHT / 2) * 2)


def near(values, expected, tolerance=1.5):
    return len(values) == len(expected) and all(abs(a - b) <= tolerance for a, b in zip(values, expected, strict=True))


def test_the_canvas_fills_its_width_and_keeps_the_aspect_ratio(page):
    size = canvas(page).size
    assert (size["width"], size["height"]) == (640, 400)


def test_a_left_click_adds_an_include_click_at_its_position(page):
    pointer(page).move_to_element_with_offset(canvas(page), *offset(100, 50)).click().perform()
    (click,) = state(page, "clicks")
    assert near(click, [100, 50, 1]) and page.execute_script("return window.saved") == 1


def test_shift_and_right_clicks_exclude(page):
    from selenium.webdriver.common.keys import Keys

    target = canvas(page)
    pointer(page).move_to_element_with_offset(target, *offset(40, 40)).context_click().perform()
    pointer(page).move_to_element_with_offset(target, *offset(200, 150)).key_down(Keys.SHIFT).click().key_up(
        Keys.SHIFT
    ).perform()
    first, second = state(page, "clicks")
    assert near(first, [40, 40, 0]) and near(second, [200, 150, 0])


def test_dragging_in_any_direction_draws_a_box_and_adds_no_click(page):
    target = canvas(page)
    pointer(page).move_to_element_with_offset(target, *offset(250, 160)).click_and_hold().move_to_element_with_offset(
        target, *offset(150, 90)
    ).move_to_element_with_offset(target, *offset(60, 30)).release().perform()
    assert near(state(page, "corners"), [60, 30, 250, 160])
    assert state(page, "clicks") == []


def test_undo_removes_the_newest_prompt_first_and_clear_removes_all(page):
    target = canvas(page)
    pointer(page).move_to_element_with_offset(target, *offset(100, 50)).click().perform()
    pointer(page).move_to_element_with_offset(target, *offset(20, 20)).click_and_hold().move_to_element_with_offset(
        target, *offset(90, 90)
    ).release().perform()
    pointer(page).move_to_element_with_offset(target, *offset(120, 60)).click().perform()
    undo = page.find_element("css selector", "[data-action=undo]")
    undo.click()
    assert len(state(page, "clicks")) == 1 and len(state(page, "corners")) == 4
    undo.click()
    assert len(state(page, "clicks")) == 1 and state(page, "corners") == []
    page.find_element("css selector", "[data-action=clear]").click()
    assert state(page, "clicks") == [] and state(page, "corners") == []


def test_the_exclude_button_changes_the_label_of_a_plain_click(page):
    button = page.find_element("css selector", "[data-kind='0']")
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    pointer(page).move_to_element_with_offset(canvas(page), *offset(100, 50)).click().perform()
    assert near(state(page, "clicks")[0], [100, 50, 0])


def test_everything_works_with_the_keyboard_alone(page):
    from selenium.webdriver.common.keys import Keys

    page.execute_script("document.querySelector('canvas').focus()")
    keys = canvas(page)
    keys.send_keys(Keys.ENTER)
    assert near(state(page, "clicks")[0], [WIDTH / 2, HEIGHT / 2, 1])
    keys.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_DOWN, "x")
    assert near(state(page, "clicks")[1], [WIDTH / 2 + 4, HEIGHT / 2 + 4, 0])
    keys.send_keys("b", Keys.ARROW_LEFT, Keys.ARROW_LEFT, Keys.ARROW_UP, Keys.ARROW_UP, "b")
    assert near(state(page, "corners"), [WIDTH / 2 - 4, HEIGHT / 2 - 4, WIDTH / 2 + 4, HEIGHT / 2 + 4])
    keys.send_keys("u")
    assert state(page, "corners") == [] and len(state(page, "clicks")) == 2
    keys.send_keys("c")
    assert state(page, "clicks") == []


def test_keys_of_the_widget_do_not_reach_the_notebook(page):
    page.execute_script(
        "window.leaked = []; document.addEventListener('keydown', (event) => window.leaked.push(event.key));"
        "document.querySelector('canvas').focus()"
    )
    canvas(page).send_keys("b", "x", "c", "q")
    assert page.execute_script("return window.leaked") == ["q"]


def test_the_mask_from_python_is_painted_and_the_status_is_announced(page):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[100:150, 200:260] = True
    overlay = base64.b64encode(overlay_png(mask)).decode()
    page.execute_script("window.answer(arguments[0], '1 click: 4.7% of the picture')", overlay)
    wait_for(page, f"{PIXEL}(230, 125)[2] > {PIXEL}(230, 125)[0] + 40")
    assert page.execute_script(f"return {PIXEL}(50, 50)")[:3] == [128, 128, 128]
    status = page.find_element("css selector", "[role=status]")
    assert status.text == "1 click: 4.7% of the picture" and status.get_attribute("aria-live") == "polite"
    page.execute_script("window.answer('', 'Click on an object.')")
    wait_for(page, f"{PIXEL}(230, 125)[2] === 128")


def test_scripted_prompts_are_drawn_from_the_start(browser, tmp_path):
    page = open_page(browser, tmp_path, clicks=[[100, 50, 1], [200, 150, 0]], corners=[20, 20, 60, 60])
    red, _, blue, _ = page.execute_script(f"return {PIXEL}(94, 53)")
    assert blue > red + 60, "an include click is blue"
    red, _, blue, _ = page.execute_script(f"return {PIXEL}(206, 150)")
    assert red > blue + 60, "an exclude click is orange"
    red, green, blue, _ = page.execute_script(f"return {PIXEL}(20, 40)")
    assert red > 150 and green > 150 and blue < 130, "a box is yellow"


def test_a_closed_view_stops_listening_and_the_canvas_has_an_accessible_name(page):
    assert canvas(page).get_attribute("aria-label").startswith("a grey card.")
    assert canvas(page).get_attribute("tabindex") == "0"
    page.execute_script("window.cleanup()")
    assert page.execute_script("return Object.values(window.listeners).flat().length") == 0
