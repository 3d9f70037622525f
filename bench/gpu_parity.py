"""One archive's answers to its reference vectors, in each number format, on a GPU.

A process of its own for each archive; ``bench.gpu`` starts it. The weights are the vectors' own,
made here: they are too large to be carried.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from bench import gpu_archive
from tests.golden import synth

AS_NPY = {"Accept": "application/x-npy"}
AS_PNG = {"Accept": "image/png", "Content-Type": ""}
PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
NO_FP16 = ("fp32", "bf16")  # on a CPU
PERFECT = 99.0  # dB, of equal pictures


@dataclass(frozen=True)
class Agreement:
    """How far answers are from the reference.

    Attributes:
        what: was compared.
        found: the worst value.
        limit: what fp32 must keep.
        rising: whether more is better.
    """

    what: str
    found: float
    limit: float
    rising: bool = False

    @property
    def kept(self) -> bool:
        """Whether the limit is kept."""
        return self.found >= self.limit if self.rising else self.found <= self.limit


# From a folder for weights, and the vectors: the weight file, and what compares a handler.
Compare = Callable[[Any], list[Agreement]]
Case = tuple[str, Callable[[Path], Path], Compare]


def state_of(golden: Path, spec: str, salt: str = "", gain: float = 1.0) -> dict[str, Any]:
    """Make the synthetic weights of a {key: shape} file, its keys side by side."""
    shapes = json.loads((golden / spec).read_text())
    siblings: Any = synth._siblings(shapes)

    def one(key: str) -> Any:
        return torch.from_numpy(synth.array(key, shapes[key], None, salt, gain, siblings))

    with ThreadPoolExecutor() as pool:
        return dict(zip(shapes, pool.map(one, shapes), strict=True))


def cifar(golden: Path) -> Iterator[Case]:
    """Ten pictures' logits, by either network."""
    expected = json.loads((golden / "cifar" / "expected.json").read_text())
    logits = np.load(golden / "cifar" / "logits.npz")
    body = (golden / "cifar" / "inputs_uint8_nchw.npy").read_bytes()

    def case(name: str) -> Case:
        def weights(folder: Path) -> Path:
            spec, salt = f"cifar_{name}_state_dict.json", expected[name]["salt"]
            path = folder / f"{name}.pth"
            torch.save(state_of(golden, spec, salt, expected["gain"]), path)
            return path

        def compare(handler: Any) -> list[Agreement]:
            found = _array(gpu_archive.ask(handler, (body, AS_NPY))[0])
            same = (found.argmax(1) == logits[name].argmax(1)).mean()
            return [
                Agreement("logits, largest difference", _most(found, logits[name]), 1e-4),
                Agreement("labels that agree, share", float(same), 1.0, rising=True),
            ]

        return name, weights, compare

    yield from map(case, ("lenet", "vgg11"))


def inkwash(golden: Path) -> Iterator[Case]:
    """Paintings of four photos."""
    folder = golden / "inkwash"
    photos = {name: next(folder.glob(f"{name}.*")) for name in ("portrait", "landscape", "rgba")}

    def weights(target: Path) -> Path:
        state = state_of(golden, "inkwash_state_dict.json", "inkwash-golden-1:")
        torch.save(state, target / "latest_net_G.pth")
        return target / "latest_net_G.pth"

    def compare(handler: Any) -> list[Agreement]:
        worst, ratio = 0.0, PERFECT
        requests = [(path.read_bytes(), AS_PNG) for path in photos.values()]
        for name, answer in zip(photos, gpu_archive.ask(handler, *requests), strict=True):
            expected = _picture((folder / f"{name}_expected.png").read_bytes())
            found = _picture(answer.body)
            worst, ratio = max(worst, _most(found, expected)), min(ratio, psnr(found, expected))
        return [
            Agreement("pixels, largest difference of 255", worst, 1),
            Agreement("pictures, dB", ratio, 50, rising=True),
        ]

    yield "generator", weights, compare


def rotifer(golden: Path) -> Iterator[Case]:
    """Detections in two pictures, by either network."""
    folder = golden / "rotifer"

    def case(net: str) -> Case:
        def weights(target: Path) -> Path:
            files = {"cfg": net, "weights": net, "data": "rotifer", "names": "rotifer"}
            for kind, stem in files.items():
                shutil.copyfile(folder / f"{stem}.{kind}", target / f"rotifer.{kind}")
            return target / "rotifer.weights"

        def compare(handler: Any) -> list[Agreement]:
            missed, probability, box = 0, 0.0, 0.0
            for letter in ("a", "b"):
                text = (folder / f"expected_{net}_field_{letter}.json").read_text()
                body = (folder / f"field_{letter}.png").read_bytes()
                found = json.loads(gpu_archive.ask(handler, (body, {}))[0].body)["detections"]
                some = _detections(found, json.loads(text)["detections"])
                missed, probability = missed + some[0], max(probability, some[1])
                box = max(box, some[2])
            return [
                Agreement("detections missed or added", missed, 0),
                Agreement("probabilities, largest difference", probability, 1e-4),
                Agreement("boxes, largest difference in px", box, 0.02),
            ]

        return net, weights, compare

    yield from map(case, ("tiny5", "res5"))


