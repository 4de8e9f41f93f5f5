"""`python -m striate`."""

from striate.cli import run

if __name__ == "__main__":
    run()
