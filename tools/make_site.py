"""Write the pages that need no Python to build/site/: playground.html, sam2nb_nano whole in the browser.

python tools/make_site.py                 # fetches onnxruntime-web by npm, once
python tools/make_site.py --out folder
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODEL = "sam2nb_nano"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "site", help="default build/site/")
    out = parser.parse_args().out.resolve()
    from sam2nb.weights.npm import PackageError
    from sam2nb.widgets.ort_web import ort_web
    from sam2nb.widgets.playground import write_playground

    try:
        runtime = ort_web()
    except PackageError as error:
        print(f"onnxruntime-web cannot be had: {error}")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        export_model(Path(folder))
        page = write_playground(out / "playground.html", folder, runtime)
    print(f"{page} ({page.stat().st_size / 1e6:.0f} MB)")
    return 0


def export_model(folder: Path) -> None:
    """The model of the page as ONNX files."""
    from sam2nb import load_model
    from sam2nb.engines.onnx_export import export_onnx

    export_onnx(load_model(MODEL, device="cpu", fast=False), folder)


if __name__ == "__main__":
    sys.exit(main())
