"""Write docs/cli.md from the help of every command, and the drawn figures: `make docs`."""

import io
from pathlib import Path

from rich.console import Console

from striate.cli import app
from striate.cli.shorthelp import print_all

CLI = Path(__file__).with_name("cli.md")
TOP = """# Commands

The help of every command. `make docs` writes this page; a test compares it with the commands.
"""


def main() -> None:
    """Write the page and the figures."""
    import drawings  # beside this script, which is not on the path of who reads `page`

    CLI.write_text(page(), encoding="utf-8")
    print(f"wrote {CLI}")
    for path in drawings.write():
        print(f"wrote {path}")


def page() -> str:
    """Return the page: `striate --help`, then each command's, by name."""
    commands = sorted(name for name in app if not name.startswith("-"))
    parts = [_part("striate", []), *(_part(f"striate {name}", [name]) for name in commands)]
    return "\n".join([TOP, *parts])


def _part(title: str, tokens: list[str]) -> str:
    console = Console(
        file=io.StringIO(), width=80, color_system=None, force_terminal=False, legacy_windows=False
    )
    print_all(app, tokens, console)
    written = console.file.getvalue()  # type: ignore[attr-defined]
    lines = "\n".join(line.rstrip() for line in written.splitlines()).strip("\n")
    return f"## {title}\n\n```text\n{lines}\n```\n"


if __name__ == "__main__":
    main()
