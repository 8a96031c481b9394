"""`python -m duckstore`: the command line."""

from duckstore.cli import main

if __name__ == "__main__":
    main()
