"""Write the README's tables of formats and settings anew from the code: `make tables`."""

import re
from pathlib import Path

from app.settings import PREFIX, Settings
from ingest.loaders import FORMATS

README = Path(__file__).resolve().parents[1] / "README.md"


def formats() -> str:
    """One row for each format, in the order of the registry."""
    rows = {f.name: ", ".join(f"`{suffix}`" for suffix in f.suffixes) for f in FORMATS.values()}
    return _table(("Format", "Suffixes"), list(rows.items()))


def settings() -> str:
    """One row for each setting, in the order of the class."""
    rows = [
        (
            f"`{PREFIX}{name.upper()}`",
            f"`{field.default}`" if field.default is not None and str(field.default) else "",
            field.description or "",
        )
        for name, field in Settings.model_fields.items()
    ]
    return _table(("Setting", "Default", "Meaning"), rows)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |".replace("|  |", "| |") for cells in lines)


def written(text: str) -> str:
    """The README's text with its tables as they ought to be."""
    for table in (formats(), settings()):
        head = re.escape(table.splitlines()[0])
        text = re.sub(
            rf"^{head}\n(?:\|.*\n)+", lambda _, new=table: f"{new}\n", text, flags=re.MULTILINE
        )
    return text


if __name__ == "__main__":
    README.write_text(written(README.read_text(encoding="utf-8")), encoding="utf-8")
