"""``marquee tune``: which setting of a model is best on this machine."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import marquee
from marquee.cli.errors import printable
from marquee.cli.params import AS_JSON, PARAMETERS, Number, duration, share
from marquee.cli.tables import show_table
from marquee.project import Project

if TYPE_CHECKING:
    from marquee.tuning.report import Trial, TuningReport

# What shells say of a command that Ctrl-C ended: 128 and the signal's number.
INTERRUPTED = 130
HEADS = ("", "WORKERS", "THREADS", "BATCH", "DELAY", "PRECISION", "MEMORY", "FASTER")


def _svg(_context: click.Context, _option: click.Parameter, path: Path | None) -> Path | None:
    if path is not None and path.suffix != ".svg":
        raise click.BadParameter(f"{str(path)!r} is no SVG; expected a name that ends with .svg")
    return path


@click.command()
@click.argument("model")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--version", help="Which version is tuned.  [default: the default one]")
@click.option(
    "--budget",
    type=duration,
    default="5m",
    show_default=True,
    help="How long it may take, the start of its server included.",
)
@click.option(
    "--p99",
    type=Number(0.1),
    metavar="MS",
    help="Within so many milliseconds 99 of 100 answers must come.  [default: any]",
)
@click.option(
    "--clients",
    type=click.IntRange(1, 100),
    default=32,
    show_default=True,
    help="How many ask at a time, at the most.",
)
@click.option("--precision", is_flag=True, help="Try other number formats, too.")
@click.option(
    "--tolerance",
    type=share,
    metavar="SHARE",
    help="How far their answers may be from fp32's, such as 1%; without it none is chosen.",
)
@PARAMETERS
@click.option(
    "--accept",
    metavar="TYPE",
    help="json, png, jpg, npy or a media type.  [default: the model's]",
)
@click.option("--write", is_flag=True, help="Write the best into the model's model-config.yaml.")
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=_svg,
    metavar="FILE.svg",
    help="Where the plot goes.  [default: logs/tune-MODEL.svg]",
)
@AS_JSON
def tune(model: str, write: bool, plot: Path | None, as_json: bool, **options: Any) -> None:
    """Find how MODEL is best set on this machine, with FILES as requests.

    Workers, threads, batch size and delay are tried under load, one at a time as far as it pays,
    on a server of its own; each answer is checked. FILES are pictures, or folders of them; without
    any the archive's example is asked. Most requests a second win, within --p99. Ctrl-C ends the
    search and shows what was measured. The exit code is 1 if no setting keeps --p99.
    """
    if options["tolerance"] is not None and not options["precision"]:
        raise click.UsageError("--tolerance is for other number formats: add --precision")
    project = Project.find()
    report = marquee.tune(project, model, say=_say, **options)
    target = plot or project.logs / f"tune-{model}.svg"
    _plot(report, target)
    try:
        if write:
            from marquee.tuning.tune import write_best

            report = write_best(project, report)
    finally:
        if as_json:
            click.echo(json.dumps(report.plain() | {"plot": str(target)}, indent=1))
        else:
            _show(report, target, write)
    if report.interrupted:
        sys.exit(INTERRUPTED)
    sys.exit(0 if report.within_target else 1)


def _say(line: str) -> None:
    click.echo(printable(line), err=True)


def _plot(report: TuningReport, target: Path) -> None:
    from marquee.files import replacing
    from marquee.tuning.plot import svg

    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as part:
        part.write_text(svg(report))


def _show(report: TuningReport, plot: Path, write: bool) -> None:
    counts = [level.clients for level in report.trials[0].levels]
    clients = [f"{count} CLIENT" + ("S" if count > 1 else "") for count in counts]
    click.echo(f"{report.model} {report.version}: requests a second, p50 / p99 in ms")
    show_table([*HEADS, *clients, ""], [_row(report, i) for i in range(len(report.trials))])
    click.echo(f"{report.ended}, after {report.seconds:.0f} s; the plot is {plot}")
    for line in _conclusion(report, write):
        click.echo(line)


def _row(report: TuningReport, index: int) -> list[str]:
    trial = report.trials[index]
    one = trial.setting
    delay = f"{one.delay} ms" if one.batch > 1 else "-"
    cells = [str(index + 1), str(one.workers), str(one.threads or "auto"), str(one.batch), delay]
    cells += [one.precision, f"{trial.memory / 1e6:.0f} MB"]
    cells.append(f"{trial.relative:.2f}x" if trial.levels else "-")
    figures = [f"{at.rate:.4g}, {at.p50:.1f} / {at.p99:.1f}" for at in trial.levels]
    figures += [""] * (len(report.trials[0].levels) - len(figures))
    return [*cells, *figures, _remark(report, index, trial)]


def _remark(report: TuningReport, index: int, trial: Trial) -> str:
    from marquee.tuning.report import agreement
    from marquee.tuning.setting import FP32

    said = ["as it was"] if index == 0 else []
    said += ["best"] if index == report.best else []
    said += [agreement(trial)] if trial.setting.precision != FP32 and not trial.refused else []
    return printable(", ".join([*said, *filter(None, [trial.refused])]))


def _conclusion(report: TuningReport, write: bool) -> list[str]:
    if not report.within_target:
        return [f"no setting keeps a p99 of {report.target:g} ms; nearest is {report.best + 1}"]
    if not report.changes:
        return ["as it was is best: nothing is to be changed"]
    listed = ", ".join(f"{'.'.join(key)}: {value}" for key, value in report.changes.items())
    if report.written:
        file = f"handlers/{report.model}/model-config.yaml"
        advice = f"bring it in with 'marquee archive {report.model}' and a restart"
        return [f"written to {file}: {listed}; {advice}"]
    advice = "" if write else "; --write puts it into model-config.yaml"
    return [f"best: {listed}{advice}"]
