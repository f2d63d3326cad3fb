"""Output of `twotower status`."""

import sys
import textwrap
from typing import Any

from rich.console import Console
from rich.table import Table

_PRECISIONS = {"auto": "bf16 if the processor has it", "bf16": "bf16", "fp32": "fp32"}


def print_status(state: dict[str, Any]) -> None:
    """Print the settings and the collections."""
    console = Console(highlight=False)
    encoder = state["encoder"]
    console.print(f"collections in  {state['place']}", soft_wrap=True, markup=False)
    console.print(f"engine          {state['engine']}")
    console.print(
        f"encoder         {encoder['name']}  (fingerprint {encoder['fingerprint'][:12]}, "
        f"reads {encoder['window']} tokens)",
        soft_wrap=True,
        markup=False,
    )
    console.print(f"runtime         {_runtime(encoder['runtime'])}", soft_wrap=True, markup=False)
    if not state["collections"]:
        console.print("no collection yet: run `twotower ingest PATH`")
        return
    table = Table()
    for name in ("collection", "documents", "chunks", "size", "encoder"):
        right = name in ("documents", "chunks", "size")
        table.add_column(name, justify="right" if right else "left")
    for entry in state["collections"]:
        table.add_row(
            entry["name"],
            str(entry.get("documents", "-")),
            str(entry.get("chunks", "-")),
            "-" if entry["bytes"] is None else f"{entry['bytes'] / 2**20:.1f} MB",
            _encoder_cell(entry),
        )
    console.print(table)
    for entry in state["collections"]:
        if entry.get("question_map"):
            console.print(_map_line(entry), soft_wrap=True, markup=False)
    for entry in state["collections"]:
        if "error" in entry:
            print(f"error: {textwrap.shorten(entry['error'], 500)}", file=sys.stderr)


def _map_line(entry: dict[str, Any]) -> str:
    learned = entry["question_map"]
    hybrid = learned["verdict"]["ndcg@10"]["hybrid"]
    number, day = learned["number"], learned["learned_at"][:10]
    return (
        f"{entry['name']}: question map {number}, learned on {day} "
        f"from {sum(learned['learned_from'].values())} questions (nDCG@10 of hybrid search "
        f"{hybrid['before']:.3f} before, {hybrid['after']:.3f} with it, on questions held out)"
    )


def _runtime(runtime: dict[str, Any]) -> str:
    text = f"{runtime['name']}, passages in {_PRECISIONS[runtime['precision']]}, questions in fp32"
    if runtime["name"] == "openvino" and not runtime["compiled"]:
        text += "; compiled when it is first used"
    return f"{text} ({runtime['reason']})" if runtime["reason"] else text


def _encoder_cell(entry: dict[str, Any]) -> str:
    if "encoder" not in entry:
        return "-"
    name = f"{entry['encoder']} ({entry['fingerprint'][:12]})"
    return name if entry["matches_settings"] else f"{name}, not the one in the settings"
