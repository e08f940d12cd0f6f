"""Pages that are made from the code and kept in the repository."""

from __future__ import annotations

import sys
from pathlib import Path

import typer


def give(text: str, output: Path | None, *, check: bool, usual: Path, regenerate: str) -> None:
    """Prints a page, writes it, or says whether the file that there is holds it.

    Args:
        text: the page.
        output: file to write or to compare; None: standard output, or the usual file.
        check: only compare.
        usual: where the repository keeps it.
        regenerate: the command that makes it.

    Raises:
        FleetError: the file is not current.
    """
    from fleet_assets.errors import FleetError

    if check:
        path = output or usual
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            raise FleetError(f"{path} is not current: run `{regenerate}`.")
        typer.echo(f"{path} is current.")
    elif output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text, encoding="utf-8")
