"""What ``marquee sagemaker deploy`` and ``update`` are told of variants: models and capacity."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from marquee.cli.params import Number
from marquee.project import Project

if TYPE_CHECKING:
    from marquee.sagemaker.capacity import Instances, Serverless
    from marquee.sagemaker.hosting import Variant
    from marquee.sagemaker.tarball import Packed

VARIANT = re.compile(r"([^=,]+)=([^,]+)((?:,(?:weight|type|count)=[^,]+)*)")
WEIGHT = Number(0, 1_000_000)
# What only instances have, and what only serverless endpoints.
OF_INSTANCES = ("instance_type", "count", "ami", "startup_seconds", "scaling")
OF_SERVERLESS = ("memory", "provisioned", "max_concurrent")


class VariantWords(NamedTuple):
    """A variant as it was said: where its model is, or which version, and what differs."""

    name: str
    model: str
    weight: float = 1.0
    kind: str | None = None
    instances: int | None = None


def variant(text: str) -> VariantWords:
    """Read ``NAME=MODEL,weight=90,type=ml.c5.xlarge,count=2``; all but the first may be missing."""
    found = VARIANT.fullmatch(text)
    if found is None:
        raise click.BadParameter(
            f"{text!r} is no variant; expected NAME=VERSION or NAME=S3-URI, and behind it any of "
            ",weight=90 ,type=ml.c5.xlarge ,count=2"
        )
    said = dict(word.split("=", 1) for word in found[3].split(",")[1:])
    count = click.IntRange(1)(said.get("count"))
    return VariantWords(found[1], found[2], WEIGHT(said.get("weight", 1)), said.get("type"), count)


def weight_of(text: str) -> tuple[str, float]:
    """Read ``VARIANT=90``."""
    name, equals, weight = text.partition("=")
    if not name or not equals:
        raise click.BadParameter(f"{text!r} is not VARIANT=WEIGHT, such as new=10")
    return name, WEIGHT(weight)


def pack_model(
    model: str | None, output: Path, versions: tuple[str, ...], script: Path | None, program: str
) -> Packed:
    """Pack a model's archives, or a script folder."""
    from marquee.sagemaker import tarball

    if script is not None:
        if versions:
            raise click.UsageError("a script folder has no --version")
        return tarball.pack_script(script, output, program)
    if model is None:
        raise click.UsageError("name a MODEL, or a folder with --script")
    return tarball.pack(Project.find(), model, versions, output)


def refuse(given: dict[str, Any], names: tuple[str, ...], why: str) -> None:
    """Refuse options that were said and do not count."""
    for name in names:
        if given[name] not in (None, ()):
            said = {"startup_seconds": "startup_timeout"}.get(name, name).replace("_", "-")
            raise click.UsageError(f"--{said} {why}")


def read_variants(model: str, given: dict[str, Any], folder: Path) -> tuple[Variant, ...]:
    """Take what the models are, and what they run on, out of ``given``."""
    from marquee.sagemaker.hosting import VARIANT, Variant

    said = given.pop("variants")
    source = _source(given, said)
    capacity = {name: given.pop(name) for name in (*OF_INSTANCES[:-1], *OF_SERVERLESS)}
    capacity["serverless"] = given.pop("serverless")
    models = {one.model: _model_data(model, one.model, source, folder) for one in said}
    models = models or {"": _model_data(model, "", source, folder)}
    return tuple(
        Variant(*models[one.model], one.name, one.weight, _capacity(one, capacity))
        for one in said or [VariantWords(VARIANT, "")]
    )


def _source(given: dict[str, Any], said: tuple[VariantWords, ...]) -> dict[str, Any]:
    """Take where models come from out of ``given``, or refuse what does not go together."""
    names = ("model_data", "bucket", "prefix", "versions", "script", "program")
    source = {name: given.pop(name) for name in names}
    if said:
        refuse(source, ("model_data", "versions", "script"), "is in each --variant: leave it away")
    packs = any(not one.model.startswith("s3://") for one in said)
    uploads = source["bucket"] is not None
    if given["multi_model"] and (uploads or source["versions"] or source["script"]):
        raise click.UsageError(
            "--multi-model serves a folder, --model-data s3://BUCKET/FOLDER/; a model gets there "
            "by: marquee sagemaker models put"
        )
    if said and packs != uploads:
        raise click.UsageError(
            "--bucket is where a --variant that is a version is uploaded: say both or neither"
        )
    if not said and (source["model_data"] is None) != uploads:
        raise click.UsageError("say either --bucket (to pack and upload) or --model-data")
    if source["model_data"] is not None and (source["versions"] or source["script"]):
        raise click.UsageError("--model-data is packed already: no --version, no --script")
    return source


def _model_data(
    model: str, version: str, source: dict[str, Any], folder: Path
) -> tuple[str, Packed | None]:
    """Return where a model's data is, and what is to be uploaded there, if anything."""
    from marquee.sagemaker.deploy import data_address

    if version.startswith("s3://") or source["model_data"] is not None:
        return source["model_data"] or version, None
    versions = (version,) if version else source["versions"]
    output = folder / f"model-{version}.tar.gz"
    packed = pack_model(model, output, versions, source["script"], source["program"])
    return data_address(packed, source["bucket"], source["prefix"], model), packed


def _capacity(words: VariantWords, options: dict[str, Any]) -> Instances | Serverless:
    """Return what a variant runs on: what it says itself, else the options."""
    from marquee.sagemaker.capacity import Instances, Serverless
    from marquee.sagemaker.values import given

    if not options["serverless"]:
        refuse(options, ("memory", "provisioned"), "is for --serverless")
        kind, count = words.kind or options["instance_type"], words.instances or options["count"]
        more = {"ami": options["ami"], "startup_seconds": options["startup_seconds"]}
        return Instances(**given(kind=kind, count=count, **more))
    if words.kind or words.instances:
        raise click.UsageError("a --variant of --serverless has no type and no count")
    concurrency = options["max_concurrent"]
    sizes = {"memory": options["memory"], "provisioned": options["provisioned"]}
    return Serverless(**given(concurrency=concurrency, **sizes))
