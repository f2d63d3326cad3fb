"""The web page: pages without logic, over `app.workspace`."""
