"""48 documents, and 48 labelled questions in words that no document has."""

import json
from pathlib import Path

ANIMALS = (
    *("otter", "badger", "heron", "kestrel", "marten", "adder", "grouse", "salmon"),
    *("lynx", "stoat", "curlew", "plover", "osprey", "merlin", "beaver", "hare"),
)
ZONES = {"river": "blue", "forest": "red", "shore": "green"}  # a question names a place by colour


def write_animals(folder: Path) -> None:
    """Write the documents into ``docs``, and questions and labels beside it."""
    (folder / "qrels").mkdir()
    (folder / "docs").mkdir()
    questions, judged = [], ["query-id\tcorpus-id\tscore"]
    for animal in ANIMALS:
        for place, colour in ZONES.items():
            source = f"{animal}-{place}.md"
            text = f"The {animal} lives near the {place} and is seen at dawn.\n"
            (folder / "docs" / source).write_text(text)
            id = f"{animal}-{place}"
            questions.append({"_id": id, "text": f"{animal} in the {colour} zone"})
            judged.append(f"{id}\t{source}\t1")
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, questions)))
    (folder / "qrels" / "test.tsv").write_text("\n".join(judged))
