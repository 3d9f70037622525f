"""The plot of requests a second against p99."""

import re
import xml.etree.ElementTree as ET

from marquee.tuning.figures import Level
from marquee.tuning.plot import HEIGHT, WIDTH, svg
from marquee.tuning.report import Trial, TuningReport
from marquee.tuning.setting import Setting

SVG = "{http://www.w3.org/2000/svg}"


def report(target: float | None = None) -> TuningReport:
    slow = Trial(Setting(), [Level(1, 50, 9, 20, 60), Level(8, 90, 60, 140, 120)])
    fast = Trial(Setting(threads=1), [Level(1, 120, 4, 8, 60), Level(8, 400, 15, 33.5, 120)])
    broken = Trial(Setting(workers=2), refused="does not load: <no> & memory")
    return TuningReport(
        model="cifar",
        version="1.0",
        questions=("a",),
        target=target,
        cores=2,
        trials=(slow, fast, broken),
        best=1,
        within_target=True,
        seconds=9.0,
        ended="so",
        interrupted=False,
        changes={("marquee", "threads"): 1},
    )


def test_each_measurement_has_a_point_inside() -> None:
    root = ET.fromstring(svg(report()))  # noqa: S314 - ours
    dots = [(float(dot.attrib["cx"]), float(dot.attrib["cy"])) for dot in root.iter(f"{SVG}circle")]
    assert len(dots) == 4
    assert all(0 < x < WIDTH and 0 < y < HEIGHT for x, y in dots)


def test_more_requests_are_higher_and_later_answers_to_the_right() -> None:
    root = ET.fromstring(svg(report()))  # noqa: S314 - ours
    best = [dot.attrib for dot in root.iter(f"{SVG}circle") if "best" in dot.attrib["class"]]
    lone, many = ((float(dot["cx"]), float(dot["cy"])) for dot in best)
    assert many[0] > lone[0]
    assert many[1] < lone[1]


def test_the_target_is_a_line() -> None:
    assert 'class="target"' not in svg(report())
    assert len(re.findall('class="target"', svg(report(target=50.0)))) == 1
