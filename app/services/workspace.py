"""The services that the web page uses, over one application that several threads share."""

from collections.abc import Iterator
from contextlib import contextmanager

from twotower.app.services.access import Access
from twotower.app.services.clicks import Clicks
from twotower.app.services.documents import Documents
from twotower.app.services.jobs import Jobs
from twotower.app.services.labels import Labels
from twotower.app.services.page_images import PageImages
from twotower.app.services.searching import Searching
from twotower.app.settings import Settings
from twotower.app.wiring import Application
from twotower.retrieval.index.collection import Collection


class Workspace:
    """An application and the services on top of it, for all visitors of the page."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.application = Application(settings, shared=True)
        self.access = Access(settings)
        self.documents = Documents(self.application)
        self.searching = Searching(self.application)
        self.page_images = PageImages(settings)
        self.jobs = Jobs()

    def names(self) -> list[str]:
        """List the collections."""
        return self.application.catalog.names()

    @contextmanager
    def opened(self, name: str) -> Iterator[Collection]:
        """Open a collection for a short time."""
        with self.application.catalog.open(name, short_lived=True) as collection:
            yield collection

    def labels(self, name: str) -> Labels:
        """Return the relevance labels of a collection."""
        return Labels(self.settings.data_dir, name)

    def clicks(self, name: str) -> Clicks:
        """Return the click log of a collection."""
        return Clicks(self.settings.data_dir, name, enabled=self.settings.click_log)

    def close(self) -> None:
        """Stop the jobs and release the collections."""
        self.jobs.close()
        self.page_images.close()
        self.application.catalog.close()
