"""A person in front of a widget: mouse, keyboard, and what can be seen."""

from __future__ import annotations

from tests.browser.laboratory import BUILD

ROOT = ".sam2nb-prompt"
CANVAS = ".sam2nb-stage > canvas"


class Person:
    """Mouse and keyboard on a widget; places are pixels of the image, whose width and height are `size`.

    root: a selector of the widget, by default the first PromptWidget.
    """

    def __init__(self, notebook, size: tuple[int, int] = (512, 512), root: str = ROOT) -> None:
        self.notebook, self.browser, self.size, self.root = notebook, notebook.browser, size, root

    def start_again(self) -> None:
        self.notebook.run_new_cell("widget.objects = []")
        self.show()
        self.press("\ue00c", "0")  # Escape, and the whole image
        self.settle()

    def show(self) -> None:
        self.notebook.script(f"document.querySelector('{self.root} {CANVAS}').scrollIntoView({{block: 'center'}})")

    @property
    def canvas(self):
        return self.browser.find_element("css selector", f"{self.root} {CANVAS}")

    def pointer(self):
        from selenium.webdriver.common.action_chains import ActionChains

        return ActionChains(self.browser, duration=20)

    def moved(self, x: float, y: float, chain=None):
        if chain is None:
            self.show()
        width, height = self.size
        scale = self.canvas.size["width"] / width
        offset = round((x - width / 2) * scale), round((y - height / 2) * scale)
        return (chain or self.pointer()).move_to_element_with_offset(self.canvas, *offset)

    def hover(self, x: float, y: float) -> None:
        self.moved(x, y).perform()

    def click(self, x: float, y: float) -> None:
        self.answered(self.moved(x, y).click().perform)

    def press(self, *keys: str) -> None:
        self.canvas.send_keys(*keys)

    def answered(self, act) -> None:
        """Do something and wait until Python has answered it."""
        before = self.data("revision")
        act()
        self.notebook.wait(f"document.querySelector('{self.root}').dataset.revision !== '{before}'")
        self.settle()

    def settle(self) -> None:
        self.notebook.wait(f"!document.querySelector('{self.root} .sam2nb-status').textContent.includes('\\u2026')")

    def data(self, name: str) -> str | None:
        return self.notebook.script(f"return document.querySelector('{self.root}').dataset.{name}")

    def pixel(self, x: float, y: float) -> list[int]:
        """The colour on the canvas at a pixel of the image, when the whole of it is shown."""
        return self.notebook.script(
            f"const c = document.querySelector('{self.root} {CANVAS}'); const k = c.width / {self.size[0]};"
            "return Array.from(c.getContext('2d').getImageData(arguments[0] * k, arguments[1] * k, 1, 1).data)",
            x,
            y,
        )

    def button(self, action: str):
        return self.browser.find_element("css selector", f"{self.root} [data-action={action}]")

    def python(self, source: str) -> str:
        return self.notebook.run_new_cell(source)

    def picture(self, name: str) -> None:
        self.notebook.script(f"document.querySelector('{self.root}').scrollIntoView()")
        BUILD.mkdir(parents=True, exist_ok=True)
        self.browser.save_screenshot(str(BUILD / f"{name}.png"))
