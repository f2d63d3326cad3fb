"""The web page: pages without logic on top of `twotower.app.services.workspace`."""
