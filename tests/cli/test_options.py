"""Options that commands share, and the model that they choose."""

import inspect
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.models import OptionInfo
from typer.testing import CliRunner

from sam2nb.cli import COMMANDS
from sam2nb.cli.options import MEMORIES, SEARCHES, ModelChoice, load_chosen_model, with_options

SHARED = {"model", "weights", "device", "json_file", "debug", "resume", "click", "exclude", "box", "boxes", "names"}
SHARED |= {"cache", "closer", "tolerance"}


def test_a_weights_file_needs_the_name_of_a_model_for_its_configuration():
    with pytest.raises(ValueError, match="--weights needs --model"):
        load_chosen_model("auto", Path("mine.safetensors"), None, "auto", None)


def test_the_same_option_is_the_same_everywhere():
    seen = {}
    for command in COMMANDS:
        for parameter in inspect.signature(with_options(command)).parameters.values():
            info = parameter.annotation.__metadata__[0]
            if isinstance(info, OptionInfo) and parameter.name in SHARED:
                known = (info.param_decls, info.help)
                assert seen.setdefault(parameter.name, known) == known, parameter.name
    assert seen.keys() == SHARED


def test_a_short_option_means_one_thing_in_a_command():
    for command in COMMANDS:
        infos = [p.annotation.__metadata__[0] for p in inspect.signature(with_options(command)).parameters.values()]
        options = [i for i in infos if isinstance(i, OptionInfo)]
        short = [name for i in options for name in i.param_decls if len(name) == 2]
        assert len(short) == len(set(short)), (command.__name__, short)


def test_a_group_of_options_arrives_as_one(monkeypatch):
    arrived = []

    def command(count: Annotated[int, typer.Option("--count")] = 1, *, chosen: ModelChoice) -> None:
        arrived.append((count, chosen))

    app = typer.Typer()
    app.command()(with_options(command))
    for words in ([], ["-m", "sam2nb_nano", "--count", "2", "-s", "64", "--debug"]):
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, (done.output, done.exception)
    assert arrived == [(1, ModelChoice()), (2, ModelChoice(model="sam2nb_nano", image_size=64))]


def test_the_ways_to_track_are_those_of_the_predictor():
    from sam2nb.predict.video import memory, predictor

    assert set(MEMORIES) == set(memory.MEMORIES)
    assert set(SEARCHES) == set(predictor.SEARCHES)
