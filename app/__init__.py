"""The application: settings, wiring, and the ways in."""
