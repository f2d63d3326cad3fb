"""Output of `twotower doctor`."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from twotower.app.cli.rendering.output import printable
from twotower.app.services.doctor import Diagnosis
from twotower.app.services.repair import Repaired
from twotower.retrieval.index.integrity import Finding

_STYLES = {"ok": "green", "off": "dim", "warning": "yellow", "failed": "bold red"}


def print_checks(checks: Sequence[Diagnosis]) -> None:
    """Print one line for each check, and a second one with the remedy."""
    console = Console(highlight=False)
    width = max(len(check.check) for check in checks)
    for check in checks:
        line = f"{printable(check.check):<{width}}  {printable(check.detail)}"
        console.print(
            Text.assemble((f"{check.state:<8}", _STYLES[check.state]), line), soft_wrap=True
        )
        if check.remedy:
            remedy = f"{' ' * (8 + width)}  -> {printable(check.remedy)}"
            console.print(remedy, soft_wrap=True, markup=False)


def print_findings(name: str, findings: Sequence[Finding]) -> None:
    """Print the result of a deep check."""
    if not findings:
        print(f"collection '{name}': everything in it is as its records say")
        return
    print(f"collection '{name}' is damaged:")
    for finding in findings:
        print(f"  {finding.part}: {printable(finding.problem)}")
    print("`twotower doctor --repair` builds it again from what is sound and from the files")


def print_repaired(name: str, repaired: Repaired) -> None:
    """Print what a repair did."""
    print(
        f"version {repaired.version} of '{name}' is live: {repaired.kept} documents copied, "
        f"{len(repaired.from_text)} encoded again from their text, {len(repaired.from_files)} "
        "ingested again from their files"
    )
    for source, reason in repaired.lost.items():
        print(f"  lost: {printable(source)}: {printable(reason)}")
    print("`twotower gc` removes the damaged version")


def as_json(checks: Sequence[Diagnosis], deep: Mapping[str, Any], sound: bool) -> dict[str, Any]:
    """Build the object that `doctor --json` prints."""
    return {
        "ok": sound,
        "checks": [dataclasses.asdict(check) for check in checks],
        "collections": dict(deep),
    }


def deep_json(findings: Sequence[Finding], repaired: Repaired | None, error: str) -> dict[str, Any]:
    """Build the part of the object about one collection."""
    return {
        "findings": [dataclasses.asdict(finding) for finding in findings],
        "repaired": None if repaired is None else dataclasses.asdict(repaired),
        "error": error,
    }
