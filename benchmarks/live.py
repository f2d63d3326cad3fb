"""Make a collection of a set in the layout of BEIR, so that commands can be tried on it.

.venv/bin/python -m benchmarks.live ../shared/data/cranfield cranfield
.venv/bin/twotower train dpr --collection cranfield --queries ../shared/data/cranfield
"""

import argparse
import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from twotower.app.services.ingestion import chunk_settings
from twotower.app.settings import load_settings
from twotower.app.wiring import Application, utc_now
from twotower.evaluation import corpus
from twotower.evaluation.dataset import read_corpus
from twotower.retrieval.legs import create_legs
from twotower.retrieval.vocabulary.documents import DocumentRecord


def make(application: Application, folder: Path, name: str) -> int:
    """Write the corpus of a folder to a new collection; return the number of chunks."""
    documents = {document.id: document for document in read_corpus(folder)}
    encoder = application.encoder()
    settings = chunk_settings(application.settings, encoder.model)
    chunks = [c for d in documents.values() for c in corpus.chunks_of(d, encoder, settings)]
    texts = [chunk.encoded_text for chunk in chunks]
    legs = create_legs(application.settings.legs, application.models, texts)
    counts = Counter(chunk.provenance.source for chunk in chunks)
    with corpus.write(
        chunks, legs, settings, lambda card: application.catalog.create(name, card)
    ) as collection:
        for source, count in counts.items():
            text = documents[source].text
            collection.write_document(
                DocumentRecord(
                    source=source,
                    root=str(folder),
                    title=documents[source].title,
                    content_hash=hashlib.sha256(text.encode()).hexdigest(),
                    size=len(text.encode()),
                    chunks=count,
                    pages=None,
                    ingested_at=utc_now().isoformat(timespec="seconds"),
                )
            )
    return len(chunks)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("name")
    options = parser.parse_args(arguments)
    count = make(Application(load_settings()), options.folder, options.name)
    print(f"'{options.name}': {count} chunks")


if __name__ == "__main__":
    main()
