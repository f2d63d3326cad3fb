"""Script that Streamlit runs for each visitor; worker processes that import it do nothing."""

if __name__ == "__main__":
    from twotower.ui.main import main

    main()
