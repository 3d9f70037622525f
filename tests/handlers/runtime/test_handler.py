"""The ends of a request's way that other kinds of handler use as well."""

import pytest

from handlers.runtime.errors import TooLarge
from handlers.runtime.handler import check_answer_size


def test_an_answer_over_the_servers_limit_is_refused_with_the_settings_name() -> None:
    check_answer_size(b"1234", 4)
    with pytest.raises(TooLarge, match=r"5 bytes, the server sends at most 4.*max_response_size"):
        check_answer_size(b"12345", 4)
