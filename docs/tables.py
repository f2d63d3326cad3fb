"""Write the README's tables of formats and settings from the code: `make tables`."""

import re
from pathlib import Path

from twotower.app.settings import declared, describe_section
from twotower.app.settings.display import default_text
from twotower.ingest.loaders import FORMATS

README = Path(__file__).resolve().parents[1] / "README.md"


def formats() -> str:
    """Return one row for each format, in the order of the registry."""
    rows = {f.name: ", ".join(f"`{suffix}`" for suffix in f.suffixes) for f in FORMATS.values()}
    return _table(("Format", "Suffixes"), list(rows.items()))


def settings() -> str:
    """Return one row for each setting below one for its section, in the order of the groups."""
    rows: list[tuple[str, ...]] = []
    section = ""
    for setting in declared().values():
        if setting.section != section:
            section = setting.section
            rows.append((f"**`[{section}]`**", "", "", f"**{describe_section(section)}**"))
        default = default_text(setting)
        default = f"`{default}`" if default else ""
        rows.append((f"`{setting.key}`", f"`{setting.variable}`", default, setting.description))
    return _table(("Setting", "Environment variable", "Default", "Meaning"), rows)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(
        f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |") for cells in lines
    )


def written(text: str) -> str:
    """Return the README's text with its tables replaced."""
    for table in (formats(), settings()):
        head = re.escape(table.splitlines()[0])
        text = re.sub(
            rf"^{head}\n(?:\|.*\n)+", lambda _, new=table: f"{new}\n", text, flags=re.MULTILINE
        )
    return text


if __name__ == "__main__":
    README.write_text(written(README.read_text(encoding="utf-8")), encoding="utf-8")
