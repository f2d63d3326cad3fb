"""The table of commands is true, and the search options are those of `OPTIONS`."""

import subprocess
import sys
from importlib import import_module

import pytest
import typer.main

from twotower.__main__ import app
from twotower.app.cli.evaluation import NOT_MEASURED
from twotower.app.cli.lazy import COMMANDS, LazyCommand
from twotower.app.cli.search_options import choices, flag, leg_weights
from twotower.retrieval.search.options import OPTIONS
from twotower.retrieval.vocabulary.errors import ConfigurationError


def group():
    return typer.main.get_command(app)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_has_the_first_line_of_each_command(name):
    command = group().commands[name]
    assert isinstance(command, LazyCommand)
    assert command.load().name == name
    assert command.load().help.splitlines()[0] == command.help == COMMANDS[name][1]


@pytest.mark.parametrize("module", sorted({module for module, _ in COMMANDS.values()}))
def test_every_command_of_a_module_is_in_the_table(module):
    commands = import_module(f"twotower.app.cli.{module}").commands
    listed = {name for name, entry in COMMANDS.items() if entry[0] == module}
    assert set(typer.main.get_group(commands).commands) == listed


def test_the_help_shows_whole_lines():
    done = subprocess.run(
        [sys.executable, "-m", "twotower", "--help"],
        check=True,
        capture_output=True,
        text=True,
    )
    for name, (_, line) in COMMANDS.items():
        assert f"{name:8}  {line}\n" in done.stdout


@pytest.mark.parametrize(
    ("command", "missing"), [("search", set()), ("eval", {*NOT_MEASURED, "where"})]
)
def test_a_command_has_an_option_for_each_search_option(command, missing):
    parameters = {
        name: parameter
        for parameter in group().commands[command].load().params
        for name in parameter.opts
    }
    for option in OPTIONS.values():
        if option.name in missing:
            continue
        parameter = parameters[flag(option.name)]
        assert parameter.default is None
        if option.name == "where":
            continue
        assert parameter.help.startswith(option.help)
        for choice in option.choices:
            assert choice in parameter.metavar
    assert parameters.keys() >= {"--mode", "--rerank"}


def test_weights_are_read_by_the_name_of_the_leg():
    assert leg_weights(["dense=0.7", "bm25 = 0.3"]) == {"dense": 0.7, "bm25": 0.3}
    assert leg_weights([]) is leg_weights(None) is None
    with pytest.raises(ConfigurationError, match="'dense' is not a leg and a number"):
        leg_weights(["dense"])


def test_a_repeated_choice_is_checked():
    assert choices(["dense", "bm25"], "mode") == ["dense", "bm25"]
    assert choices(None, "mode") == []
    with pytest.raises(ConfigurationError, match="the option mode is 'x': choose one of hybrid"):
        choices(["dense", "x"], "mode")
