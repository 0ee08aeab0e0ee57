"""The video widget in a real JupyterLab: scrub, prompt, propagate, correct, propagate, export.

Needs chromium and chromedriver (Debian: `apt-get install chromium chromium-driver`) and selenium; skipped without them.
"""

from __future__ import annotations

import time

import pytest

from tests.browser.laboratory import axe_faults, opened, show_at
from tests.browser.person import CANVAS, Person

pytestmark = [pytest.mark.slow, pytest.mark.browser]

COUNT = 300
WIDTH, HEIGHT = 640, 360
WIDGET = f"""
import cv2, numpy as np, torch
torch.set_num_threads(1)
from sam2nb import SAM2VideoPredictor, load_model
from sam2nb.notebook import photo
from sam2nb.media.video_writer import VideoWriter
from sam2nb.widgets import VideoPromptWidget
large = cv2.resize(photo("astronaut"), (1000, 1000))
with VideoWriter("clip.mp4", fps=25) as clip:
    for i in range({COUNT}):  # the view moves to the right and back
        x = round(180 - 180 * np.cos(2 * np.pi * i / {COUNT}))
        clip.add(np.ascontiguousarray(large[60:{60 + HEIGHT}, x : x + {WIDTH}]))
predictor = SAM2VideoPredictor(load_model("sam2nb_nano", device="cpu", image_size=128), progress=False)
widget = VideoPromptWidget(predictor, "clip.mp4", alt="an astronaut, filmed by a moving camera")
widget
"""
FACE = (430, 190)  # on frame 0
FIVE = """
for number, (x, y) in enumerate([(430, 190), (300, 300), (520, 300), (150, 120), (600, 60)]):
    widget.prompt(0, f"thing {number + 1}", [[x, y]])
"""
QUICK = """
def first_masks(session, frame, reverse=False):
    for track in session.objects.values():
        track.facts[frame], track.directions[frame] = track.facts[0], reverse
        if frame > 0:
            track.bank.tracked[frame] = track.bank.prompted[0]
predictor.tracker.track = first_masks
widget.propagate("forward")
del predictor.tracker.track
"""
ROOT = ".sam2nb-video"
STATUS = f"document.querySelector('{ROOT} .sam2nb-status').textContent"
SIZES = {"wide": (1280, 900), "narrow": (600, 900)}  # narrow as the cells of Colab beside an open panel


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    path = tmp_path_factory.mktemp("lab") / "video.ipynb"
    with opened(path, WIDGET, f"document.querySelector('{ROOT}')?.dataset.revision", SIZES["wide"]) as notebook:
        yield notebook


@pytest.fixture
def user(notebook):
    person = Annotator(notebook)
    person.start_again()
    return person


class Annotator(Person):
    """A person in front of the video widget."""

    def __init__(self, notebook) -> None:
        super().__init__(notebook, (WIDTH, HEIGHT), ROOT)

    def start_again(self) -> None:
        """No prompts, on the first frame."""
        self.python(
            "widget.stop()\nwidget.locked = []\nwidget.objects = [{'id': 1, 'name': 'object 1', 'color': 0,"
            " 'visible': True, 'frames': {}}]\nwidget.selected = 1"
        )
        self.show()
        self.press("\ue00c", "0")  # Escape, and the whole image
        self.go_to(0)

    def show(self) -> None:
        self.notebook.script(f"document.querySelector('{ROOT}').scrollIntoView()")

    def settle(self) -> None:
        """Tracking may go on: nothing to wait for."""

    def go_to(self, frame: int) -> None:
        """Move the slider, and wait until the frame is there."""
        self.slide(frame)
        self.notebook.wait(f"document.querySelector('{ROOT}').dataset.frame === '{frame}'")

    def slide(self, frame: int) -> None:
        """Move the slider as a person does."""
        self.notebook.script(
            f"const input = document.querySelector('{ROOT} .sam2nb-scrub'); input.value = arguments[0];"
            "input.dispatchEvent(new Event('input', {bubbles: true}))",
            frame,
        )

    def scrubbed(self, frames: range) -> float:
        """Move the slider over frames, each of which is shown before the next. -> frames per second"""
        scrub = (
            "const [root, frames, done] = [document.querySelector(arguments[0]), arguments[1], arguments[2]];"
            "const input = root.querySelector('.sam2nb-scrub'); (async () => { const began = performance.now();"
            "for (const frame of frames) { input.value = frame; input.dispatchEvent(new Event('input'));"
            "while (root.dataset.frame !== String(frame)) await new Promise(requestAnimationFrame); }"
            "done(performance.now() - began); })();"
        )
        spent = 0.0
        for start in range(0, len(frames), 50):  # each call within the patience of the driver
            spent += self.browser.execute_async_script(scrub, ROOT, list(frames[start : start + 50]))
        return len(frames) / spent * 1000

    def press_button(self, action: str) -> None:
        self.button(action).click()

    @property
    def status(self) -> str:
        return self.notebook.script(f"return {STATUS}")


