"""Starts the command line: `python -m remotestatus`, and the installed `remotestatus`."""

from remotestatus.cli import main

if __name__ == "__main__":
    main()
