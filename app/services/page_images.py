"""Images of PDF pages with a passage marked, drawn in a worker process and cached."""

import threading
from collections import OrderedDict
from pathlib import Path

from twotower.app.settings import Settings
from twotower.ingest.loaders.isolation import Workers
from twotower.ingest.loaders.page_image import draw_page
from twotower.retrieval.vocabulary.documents import Chunk
from twotower.retrieval.vocabulary.errors import DocumentError

_CACHED = 48  # pages
_WIDTH = 1400  # pixels


class PageImages:
    """Draws pages one at a time; the worker process starts with the first one."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._workers: Workers | None = None
        self._images: OrderedDict[object, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def draw(self, path: Path, number: int, chunk: Chunk | None = None) -> bytes:
        """Draw a page of a PDF as PNG, with a passage marked.

        Raises
        ------
        DocumentError
            If it cannot be drawn.
        """
        boxes = chunk.provenance.boxes if chunk else ()
        try:
            key = (path, path.stat().st_mtime_ns, number, boxes)
        except OSError as error:
            raise DocumentError(f"{path} cannot be read: {error.strerror}", "gone") from error
        with self._lock:
            if key not in self._images:
                if self._workers is None:
                    self._workers = Workers(
                        1,
                        self._settings.parse_seconds,
                        self._settings.parse_memory_mb,
                        preload=(),
                    )
                drawing = self._workers.submit(draw_page, path, number, boxes, _WIDTH)
                self._images[key] = self._workers.result(drawing)
                while len(self._images) > _CACHED:
                    self._images.popitem(last=False)
            self._images.move_to_end(key)
            return self._images[key]

    def close(self) -> None:
        """End the worker process."""
        if self._workers is not None:
            self._workers.__exit__(InterruptedError, None, None)
