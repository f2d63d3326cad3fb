"""One module for each page; in a folder `pages` Streamlit would take them for scripts to run."""
