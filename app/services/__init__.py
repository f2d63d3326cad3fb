"""Services: what every door (command line, page, LangChain) can do, independent of the door."""
