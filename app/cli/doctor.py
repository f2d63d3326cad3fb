"""`twotower doctor`: checks of everything that is configured, and of whole collections."""

from typing import Annotated, Any

import typer

from twotower.app.cli.application import load_application
from twotower.app.cli.common import CollectionOption, JsonOption, command_group, complain, reported
from twotower.app.cli.rendering import doctor as render
from twotower.app.cli.rendering.output import print_json, waiting
from twotower.app.services.doctor import examine
from twotower.app.services.repair import Repaired, deep_check, repair
from twotower.app.wiring import Application
from twotower.retrieval.index.integrity import Finding
from twotower.retrieval.vocabulary.errors import TwoTowerError

commands = command_group()


@commands.command()
@reported
def doctor(
    deep: Annotated[
        bool,
        typer.Option("--deep", help="Read whole collections, and compare everything in them."),
    ] = False,
    repairs: Annotated[
        bool,
        typer.Option(
            "--repair", help="As --deep, and build what is damaged again from text or files."
        ),
    ] = False,
    collection: CollectionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check that everything configured works; repair collections.

    What does not work is named with what helps. With --deep or --repair, all collections are read,
    or the one that --collection names. The exit code is 1 if something that is configured does not
    work, or a damage remains.
    """
    application = load_application(collection=collection)
    with waiting("checking", as_json):
        checks = list(examine(application))
    if not as_json:
        render.print_checks(checks)
    deeply: dict[str, Any] = {}
    failed = {check.check for check in checks if check.state == "failed"}
    if deep or repairs:
        for name in [collection] if collection else application.catalog.names():
            deeply[name], whole = _deep(application, name, repairs, as_json)
            failed.discard(f"collection {name}")  # the deep check decides
            failed |= set() if whole else {name}
    sound = not failed
    if as_json:
        print_json(render.as_json(checks, deeply, sound))
    raise typer.Exit(0 if sound else 1)


def _deep(
    application: Application, name: str, repairs: bool, as_json: bool
) -> tuple[dict[str, Any], bool]:
    """Check one collection, and repair it if asked to; whether it is sound in the end."""
    findings: list[Finding] = []
    repaired: Repaired | None = None
    try:
        with waiting(f"reading '{name}'", as_json):
            findings = deep_check(application, name)
        if not as_json:
            render.print_findings(name, findings)
        if findings and repairs:
            with waiting(f"repairing '{name}'", as_json):
                repaired = repair(application, name)
            if not as_json:
                render.print_repaired(name, repaired)
    except TwoTowerError as error:  # the other collections are checked all the same
        complain(str(error))
        return render.deep_json(findings, repaired, str(error)), False
    sound = not findings or (repaired is not None and not repaired.lost)
    return render.deep_json(findings, repaired, ""), sound
