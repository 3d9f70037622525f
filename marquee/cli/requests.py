"""``marquee predict`` and ``explain``: files to the running server, answers back."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

import marquee
from marquee.cli.params import PARAMETERS, Number, group
from marquee.project import Project

if TYPE_CHECKING:
    from marquee.client.modelclient import FileAnswer

# Longer JSON is printed as it came: a number a line would be millions of them.
LONGEST_PRETTY = 1 << 16
# What shells say of a command that Ctrl-C ended: 128 and the signal's number.
INTERRUPTED = 130


OPTIONS = group(
    click.argument("model"),
    click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path)),
    click.option("--version", help="Which version answers.  [default: the server's]"),
    click.option(
        "--accept",
        metavar="TYPE",
        help="json, png, jpg, npy or a media type.  [default: by -o, else the model's]",
    ),
    click.option(
        "--content-type",
        metavar="TYPE",
        help="What FILES are, in the same words.  [default: by their bytes, else names]",
    ),
    click.option(
        "-o",
        "--output",
        metavar="PATH",
        help="Save answers there: a file, a folder, or a template such as "
        "'{stem}-out.png'. Only a single named file is overwritten.",
    ),
    click.option(
        "--jobs",
        type=click.IntRange(1, 64),
        default=4,
        show_default=True,
        help="Files in flight at once.",
    ),
    click.option(
        "--retries",
        type=click.IntRange(0, 20),
        default=6,
        show_default=True,
        help="How often a busy server is asked again.",
    ),
    click.option(
        "--timeout",
        type=Number(0.1),
        default=300.0,
        show_default=True,
        help="Seconds that an answer may take.",
    ),
    PARAMETERS,
)


@click.command()
@OPTIONS
def predict(**options: Any) -> None:
    """Ask the running server about FILES and show the answers.

    JSON and text are printed: pretty for one file, a line a file for several. Pictures and arrays
    are saved, as <file>-<model>.png and the like in the current folder unless -o says where. A
    file that fails does not stop the others; the exit code is then 1. - is standard input.
    """
    _show(marquee.predict, options)


@click.command()
@OPTIONS
@click.option("--method", help="integrated_gradients, occlusion or grad_cam.")
@click.option("--target", help="What is explained: a class, a region or a detection's index.")
@click.option("--steps", type=int, help="How often the network is evaluated, 8 to 256.")
def explain(
    method: str | None,
    target: str | None,
    steps: int | None,
    parameters: dict[str, str],
    **options: Any,
) -> None:
    """Ask what in FILES led to the answers.

    The answers are heat maps, or numbers with --accept json or npy, and shown and saved as by
    'marquee predict', which see.
    """
    own = {"method": method, "target": target, "steps": None if steps is None else str(steps)}
    given = {name: value for name, value in own.items() if value is not None}
    _show(marquee.explain, options | {"parameters": parameters | given})


def _show(ask: Callable[..., Iterator[FileAnswer]], options: dict[str, Any]) -> None:
    files = options.pop("files")
    answers = ask(Project.find(), options.pop("model"), files, **options)
    failed = []
    try:
        for answer in _with_progress(answers, len(files)):
            if answer.problem is not None:
                failed.append(answer)
            _print(answer, alone=len(files) == 1)
    except KeyboardInterrupt:
        _leave()
    if failed:
        _list_failures(failed, len(files))
        sys.exit(1)


def _leave() -> NoReturn:
    """End at once: threads that read from the server would hold up an orderly exit for long."""
    click.echo("Stopped; files without an answer so far have none.", err=True)
    sys.stdout.flush()
    os._exit(INTERRUPTED)


def _with_progress(answers: Iterator[FileAnswer], total: int) -> Iterator[FileAnswer]:
    """Show a bar on stderr for several files, where someone looks at it."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress

    console = Console(stderr=True)
    with Progress(
        *Progress.get_default_columns(),
        MofNCompleteColumn(),
        console=console,
        disable=total == 1 or not console.is_terminal,
        redirect_stdout=sys.stdout.isatty(),  # else what is piped would go to stderr
        transient=True,
    ) as bar:
        yield from bar.track(answers, total=total, description="Asking")


def _print(answer: FileAnswer, *, alone: bool) -> None:
    if not alone:
        click.echo(json.dumps(_line(answer), ensure_ascii=False))
    elif answer.saved is not None:
        click.echo(f"{answer.saved}  {_measure(answer.saved)}")
    elif answer.problem is None:
        text = _pretty(answer)
        click.echo(text, nl=not text.endswith("\n"))


def _line(answer: FileAnswer) -> dict[str, Any]:
    """Return the JSON that stands for one of many answers."""
    line: dict[str, Any] = {"file": str(answer.file)}
    if answer.problem is not None:
        return line | {"status": answer.status, "error": answer.problem}
    if answer.saved is not None:
        return line | {"saved": str(answer.saved), "size": _measure(answer.saved)}
    return line | {"answer": _read(answer)}


def _read(answer: FileAnswer) -> Any:
    text = answer.body.decode(errors="replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text  # some scripts answer in plain text


def _pretty(answer: FileAnswer) -> str:
    found = _read(answer)
    if isinstance(found, str) or len(answer.body) > LONGEST_PRETTY:
        return answer.body.decode(errors="replace")
    return json.dumps(found, indent=2, ensure_ascii=False)


def _measure(path: Path) -> str:
    """Say how large a saved answer is: bytes, and pixels or an array's shape."""
    size = f"{path.stat().st_size} bytes"
    try:
        return f"{size}, {shape}" if (shape := _shape(path)) else size
    except (OSError, ValueError):  # its name or its type promises what it is not
        return size


def _shape(path: Path) -> str:
    if path.suffix == ".npy":
        import numpy as np

        array = np.load(path, mmap_mode="r", allow_pickle=False)
        return f"{array.dtype} {' x '.join(map(str, array.shape))}"
    if path.suffix in (".png", ".jpg", ".jpeg"):
        from PIL import Image

        with Image.open(path) as image:
            return f"{image.width} x {image.height} pixels"
    return ""


def _list_failures(failed: Sequence[FileAnswer], total: int) -> None:
    if total == 1:
        raise click.ClickException(f"{failed[0].file}: {failed[0].problem}")
    click.echo(f"Error: {len(failed)} of {total} files have no answer:", err=True)
    for answer in failed:
        click.echo(f"  {answer.file}: {answer.problem}", err=True)
