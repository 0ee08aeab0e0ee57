"""`python -m sam2nb` runs the command line of `sam2nb.cli`."""

from sam2nb.cli import main

if __name__ == "__main__":
    main()
