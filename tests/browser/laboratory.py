"""A real JupyterLab with a real kernel, seen by a headless Chromium."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "screenshots"
AXE_FOLDER = ROOT / "build" / "axe"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
PATIENCE = 180
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars")


@contextmanager
def chromium(width: int = 1280, height: int = 900, *more_flags: str) -> Iterator:
    """A headless Chromium with a viewport of this size; skips the test where there is none."""
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no chromium with chromedriver on this machine (Debian: chromium, chromium-driver)")
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, *more_flags):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.set_script_timeout(PATIENCE)
    show_at(driver, width, height)
    try:
        yield driver
    finally:
        driver.quit()


def show_at(browser, width: int, height: int, density: float = 1.0, dark: bool = False) -> None:
    """Set the size of the view in CSS pixels, the device pixels for each, and the theme of the system."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": density, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


@contextmanager
def jupyterlab(folder: Path) -> Iterator[str]:
    """A JupyterLab whose notebooks are in a folder, with settings of its own: -> its address"""
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {name: str(folder / ".jupyter" / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR")}
    settings = {**own, "JUPYTERLAB_SETTINGS_DIR": str(folder / ".jupyter" / "lab"), "PYTHONPATH": str(ROOT)}
    settings["JUPYTERLAB_WORKSPACES_DIR"] = str(folder / ".jupyter" / "workspaces")
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}", "--ip=127.0.0.1"]
    command += ["--IdentityProvider.token=", "--ServerApp.disable_check_xsrf=True", f"--ServerApp.root_dir={folder}"]
    command += ["--LabApp.expose_app_in_browser=True", "--LabApp.news_url=None", "--ServerApp.port_retries=0"]
    news = folder / ".jupyter" / "lab" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    news.parent.mkdir(parents=True)
    news.write_text('{"fetchNews": "false", "checkForUpdates": false}')
    with (folder / "jupyterlab.log").open("w") as log:
        server = subprocess.Popen(
            command, cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1", **settings}, stdout=log, stderr=log
        )
    try:
        _wait_for_server(server, f"http://127.0.0.1:{port}/api", folder / "jupyterlab.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()


def _wait_for_server(server: subprocess.Popen, address: str, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.3)
    pytest.fail(f"JupyterLab did not start: {log.read_text()[-2000:]}")


def write_notebook(path: Path, *sources: str) -> None:
    """Write a notebook with these code cells."""
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)


class Notebook:
    """A notebook that is open in JupyterLab."""

    def __init__(self, browser, address: str, name: str) -> None:
        self.browser = browser
        browser.get(f"{address}/lab/tree/{name}?reset")
        self.wait("window.jupyterapp && document.querySelectorAll('.jp-Notebook .jp-Cell').length > 0")
        self.wait(
            "!document.querySelector('.jp-LabShell.jp-mod-loading') && !document.querySelector('#jupyterlab-splash')"
        )
        self.wait("jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'")
        browser.execute_script("jupyterapp.shell.collapseLeft()")

    def script(self, text: str, *arguments):
        """Run JavaScript in the page."""
        return self.browser.execute_script(text, *arguments)

    def wait(self, condition: str, seconds: float = PATIENCE) -> None:
        """Wait until a JavaScript expression is true; the failure shows it and the end of the page's text."""
        deadline = time.monotonic() + seconds
        while not self.script(f"return Boolean({condition})"):
            if time.monotonic() > deadline:
                text = self.script("return document.body.innerText")
                pytest.fail(f"{condition} did not become true in {seconds} s; the page ends with {text[-1500:]!r}")
            time.sleep(0.03)

    def command(self, name: str, **arguments) -> None:
        """Execute a command of JupyterLab and wait for its end."""
        call = "jupyterapp.commands.execute(arguments[0], arguments[1]).finally(() => arguments[2]())"
        self.browser.execute_async_script(call, name, arguments)

    def run_all(self) -> None:
        """Execute all cells."""
        self.script("jupyterapp.commands.execute('notebook:run-all-cells')")

    def run_new_cell(self, source: str) -> str:
        """Add a cell at the end, execute it, and return what it printed."""
        marker = f"done {time.monotonic_ns()}"
        text = f"{source}\nprint({marker!r})"
        self.browser.execute_async_script(
            "const done = arguments[arguments.length - 1]; const panel = jupyterapp.shell.currentWidget;"
            "const notebook = panel.content; notebook.activeCellIndex = notebook.widgets.length - 1;"
            "jupyterapp.commands.execute('notebook:insert-cell-below').then(() => {"
            "notebook.activeCell.model.sharedModel.setSource(arguments[0]);"
            "jupyterapp.commands.execute('notebook:run-cell').finally(() => done()); });",
            text,
        )
        output = "jupyterapp.shell.currentWidget.content.activeCell.outputArea.node.innerText"
        self.wait(f"{output}.includes({marker!r}) || {output}.includes('Error')")
        printed = self.script(f"return {output}")
        assert marker in printed, printed
        return printed.split(marker)[0].strip()


@contextmanager
def opened(path: Path, source: str, ready: str, size: tuple[int, int] = (1280, 900)) -> Iterator[Notebook]:
    """A new notebook of one cell, run in JupyterLab. ready: true in JavaScript once it is done."""
    write_notebook(path, source)
    with chromium(*size) as browser, jupyterlab(path.parent) as address:
        notebook = Notebook(browser, address, path.name)
        notebook.run_all()
        notebook.wait(ready)
        yield notebook


@contextmanager
def frozen_kernel(notebook: Notebook) -> Iterator[None]:
    """Stop the kernel's process for the length of a block. A cell that merely runs would not be enough: newer kernels
    answer widgets beside it."""
    process = int(notebook.run_new_cell("import os\nprint(os.getpid())"))
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def axe_faults(browser, selector: str) -> list[str]:
    """The serious faults that axe-core finds in a part of the page, one line each.

    The script is fetched once, by npm, into build/; the check is skipped where it cannot be had.
    """
    browser.execute_script(_axe_script())
    return browser.execute_async_script(
        "const done = arguments[1]; axe.run(arguments[0]).then((found) => done(found.violations"
        ".filter((v) => ['serious', 'critical'].includes(v.impact))"
        ".map((v) => `${v.id}: ${v.help}: ${v.nodes[0].html.slice(0, 200)} ${v.nodes[0].failureSummary}`)))",
        selector,
    )


def _axe_script() -> str:
    script = AXE_FOLDER / "package" / "axe.min.js"
    if not script.is_file():
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("npm is not installed, which fetches axe-core")
        AXE_FOLDER.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [npm, "pack", "axe-core@4"], cwd=AXE_FOLDER, capture_output=True, text=True, timeout=PATIENCE
        )
        if done.returncode:
            pytest.skip(f"axe-core cannot be fetched: {done.stderr[-300:]}")
        with tarfile.open(AXE_FOLDER / done.stdout.strip().splitlines()[-1]) as archive:
            script.parent.mkdir(exist_ok=True)
            script.write_bytes(archive.extractfile("package/axe.min.js").read())
    return script.read_text(encoding="utf-8")
