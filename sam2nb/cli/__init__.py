"""The command line, `python -m sam2nb …`: the app with all commands, and `main`.

A command only reads its options, calls the package and prints what it found. Heavy imports are inside the functions,
so that `--help` answers at once.
"""

from __future__ import annotations

import sys

import typer

from sam2nb.cli import auto, like, measure, segment, track, train, weights

app = typer.Typer(
    name="sam2nb", no_args_is_help=True, add_completion=False, help="Learn, teach and use Segment Anything 2."
)
for command in (
    weights.info,
    weights.download,
    weights.export,
    segment.segment,
    auto.auto,
    track.track,
    like.like,
    measure.evaluate,
    measure.benchmark,
    train.fetch,
    train.train,
    train.finetune,
):
    app.command()(command)


def main() -> None:
    """Run a command; a user's mistake is one line on stderr and exit code 2, not a traceback."""
    try:
        app()
    except (ValueError, OSError) as error:
        print(f"sam2nb: {error}", file=sys.stderr)
        sys.exit(2)
