"""The commands, and the import of each command's module when the command is used.

`twotower --help` and a usage error of the program import none of these modules, so that each of
them imports at its top what its commands need.
"""

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from twotower.app.cli.common import reporting

# Name of a command: its module in this package, and the first line of its docstring.
COMMANDS = {
    "ask": ("ask", "Answer a question from your documents, with checked citations."),
    "search": ("search", "Find the passages that answer a question."),
    "facets": ("search", "Count passages by the values of a key."),
    "ingest": ("ingest", "Bring documents into a collection; unchanged files are skipped."),
    "list": ("documents", "List the documents of a collection."),
    "show": ("documents", "Show the chunks of a document."),
    "delete": ("documents", "Delete documents, and their files if they were uploaded."),
    "status": ("status", "Show the collections, the engine and the encoder."),
    "eval": ("evaluation", "Measure retrieval on labelled questions."),
    "tune": ("evaluation", "Find the best search options on labelled questions."),
    "train": ("train", "Learn from labelled questions, and keep what pays."),
    "reindex": ("versions", "Build a collection again with the present settings."),
    "rollback": ("versions", "Remove the newest question map, or go back a version."),
    "gc": ("versions", "Remove old versions and unused compiled models."),
    "optimize": ("versions", "Build the vector index of an embedded collection."),
    "migrate": ("copies", "Copy a collection to another location; the original stays."),
    "backup": ("copies", "Write a collection to one file, vectors included."),
    "restore": ("copies", "Restore a backup as the next version of its collection."),
    "config": ("config", "Print the settings in force, and where each value comes from."),
    "doctor": (
        "doctor",
        "Check that everything configured works; repair collections.",
    ),
    "encoder": ("models", "Work with the encoder."),
}


class LazyCommand(typer.core.TyperCommand):
    """A command whose module is imported when the command is used.

    Parameters
    ----------
    module
        Module of this package with a group `commands` that has a command of this name.
    """

    def __init__(self, name: str, module: str, help: str) -> None:
        super().__init__(name, help=help, rich_markup_mode=None)
        self._module = module

    def load(self) -> Any:
        """Import the module, and return its command."""
        with reporting():
            module = import_module(f"twotower.app.cli.{self._module}")
        return typer.main.get_group(module.commands).commands[str(self.name)]

    def make_context(self, *arguments: Any, **details: Any) -> Any:
        """Make the context of the command in the module, which then runs in place of this one."""
        return self.load().make_context(*arguments, **details)


class LazyGroup(TyperGroup):
    """A group that has the commands of the table beside its own."""

    def __init__(self, **details: Any) -> None:
        super().__init__(**details)
        lazy = {name: LazyCommand(name, *entry) for name, entry in COMMANDS.items()}
        self.commands = {**lazy, **self.commands}
