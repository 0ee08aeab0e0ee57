"""`python -m sam2nb` runs the command line of `sam2nb.cli`."""

import sys
from importlib.util import find_spec

if __name__ == "__main__":
    if find_spec("typer") is not None:
        from sam2nb.cli import main
    elif sys.argv[1:2] == ["lab"]:
        from sam2nb.start import main
    else:
        sys.exit("sam2nb: its packages are not installed: python -m sam2nb lab installs them and opens the notebooks")
    sys.exit(main())