def test_a_click_is_answered_and_painted(user):
    bare = user.pixel(*FACE)
    times = []
    for step in range(7):
        user.click(FACE[0] + 4 * step, FACE[1] + 3 * step)
        times.append(float(user.data("answeredMs")))
    painted = user.pixel(FACE[0] + 6, FACE[1] + 12)
    assert painted[2] - painted[0] > bare[2] - bare[0] + 30, "the mask is blue"
    print(
        f"click to painted mask, nano at 128: median {sorted(times)[len(times) // 2]:.0f} ms, first {times[0]:.0f} ms"
    )
    assert user.python("print(len(widget.prompts), len(widget.prompts[0].points))") == "1 7"


def test_prompt_propagate_correct_propagate_export_and_run_the_code(user):
    user.click(*FACE)
    user.answered(lambda: user.press("n", " "))  # a second object, at the cursor in the middle
    user.press_button("forward")
    user.notebook.wait(f"Number(document.querySelector('{ROOT}').dataset.frame) > 8")  # the view follows
    user.press_button("stop")
    user.notebook.wait(f"{STATUS}.startsWith('Paused at frame')")
    assert user.data("running") == "false"
    tracked = int(user.python("print(len(widget.masks))"))
    assert 8 < tracked < COUNT
    user.go_to(5)
    user.answered(user.moved(250, 200).key_down("\ue008").click().key_up("\ue008").perform)  # shift removes
    assert user.python("print(widget.prompts[-1].labels.tolist(), widget.prompts[-1].frame)") == "[0] 5"
    user.python("before = widget.masks[3]['object 1']")
    user.go_to(3)
    user.answered(lambda: user.press("k"))
    user.notebook.wait(f"document.querySelector('{ROOT} [data-action=lock]').ariaPressed === 'true'")
    user.moved(100, 100).click().perform()
    user.notebook.wait(f"{STATUS}.includes('locked')")
    user.press("t")
    user.notebook.wait(f"Number(document.querySelector('{ROOT}').dataset.frame) > 12")
    user.picture("video_tracking")
    user.press("s")
    user.notebook.wait(f"document.querySelector('{ROOT}').dataset.running === 'false'")
    assert user.python("print((widget.masks[3]['object 1'] == before).all(), widget.locked)") == "True [3]"
    user.press_button("coco")
    user.notebook.wait(f"{STATUS}.includes('tracks_coco.json is ready')")
    same = (
        "made, video = widget.masks, 'clip.mp4'\nexec(widget.code())\n"
        "print(all((masks[f][n] == made[f][n]).all() for f in made for n in made[f]), len(masks) == len(made) > 12)"
    )
    assert user.python(same) == "True True"


def test_a_box_undo_and_redo(user):
    start = user.moved(380, 100).click_and_hold()
    user.answered(user.moved(500, 260, user.moved(430, 200, start)).release().perform)
    box = eval(user.python("print(widget.prompts[0].box.round().tolist())"))
    assert all(abs(a - b) <= 2 for a, b in zip(box, [380, 100, 500, 260], strict=True))
    user.go_to(40)
    user.answered(lambda: user.press("u"))
    assert user.python("print(len(widget.prompts), len(widget.masks))") == "0 0"
    user.notebook.wait(f"document.querySelector('{ROOT}').dataset.frame === '0'")  # undo shows what it undid
    user.answered(lambda: user.press("y"))
    assert user.python("print(len(widget.prompts), len(widget.masks))") == "1 1"


