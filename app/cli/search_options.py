"""Command line options for the search options, made from their declarations in `OPTIONS`."""

import functools
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Annotated, Any

import typer

from twotower.retrieval.search.options import OPTIONS, Option
from twotower.retrieval.vocabulary.errors import ConfigurationError

# Names of options whose command line option takes one value each time it is given.
REPEATABLE = {"weights": "--weight", "where": "--filter"}
_SHORT = {"limit": "-n", "where": "-f"}

FilterOption = Annotated[
    list[str] | None,
    typer.Option(
        REPEATABLE["where"],
        _SHORT["where"],
        metavar="KEY=VALUE",
        help="Condition that every hit meets: type=pdf, source=policies/**, page=3..7, "
        "modified>=2025-01-01, author!=Ann. May be given several times; all conditions must hold.",
    ),
]


def flag(name: str) -> str:
    """Return the command line option of a search option."""
    return REPEATABLE.get(name, f"--{name.replace('_', '-')}")


def option(name: str) -> Any:
    """Declare the command line option of a search option, by its declaration."""
    declared = OPTIONS[name]
    short = (_SHORT[name],) if name in _SHORT else ()
    if name == "weights":
        metavar, more = "LEG=WEIGHT", " May be given several times, such as dense=0.7."
    else:
        metavar, more = f"[{'|'.join(declared.choices)}]" if declared.choices else "", ""
    return typer.Option(flag(name), *short, help=declared.help + more, metavar=metavar or None)


def with_search_options(
    *, without: Collection[str] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each search option, except those in ``without``.

    The command gets the values that were given in its argument ``options``, by name, as
    `Application.options` takes them. ``where`` is never among them: `FilterOption` is its option,
    because reading a filter takes an open collection.
    """
    names = [name for name in OPTIONS if name != "where" and name not in without]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command)

        @functools.wraps(command)
        def run(**arguments: Any) -> None:
            given = {name: arguments.pop(name) for name in names}
            if "weights" in given:
                given["weights"] = leg_weights(given["weights"])
            command(**arguments, options=given)

        parameters = [p for p in own.parameters.values() if p.name != "options"]
        parameters += [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=Annotated[_type(OPTIONS[name]), option(name)],
            )
            for name in names
        ]
        run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        return run

    return decorate


def _type(declared: Option) -> Any:
    if declared.name in REPEATABLE:
        return list[str] | None
    return declared.type | None


def leg_weights(given: Sequence[str] | None) -> Mapping[str, float] | None:
    """Read weights such as ``dense=0.7``.

    Raises
    ------
    ConfigurationError
        If one is not a name and a number.
    """
    if not given:
        return None
    weights = {}
    for text in given:
        name, _, number = text.partition("=")
        try:
            weights[name.strip()] = float(number)
        except ValueError as error:
            raise ConfigurationError(
                f"--weight '{text}' is not a leg and a number: write LEG=WEIGHT, such as dense=0.7"
            ) from error
    return weights


def choices(given: Sequence[str] | None, name: str) -> list[str]:
    """Check the values of a search option that may be given several times.

    Raises
    ------
    ConfigurationError
        If one is not among the choices of the option.
    """
    for value in given or ():
        OPTIONS[name].check(value)
    return list(given or ())
