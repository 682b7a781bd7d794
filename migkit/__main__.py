"""``python -m migkit``."""

from migkit.cli import main

if __name__ == "__main__":
    main()
