"""`python -m app` is `twotower`."""

from app.cli import main

if __name__ == "__main__":
    main()
