"""The `doctor` command: what is good, what is missing, and what to do about it."""

import json
import sys

import pytest
from typer.testing import CliRunner

from sam2nb.cli import app, doctor
from sam2nb.weights import registry


def test_a_machine_that_passes_these_tests_is_good():
    done = CliRunner().invoke(app, ["doctor", "--json", "-"])
    assert done.exit_code == 0, (done.output, done.exception)
    checks = {check["name"]: check for check in json.loads(done.stdout)["results"]}
    assert {"python", "memory", "disk", "torch", "sam2nb_nano", "browser", "trial"} <= checks.keys()
    assert checks["sam2nb_nano"]["is_good"] and "of it in" in checks["trial"]["found"]


def test_the_lines_say_what_to_do(monkeypatch):
    checks = [doctor.Check("this", True, "there", "unused"), doctor.Check("that", None, "not there", "get it")]
    monkeypatch.setattr(doctor, "examine", lambda: iter(checks))
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 0 and "-> get it" in done.output and "unused" not in done.output
    checks.append(doctor.Check("more", False, "broken", "mend it"))
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 2 and "BAD   more" in done.output and "see the arrows" in done.output


def test_old_and_missing_packages_are_named(monkeypatch):
    versions = {"torch": "1.0", "numpy": "2.0"}

    def version(name):
        if name not in versions:
            raise doctor.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(
        doctor.metadata, "requires", lambda _: ["torch>=2.4", "numpy>=1.24", "av>=12", "x; extra == 'a'"]
    )
    monkeypatch.setattr(doctor.metadata, "version", version)
    monkeypatch.setattr(doctor, "OPTIONAL", {"no_such_module": ("nothing", "a test")})
    found = {check.name: check for check in doctor._packages() if check.is_good is not True}
    assert found["torch"].found == "1.0 is too old" and 'install --upgrade "torch>=2.4"' in found["torch"].remedy
    assert found["av"].found == "missing" and 'pip install "av>=12"' in found["av"].remedy
    assert found["nothing"].is_good is None and "numpy" not in found and "x" not in found


def test_damaged_weights_are_found(tmp_path, monkeypatch):
    (tmp_path / "sam2.1_hiera_tiny.pt").write_bytes(b"no weights")
    monkeypatch.setenv(registry.FOLDER_VARIABLE, str(tmp_path))
    (check,) = [check for check in doctor._weights() if check.name == "sam2.1_hiera_tiny"]
    assert check.is_good is False and "python -m sam2nb download sam2.1_hiera_tiny" in check.remedy


def test_weights_that_wait_for_others_are_not_called_damaged(monkeypatch, tmp_path):
    own = registry.file_on_disk("sam2nb_tiny")
    known = {"sam2nb_tiny": own, "sam2nb_nano": registry.file_on_disk("sam2nb_nano")}
    monkeypatch.setattr(registry, "file_on_disk", lambda name, **_: known.get(name))
    checks = {check.name: check for check in doctor._weights()}
    assert checks["sam2nb_tiny"].is_good is None and "download sam2_hiera_tiny" in checks["sam2nb_tiny"].remedy
    assert checks["sam2nb_nano"].is_good


def test_a_check_that_breaks_down_is_itself_a_finding(monkeypatch):
    def _broken():
        raise RuntimeError("out of order")
        yield

    monkeypatch.setattr(doctor, "_machine", _broken)
    first = next(doctor.examine())
    assert first.is_good is False and first.found == "RuntimeError: out of order" and first.name == "broken"


def test_a_machine_without_a_browser_opens_the_notebooks_elsewhere(monkeypatch):
    def none():
        raise doctor.webbrowser.Error("no browser")

    monkeypatch.setattr(doctor.webbrowser, "get", none)
    browser = next(doctor._browser())
    assert browser.is_good is None and "address that JupyterLab prints" in browser.remedy


@pytest.mark.skipif(sys.platform != "linux", reason="paths of Linux")
def test_the_folder_that_will_hold_a_file_is_one_that_exists(tmp_path):
    assert doctor._nearest_folder(tmp_path / "a" / "b") == tmp_path