def test_three_hundred_frames_with_five_objects_are_scrubbed_fluently(user):
    user.python(FIVE)
    user.python(QUICK)  # how fast frames are shown does not depend on the model
    user.go_to(COUNT - 1)
    ahead = user.scrubbed(range(COUNT))
    back = user.scrubbed(range(COUNT - 1, -1, -1))
    print(f"scrubbed: {ahead:.0f} frames/s ahead, {back:.0f} back, each of {COUNT} frames with 5 objects shown")
    assert min(ahead, back) > 1, "a busy machine; the printed figure tells how fast it is"
    user.go_to(120)
    user.picture("video_five_objects")
    lanes = user.notebook.script(
        f"return Array.from(document.querySelectorAll('{ROOT} .sam2nb-lanes canvas'), (c) => c.ariaLabel)"
    )
    assert len(lanes) == 5 and f"of {COUNT} tracked frames; prompted frames: 0" in lanes[0]
    lane = user.browser.find_element("css selector", f"{ROOT} .sam2nb-lanes canvas")
    user.pointer().move_to_element_with_offset(lane, round(lane.size["width"] / 4), 0).click().perform()
    user.notebook.wait(f"Math.abs(document.querySelector('{ROOT}').dataset.frame - {COUNT * 3 // 4}) < 3")
    user.press("p")
    user.notebook.wait(f"Number(document.querySelector('{ROOT}').dataset.frame) > {COUNT * 3 // 4 + 10}")
    user.press("p")


def test_the_keyboard_alone_is_enough_and_the_notebook_does_not_hear_it(user):
    cells = "return document.querySelectorAll('.jp-Notebook .jp-Cell').length"
    count = user.notebook.script(cells)
    user.notebook.script(f"document.querySelector('{CANVAS}').focus()")
    user.press(".", ".", ">", ",")
    user.notebook.wait(f"document.querySelector('{ROOT}').dataset.frame === '11'")
    user.answered(lambda: user.press("\ue014", " "))  # arrow right, and include at the cursor
    user.press("\ue011")  # Home
    user.notebook.wait(f"document.querySelector('{ROOT}').dataset.frame === '0'")
    user.press("]")
    user.notebook.wait(f"document.querySelector('{ROOT}').dataset.frame === '11'")
    user.press("d")
    user.notebook.wait(f"{STATUS}.includes('frames were tracked')")
    assert user.python("print(list(widget.masks) == list(range(12)))") == "True"
    assert user.notebook.script(cells) == count + 1


def test_an_exception_of_the_model_is_one_line_and_prompts_stay(user):
    user.click(*FACE)
    user.python("predictor.tracker.track = None")
    user.press("f")
    user.notebook.wait(f"{STATUS}.startsWith('TypeError')")
    assert "\n" not in user.status and "prompts stay" in user.status
    user.python("del predictor.tracker.track")
    assert user.python("print(len(widget.prompts))") == "1"


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("density", [1, 2])
def test_the_widget_fits_in_the_view_and_is_accessible(user, theme, size, density):
    user.notebook.command("apputils:change-theme", theme=theme)
    width, height = SIZES[size]
    zoom = density if size == "wide" else 1  # the browser's zoom, or a dense screen
    show_at(user.browser, width // zoom, height // zoom, density)
    user.browser.execute_script("jupyterapp.shell.collapseLeft()")
    user.python(f"{FIVE}\nwidget.propagate('forward', max_frames=12)\nwidget.locked = [7]")
    user.go_to(9)
    user.notebook.wait("document.querySelector('.jp-Notebook-ExecutionIndicator')?.dataset.status === 'idle'")
    time.sleep(1)  # the layout follows the size at the next frame, masks come after the cell
    user.picture(f"video_{size}_{theme.split()[1].lower()}_{density}00")
    tall = user.notebook.script(f"return document.querySelector('{ROOT}').offsetHeight")
    view = user.notebook.script("return document.querySelector('.jp-WindowedPanel-outer').clientHeight")
    assert tall <= max(view, 340), "the widget is taller than the view"
    assert not (faults := axe_faults(user.browser, ROOT)), faults
    show_at(user.browser, *SIZES["wide"])


def test_after_a_restart_of_the_kernel_one_line_says_so_and_the_prompts_stay(user):
    """The last test of this file: the widget has no Python side any more."""
    user.click(*FACE)
    user.browser.execute_async_script(
        "jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart().finally(() => arguments[0]())"
    )
    user.moved(260, 260).click().perform()
    user.notebook.wait(f"document.querySelector('{ROOT} .sam2nb-problem')")
    assert "prompts stay" in user.status and "\n" not in user.status
    user.slide(200)  # nothing hangs
    user.press_button("code")
    script = user.browser.find_element("css selector", f"{ROOT} textarea").get_property("value")
    assert "add_new_points_or_box" in script
