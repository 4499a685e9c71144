"""Run the command line by ``python -m polarstep``."""

from .cli import main

if __name__ == "__main__":
    main()
