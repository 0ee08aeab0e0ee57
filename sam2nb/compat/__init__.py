"""Run code written for the official package unchanged: `import sam2nb.compat; sam2nb.compat.install()`.

Afterwards `from sam2.build_sam import build_sam2` and the other imports of its documentation give the functions of
sam2nb. Each file of this folder has the names of the official module that is called alike. Names without an equal here
are missing: importing one is an ImportError, which `try` can catch as ever.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

OFFICIAL = "sam2"  # the official package's name
MODULES = (
    "build_sam",
    "sam2_image_predictor",
    "sam2_video_predictor",
    "automatic_mask_generator",
    "utils",
    "utils.amg",
    "utils.misc",
    "utils.transforms",
)
PACKAGES = (OFFICIAL, f"{OFFICIAL}.utils")


def install(override: bool = False) -> None:
    """Let `import sam2` and its modules mean sam2nb in this process; a second call changes nothing.

    override: also where the official package is installed.
    Raises ImportError where it is installed, or imported already, and code for it needs no help.
    """
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    if OFFICIAL in sys.modules:
        raise ImportError(f"{OFFICIAL} is imported already: call sam2nb.compat.install() before the first import of it")
    spec = find_spec(OFFICIAL)
    is_there = spec is not None and spec.origin is not None  # a bare folder of that name is not the package
    if is_there and not override:
        raise ImportError(
            f"the official package is installed ({spec.origin}), so `import {OFFICIAL}` gives that; "
            "install(override=True) gives sam2nb instead, in this process"
        )
    sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder, Loader):
    """Find `sam2` and `sam2.….…`: new modules that hold the names of the files in this folder."""

    def find_spec(self, fullname: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != OFFICIAL and not fullname.startswith(f"{OFFICIAL}."):
            return None
        if fullname != OFFICIAL and fullname.removeprefix(f"{OFFICIAL}.") not in MODULES:
            known = ", ".join(f"{OFFICIAL}.{module}" for module in MODULES)
            raise ModuleNotFoundError(f"sam2nb has nothing equal to {fullname}; it has {known}", name=fullname)
        return ModuleSpec(fullname, self, is_package=fullname in PACKAGES)

    def exec_module(self, module: ModuleType) -> None:
        if module.__name__ == OFFICIAL:
            module.__file__, module.__doc__ = __file__, __doc__
            return
        ours = import_module(f"{__name__}.{module.__name__.removeprefix(f'{OFFICIAL}.')}")
        names = {name: getattr(ours, name) for name in ours.__all__}
        vars(module).update(names, __file__=ours.__file__, __doc__=ours.__doc__, __all__=list(names))
