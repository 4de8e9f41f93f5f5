"""`striate --install-completion`: completion of commands and flags in the shell."""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from striate import console, files
from striate.errors import DataError, UsageError

from .app import app, switch

Shell = Literal["bash", "zsh", "fish"]


@app.command(name="--install-completion")
def install_completion(
    *,
    shell: Annotated[
        Shell | None, Parameter(help="bash, zsh or fish. [default: the one that runs this]")
    ] = None,
    yes: Annotated[bool, switch("Write without asking.")] = False,
) -> None:
    """Let the shell complete commands and flags; say first which files are written."""
    found = shell or _running()
    script, startup = _places(found)
    written = f"{script}" + (f", and in {startup} the lines that load it" if startup else "")
    if not (yes or _agreed(f"this writes {written}")):
        console.say("nothing was written")
        return
    files.make_folder(script.parent)
    try:
        app.install_completion(shell=found, output=script, add_to_startup=startup is not None)
    except OSError as error:
        raise DataError(f"cannot write the completion: {error}") from error
    console.say(f"wrote {written}: it works in the next shell")


def _running() -> Shell:
    from cyclopts.completion.detect import ShellDetectionError, detect_shell

    try:
        found = detect_shell()
    except ShellDetectionError:
        found = "powershell"
    if found == "powershell":
        raise UsageError("which shell runs this is not to be seen: name it with --shell bash")
    return found


def _places(shell: Shell) -> tuple[Path, Path | None]:
    """Name the script of a shell's completion, and the file that has to load it, if one has to."""
    home = Path.home()
    if shell == "fish":
        return home / ".config/fish/completions/striate.fish", None
    if shell == "bash":
        return home / ".local/share/bash-completion/completions/striate", home / ".bashrc"
    custom = os.environ.get("ZSH_CUSTOM")
    if custom and Path(custom).is_dir():  # oh-my-zsh looks there by itself
        return Path(custom) / "completions/_striate", None
    return home / ".zsh/completions/_striate", home / ".zshrc"


def _agreed(what: str) -> bool:
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"{what}: add --yes if it may")
    console.say(what)
    sys.stderr.write("go on? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
