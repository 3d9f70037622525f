"""A version that is watched must not pass because nobody asked it."""

from marquee.archives.example import ExampleRequest
from marquee.versions.probe import Probe
from marquee.versions.watching import _Asker


def test_questions_that_cannot_be_sent_are_a_problem() -> None:
    def connect() -> Probe:
        raise KeyError("inference_address")

    asker = _Asker(connect, [ExampleRequest(b"", {}, "one")])
    asker.start()
    asker.join(30)
    assert asker.problem == "it could not be asked (KeyError: 'inference_address')"
