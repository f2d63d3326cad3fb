"""Answers for a door that serves several people: the collection is open only while it searches."""

from collections.abc import Callable, Sequence

from twotower.app.answering.answer import Answer
from twotower.app.wiring import Application
from twotower.retrieval.search.options import SearchOptions
from twotower.retrieval.search.results import SearchResult


def answer_question(
    application: Application,
    name: str,
    question: str,
    history: Sequence[Answer],
    on_text: Callable[[str], None],
) -> Answer:
    """Answer a question; see `Answerer.answer`.

    The collection is released before the answer is written, which may take minutes.
    """

    def retrieve(text: str, options: SearchOptions | None) -> SearchResult:
        with application.catalog.open(name, short_lived=True) as collection:
            retriever = application.retriever(collection, **application.answer_options({}))
            return retriever.retrieve(text, options)

    with application.catalog.open(name, short_lived=True) as collection:
        answerer = application.answerer_over(retrieve, collection)
    return answerer.answer(question, history, on_text=on_text)