def smoke(golden: Path) -> Iterator[Case]:
    """Probabilities of a scene, as its original answered."""
    folder = golden / "smoke"
    expected = np.load(folder / "predictions.npz")["predictions"]

    def weights(target: Path) -> Path:
        # From Keras' file; made with the bundle, since reading it needs h5py.
        return Path(shutil.copyfile(folder / "smoke_unet.pth", target / "smoke.pth"))

    def compare(handler: Any) -> list[Agreement]:
        body = gzip.decompress((folder / "request.json.gz").read_bytes())
        json_type = {"Content-Type": "application/json", **AS_NPY}
        npy = (folder / "scene.npy").read_bytes()
        answers = gpu_archive.ask(handler, (npy, AS_NPY), (body, json_type))
        worst = max(_most(_array(answer), expected) for answer in answers)
        return [Agreement("probabilities, largest difference", worst, 1e-4)]

    yield "unet", weights, compare


def timetravel(golden: Path) -> Iterator[Case]:
    """A face at four ages, by the original's network with pictures of 64 x 64."""
    folder = golden / "timetravel"
    ages = (25, 35, 55, 75)

    def weights(target: Path) -> Path:
        opts: dict[str, Any] = {"output_size": 64, "input_nc": 4, "start_from_latent_avg": False}
        opts |= {"start_from_encoded_w_plus": True, "device": "cuda:0", "checkpoint_path": None}
        average = torch.from_numpy(synth.array("latent_avg", [10, 512]))
        state = state_of(golden, "timetravel/small_state_dict.json")
        path = target / "sam.pt"
        torch.save({"state_dict": state, "latent_avg": average, "opts": opts}, path)
        return path

    def compare(handler: Any) -> list[Agreement]:
        headers = {"X-Marquee-Align": "false", "X-Marquee-Ages": ",".join(map(str, ages)), **AS_NPY}
        face = (folder / "input.png").read_bytes()
        strip = _array(gpu_archive.ask(handler, (face, headers))[0])
        with np.load(folder / "small.npz") as vectors:
            ratios = [
                psnr(strip[:, 64 * (index + 1) : 64 * (index + 2)], vectors[f"img{age}"])
                for index, age in enumerate(ages)
            ]
        return [Agreement("pictures, dB", min(ratios), 60, rising=True)]

    yield "64 px", weights, compare


CASES: dict[str, Callable[[Path], Iterator[Case]]] = {
    "cifar": cifar,
    "smoke": smoke,
    "rotifer": rotifer,
    "inkwash": inkwash,
    "timetravel": timetravel,
}


def psnr(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Peak signal-to-noise ratio of 8-bit pictures in dB."""
    error = np.square(a.astype(np.float64) - b.astype(np.float64)).mean()
    return min(float(10 * np.log10(255**2 / max(error, 1e-12))), PERFECT)


def _most(a: NDArray[Any], b: NDArray[Any]) -> float:
    return float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max())


def _array(answer: Any) -> NDArray[Any]:
    loaded: NDArray[Any] = np.load(io.BytesIO(answer.body))
    return loaded


def _picture(body: bytes) -> NDArray[Any]:
    with Image.open(io.BytesIO(body)) as opened:
        return np.asarray(opened.convert("RGB"))


def _detections(found: list[Any], wanted: list[Any]) -> tuple[int, float, float]:
    """Pair by class and nearest box; return the lonely, and the largest differences."""
    left, probability, box = list(wanted), 0.0, 0.0
    lonely = 0
    for one in found:
        rivals = [other for other in left if other[3] == one["class_id"]]
        if not rivals:
            lonely += 1
            continue
        nearest = min(rivals, key=lambda other: _most(np.array(other[2]), np.array(one["box"])))
        probability = max(probability, abs(nearest[1] - one["probability"]))
        box = max(box, _most(np.array(nearest[2]), np.array(one["box"])))
        left.remove(nearest)
    return lonely + len(left), probability, box


def check(model: str, archive: Path, golden: Path, report: gpu_archive.Report, gpu: bool) -> None:
    """Load the archive as it is, then compare each case in each number format."""
    gpu_id = 0 if gpu else None
    gpu_archive.load(archive, gpu_archive.own_weights(archive), gpu_id)
    report.add("loaded", model=model)
    for case, weights, compare in CASES[model](golden):
        with tempfile.TemporaryDirectory() as folder:
            path = weights(Path(folder))
            for precision in PRECISIONS if gpu else NO_FP16:
                name = f"{model} {case}"
                try:
                    handler = gpu_archive.load(archive, path, gpu_id, precision=precision)
                    note(report, name, precision, compare(handler))
                except Exception as error:
                    if precision == "fp32":
                        raise
                    report.add("impossible", what=f"{name}, {precision}", why=str(error)[:300])


def note(report: gpu_archive.Report, name: str, precision: str, found: Sequence[Agreement]) -> None:
    """Write down how far the answers in one number format are from the reference."""
    for one in found:
        report.add(
            "agreement",
            model=name,
            precision=precision,
            what=one.what,
            found=one.found,
            limit=one.limit if precision == "fp32" else None,
            failed=precision == "fp32" and not one.kept,
        )


def main() -> None:
    """Check the archive that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=CASES)
    parser.add_argument("--archive", type=Path, required=True)
    parser.add_argument("--golden", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    options = parser.parse_args()
    gpu_archive.enter(options.archive)
    report = gpu_archive.Report(options.report)
    check(options.model, options.archive, options.golden, report, options.device == "cuda")


if __name__ == "__main__":
    main()
