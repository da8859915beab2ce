"""``python -m perpetua`` is the command line."""

from perpetua.cli import main

if __name__ == "__main__":
    main()
