"""Output of the commands: tables and text for people, JSON for programs."""
