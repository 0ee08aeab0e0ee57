"""The app as a whole: its commands, its help and its start-up."""

import inspect
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sam2nb import cli
from sam2nb.cli import app
from sam2nb.predict.video.everything import KEY_FRAME_SETTINGS

ROOT = Path(__file__).resolve().parents[2]

COMMANDS = [
    "doctor",
    "info",
    "download",
    "export",
    "lab",
    "segment",
    "auto",
    "track",
    "like",
    "evaluate",
    "benchmark",
    "record",
    "fetch",
    "train",
    "finetune",
]


def test_the_help_lists_every_command():
    result = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert all(f" {command} " in result.output for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_its_options(command):
    result = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0 and "--help" in result.output


def examples_of(command: str) -> list[str]:
    """The commands in the help of a command, without the program's name."""
    text = inspect.getdoc(next(function for function in cli.COMMANDS if function.__name__ == command))
    parts = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text)]
    return [part.partition("-m sam2nb ")[2] for part in parts if part.startswith(("python -m", "accelerate launch"))]


EXAMPLES = [example for command in COMMANDS for example in examples_of(command)]
SMALL = {  # options that make an example quick, by its command
    "segment": ["--model", "sam2nb_nano", "--image-size", "64"],
    "auto": ["--model", "sam2nb_nano", "--image-size", "64", "--points-per-side", "2"],
    "track": ["--model", "sam2nb_nano", "--image-size", "64"],
    "like": ["--model", "sam2nb_nano", "--image-size", "64"],
    "evaluate": ["--image-size", "64"],
    "record": ["--image-size", "64", "--repeats", "1"],
    "finetune": ["--image-size", "64", "--steps", "2"],
}


def test_every_command_has_an_example():
    assert all(examples_of(command) for command in COMMANDS)
    assert all(example.split()[0] in COMMANDS for example in EXAMPLES)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_in_the_help_run(example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.setitem(KEY_FRAME_SETTINGS, "points_per_side", 2)
    monkeypatch.setattr("sam2nb.training.data.sources.fetch_sources", lambda _: {"a": {"skipped": "no network"}})
    monkeypatch.setattr("sam2nb.training.recipes.nano.prepare", lambda *_, **__: None)
    monkeypatch.setattr("sam2nb.start.open_notebooks", lambda *_: 0)
    for recipe in ("nano", "aligned"):
        monkeypatch.setattr(f"sam2nb.training.recipes.{recipe}.run", lambda *_, **__: Path("runs"))
    command, *words = shlex.split(example)
    done = CliRunner().invoke(app, [command, *words, *SMALL.get(command, [])])
    assert done.exit_code == 0, (done.output, done.exception)
    missing = [word for word in words if word.startswith("build/") and not Path(word).exists()]
    assert not missing
    if "--names" in words or "--boxes" in words:
        text = "".join(file.read_text() for file in (tmp_path / "build").rglob("*.json"))
        assert "bunny" in text or "spoon" in text


@pytest.mark.parametrize("example", [example for example in EXAMPLES if "--resume" in example])
def test_the_examples_that_go_on_run_twice(example, tmp_path, monkeypatch):
    monkeypatch.setitem(KEY_FRAME_SETTINGS, "points_per_side", 2)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(ROOT / "data")
    command, *words = shlex.split(example)
    for _ in range(2):
        done = CliRunner().invoke(app, [command, *words, *SMALL[command]])
        assert done.exit_code == 0, (done.output, done.exception)
    assert "done before" in done.output


@pytest.fixture
def main(monkeypatch, capsys):
    """Run the program -> (exit code, standard output, standard error)."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["sam2nb", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code or 0, *capsys.readouterr()

    return run


@pytest.mark.parametrize(
    "words",
    [
        ("segment", "gone.jpg"),
        ("segment", "gone.jpg", "--model", "no such model"),
        ("auto", "gone.jpg", "--format", "gif"),
        ("track", "gone.jpg"),
        ("like", "gone.jpg"),
        ("finetune", "gone.jpg"),
        ("evaluate", "--images", "gone.jpg", "--clicks", "none"),
        ("segment", "{}", "--weights", "gone.jpg"),
    ],
)
def test_a_missing_file_is_named_before_anything_else_that_is_wrong(words, main, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [word.format(ROOT / "data/photos/cat.jpg") for word in words]
    code, out, complaint = main(*words)
    assert (code, out, complaint) == (2, "", "sam2nb: there is no file or folder 'gone.jpg'\n")


def test_a_mistake_of_ours_has_another_exit_code_and_asks_for_a_report(main, monkeypatch):
    def break_down(*_):
        raise ZeroDivisionError("seven by nought")

    monkeypatch.setattr("sam2nb.weights.tables.checkpoint_table", break_down)
    code, _, complaint = main("info")
    assert code == 1 and complaint.count("\n") == 1
    assert "ZeroDivisionError: seven by nought (a mistake of sam2nb, please report it" in complaint


def test_the_traceback_comes_with_debug_only(main):
    assert "Traceback" not in main("segment", "gone.jpg")[2]
    code, _, complaint = main("segment", "gone.jpg", "--debug")
    assert code == 2 and complaint.startswith("Traceback") and complaint.endswith("no file or folder 'gone.jpg'\n")


def test_a_missing_package_is_named_with_a_remedy(main, monkeypatch):
    monkeypatch.setitem(sys.modules, "sam2nb.weights.tables", None)
    code, _, complaint = main("info")
    assert code == 2 and "the package 'sam2nb.weights.tables' is missing: python -m sam2nb doctor" in complaint


def test_of_several_processes_one_complains(main, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    assert main("segment", "gone.jpg") == (2, "", "")


def test_a_shell_completes_commands_and_names_of_checkpoints():
    code = "import sys; sys.argv = ['sam2nb']; from sam2nb.cli import main; main()"

    def complete(words: str) -> list[str]:
        asked = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1), "_SAM2NB_COMPLETE": "complete_bash"}
        done = subprocess.run([sys.executable, "-c", code], env={**os.environ, **asked}, capture_output=True, text=True)
        return done.stdout.split()

    assert complete("sam2nb seg") == ["segment"]
    assert set(complete("sam2nb segment --model sam2nb_")) == {"sam2nb_tiny", "sam2nb_nano"}
    assert complete("sam2nb auto --device cu") == ["cuda"]


def test_the_app_starts_without_torch_numpy_or_matplotlib():
    code = "import sys, sam2nb.cli; print(*{'torch', 'numpy', 'PIL', 'hydra', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_package_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "sam2nb", "--help"], capture_output=True, text=True, check=True)
    assert "Learn, teach and use Segment Anything 2." in done.stdout
