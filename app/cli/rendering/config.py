"""Output of `twotower config`. No secret is printed."""

from typing import Any

from twotower.app.cli.rendering.output import print_json, printable
from twotower.app.settings import LoadedSettings, Origin, declared, describe_section
from twotower.app.settings.display import example, plain, text, value_in_force

_WIDEST = 40  # characters of a value; a longer one pushes its origin to the right


def print_settings(loaded: LoadedSettings, as_json: bool) -> None:
    """Print each setting with its value and the source of the value, by section."""
    settings = list(declared().values())
    if as_json:
        sections: dict[str, Any] = {}
        for setting in settings:
            value = plain(value_in_force(loaded.settings, setting))
            shown = {"value": value, **_origin_json(loaded.origins[setting.name])}
            sections.setdefault(setting.section, {})[setting.key] = shown
        print_json({"file": str(loaded.file) if loaded.file else None, "settings": sections})
        return
    print(f"file  {printable(str(loaded.file)) if loaded.file else 'none'}")
    rows = [(s, text(value_in_force(loaded.settings, s))) for s in settings]
    key_width = max(len(setting.key) for setting in settings)
    value_width = max(len(value) for _, value in rows if len(value) <= _WIDEST)
    section = ""
    for setting, value in rows:
        if setting.section != section:
            section = setting.section
            print(f"\n[{section}] {describe_section(section)}")
        origin = str(loaded.origins[setting.name])
        line = f"  {setting.key:<{key_width}}  {value or '-':<{value_width}}  {origin}"
        print(printable(line))


def print_example() -> None:
    """Print a complete ``twotower.toml``."""
    print(example(), end="")


def _origin_json(origin: Origin) -> dict[str, Any]:
    """Describe an origin: its kind, and the variable, or the file and the line."""
    if origin.file:
        return {"origin": origin.kind, "file": str(origin.file.path), "line": origin.line}
    if origin.name:
        return {"origin": origin.kind, "variable": origin.name}
    return {"origin": origin.kind}
