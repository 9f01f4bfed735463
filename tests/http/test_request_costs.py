"""What the worst requests cost: memory and processor time of a server in a process of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from benchmarks.request_costs import (
    MOST_MEGABYTES,
    MOST_SECONDS,
    Request,
    Server,
    requests,
    server,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture(scope="module")
def running() -> Iterator[dict[str, Server]]:
    with server("serve") as api, server("web") as page:
        yield {"serve": api, "web": page}


@pytest.mark.parametrize("request_", requests(), ids=lambda each: each.what)
def test_a_costly_request_is_refused_before_it_costs(
    running: dict[str, Server], request_: Request
) -> None:
    cost = running[request_.kind].cost(request_)
    assert cost.megabytes < MOST_MEGABYTES
    assert cost.seconds < MOST_SECONDS
    assert cost.status in (400, 413, None)  # or the server hung up on what goes on


def test_uploads_are_not_kept_twice(running: dict[str, Server]) -> None:
    largest = next(each for each in requests() if each.what == "file of 100 MB")
    cost = running["serve"].cost(largest)
    assert cost.megabytes * 1_000_000 < 1.5 * cost.sent
