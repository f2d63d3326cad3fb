"""The click log: which hits a person saw for a question, and which one they opened.

Off by default (`TWOTOWER_CLICK_LOG`); it never leaves the machine. One JSON object a line::

    {"time": "2026-11-27T17:20:00+00:00", "question": "who repairs the crane?",
     "shown": ["rules.md", "contract.pdf#page=3"], "clicked": "contract.pdf#page=3"}

``clicked`` is null where nothing was opened: `twotower search` and the page write such a line for
each search, and the page writes another one when a hit is opened.
"""

import json
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from twotower.app.wiring import utc_now
from twotower.evaluation.dataset import Dataset
from twotower.retrieval.vocabulary.errors import ConfigurationError, ServiceError

_LOCK = threading.Lock()


class Clicks:
    """The click log of one collection.

    Parameters
    ----------
    enabled
        False to write nothing.
    """

    def __init__(self, data_dir: Path, collection: str, *, enabled: bool) -> None:
        self.file = data_dir / "clicks" / f"{collection}.jsonl"
        self._enabled = enabled

    def record(self, question: str, shown: Sequence[str], clicked: str | None = None) -> None:
        """Write that places were shown for a question, best first, and which one was opened.

        Raises
        ------
        ServiceError
            If the file cannot be written.
        """
        if not self._enabled:
            return
        time = utc_now().isoformat(timespec="seconds")
        entry = {"time": time, "question": question, "shown": list(shown), "clicked": clicked}
        line = json.dumps(entry, ensure_ascii=False) + "\n"
        try:
            with _LOCK:
                self.file.parent.mkdir(parents=True, exist_ok=True)
                with self.file.open("a", encoding="utf-8") as stream:
                    stream.write(line)
        except OSError as error:
            raise ServiceError(
                f"the click log {self.file} cannot be written: {error.strerror}"
            ) from error

    def searches(self) -> int:
        """Count the searches in the log."""
        return sum(clicked is None for _, clicked in self._entries())

    def dataset(self) -> Dataset:
        """Return the questions whose hits were opened, with the places that were opened.

        Raises
        ------
        ConfigurationError
            If a line is malformed; the message names it.
        """
        opened: dict[str, Counter[str]] = {}
        for question, place in self._entries():
            if place is not None:
                opened.setdefault(question, Counter())[place] += 1
        judged = {text: dict.fromkeys(places, 1) for text, places in opened.items()}
        return Dataset("clicks", {text: text for text in judged}, judged)

    def _entries(self) -> list[tuple[str, str | None]]:
        if not self.file.is_file():
            return []
        entries = []
        lines = self.file.read_text(encoding="utf-8", errors="replace").split("\n")
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                entry = json.loads(line)
                question, clicked = entry["question"], entry["clicked"]
            except (json.JSONDecodeError, TypeError, KeyError) as error:
                raise ConfigurationError(
                    f"{self.file}, line {number}: not a line of a click log ({error}): remove it"
                ) from error
            entries.append((" ".join(str(question).split()), clicked and str(clicked)))
        return entries
