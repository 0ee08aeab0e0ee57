"""Write all that a course needs to build/bundle/, to be copied to a stick: it installs without a network.

    python tools/bundle.py                                     # for this kind of computer
    python tools/bundle.py --platform win_amd64 --python 3.12  # more wheels, for others; several --platform are fine
    python tools/bundle.py --cpu                               # the small PyTorch, from its own server
    python tools/bundle.py --checkpoint sam2.1_hiera_tiny      # weights, if they can be downloaded; several are fine

On the stick: wheels/, weights/, notebooks/ and data/, pages/ (what `make run` wrote, if it did) and install.py, which
each learner starts with `python install.py`.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXTRA = "lab"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
COPIED = ("notebooks", "data", "GLOSSARY.md", "INSTRUCTOR.md", "README.md", "LICENSE")
NOT_COPIED = ("raw", "train", ".ipynb_checkpoints", "__pycache__")
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
INSTALL = Path(__file__).resolve().parent / "bundle_install.py"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bundle", help="default build/bundle/")
    parser.add_argument("--platform", action="append", default=[], help="such as win_amd64 or macosx_11_0_arm64")
    parser.add_argument("--python", default="{}.{}".format(*sys.version_info), help="of these platforms, such as 3.12")
    parser.add_argument("--cpu", action="store_true", help="PyTorch without GPU support, a tenth of the size")
    parser.add_argument("--checkpoint", action="append", default=[], help="a name of `python -m sam2nb info`")
    options = parser.parse_args()
    out = options.out.resolve()
    (out / "wheels").mkdir(parents=True, exist_ok=True)
    add_wheels(out / "wheels", options.platform, options.python, options.cpu)
    add_weights(out / "weights", options.checkpoint)
    add_files(out)
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    print(f"{out}: {size / 1e9:.1f} GB. On each computer: python install.py")
    return 0


def add_wheels(folder: Path, platforms: list[str], python: str, cpu: bool) -> None:
    """The wheel of this project and all that it needs: for this platform, and for others."""
    for old in folder.glob("sam2nb-*.whl"):
        old.unlink()
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    [wheel] = folder.glob("sam2nb-*.whl")
    wanted = f"{wheel}[{EXTRA}]"
    print("collecting wheels; this takes some minutes", flush=True)
    more = ["--extra-index-url", CPU_INDEX] if cpu else []
    subprocess.run([*PIP, "wheel", *more, "--wheel-dir", str(folder), wanted], check=True)
    for platform in platforms:
        command = [*PIP, "download", "--dest", str(folder), "--only-binary", ":all:", "--platform", platform]
        subprocess.run([*command, *more, "--python-version", python, wanted], check=True)


def add_weights(folder: Path, names: list[str]) -> None:
    """The checkpoints of these names; one that cannot be had is told. sam2nb_nano is in the wheel."""
    from sam2nb.weights.download import download

    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        try:
            file = download(name)
        except OSError as error:
            print(f"{name} is left out: {str(error).splitlines()[0]}")
            continue
        shutil.copy2(file, folder / file.name)


def add_files(out: Path) -> None:
    """Notebooks, data, texts, pages and the installing script."""
    ignore = shutil.ignore_patterns(*NOT_COPIED)
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, out / name, ignore=ignore, dirs_exist_ok=True)
        elif source.is_file():
            shutil.copy2(source, out / name)
    pages = ROOT / "build"
    for page in (*pages.glob("*.html"), *pages.glob("solutions/*.html"), *pages.glob("site/**/*")):
        if page.is_file():
            target = out / "pages" / page.relative_to(pages)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(page, target)
    shutil.copy2(INSTALL, out / "install.py")


if __name__ == "__main__":
    sys.exit(main())
