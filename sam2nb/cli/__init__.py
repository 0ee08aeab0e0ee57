"""The command line, `python -m sam2nb …`: the app with all commands, and `main`.

A command only reads its options, calls the package and prints what it found. Heavy imports are inside the functions,
so that `--help` answers at once.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable

import typer

from sam2nb.cli import auto, doctor, lab, like, measure, record, segment, track, train, weights
from sam2nb.cli.options import with_options

USERS_MISTAKE, OUR_MISTAKE = 2, 1  # exit codes

app = typer.Typer(
    name="sam2nb",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Learn, teach and use Segment Anything 2.\n\n"
    "Every command has --help with an example that runs. Exit codes: 0 done, 2 something to correct in the command or "
    "its files, 1 a mistake of sam2nb.",
)
COMMANDS: tuple[Callable[..., None], ...] = (
    doctor.doctor,
    lab.lab,
    weights.info,
    weights.download,
    weights.export,
    segment.segment,
    auto.auto,
    track.track,
    like.like,
    measure.evaluate,
    measure.benchmark,
    record.record,
    train.fetch,
    train.train,
    train.finetune,
)
for command in COMMANDS:
    app.command()(with_options(command))


def main() -> None:
    """Run a command; an error is one line on stderr, and its traceback, too, with --debug.

    Exit code 2 for something to correct in the command, its files or the installation, 1 for a mistake of sam2nb.
    """
    try:
        app(prog_name=app.info.name if _asks_for_completion() else None)
    except Exception as error:
        if "--debug" in sys.argv:
            traceback.print_exc()
        if os.environ.get("RANK", "0") == "0":  # of several processes the main one speaks
            print(f"sam2nb: {describe_error(error)}", file=sys.stderr)
        sys.exit(exit_code(error))


def exit_code(error: Exception) -> int:
    """The exit code of an error."""
    return USERS_MISTAKE if isinstance(error, (ValueError, OSError, ImportError)) else OUR_MISTAKE


def describe_error(error: Exception) -> str:
    """The line that is printed for an error."""
    if isinstance(error, ModuleNotFoundError):
        return f"the package {error.name!r} is missing: python -m sam2nb doctor says how to install it"
    if exit_code(error) == USERS_MISTAKE:
        return str(error)
    kind = type(error).__name__
    return f"{kind}: {error} (a mistake of sam2nb, please report it with what --debug prints)"


def _asks_for_completion() -> bool:
    """Whether a shell is to complete `sam2nb`, the command that `pip install` makes."""
    return any(name in sys.argv for name in ("--install-completion", "--show-completion"))
