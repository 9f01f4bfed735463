"""What the worst requests cost: memory and processor time of a server in a process of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from benchmarks.speed.request_costs import (
    MOST_MEGABYTES,
    MOST_SECONDS,
    MOST_TIMES_SENT,
    Request,
    cost_of,
    requests,
)
from benchmarks.speed.servers import CLASSIFIERS, Server
from benchmarks.speed.servers import running as server

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture(scope="module")
def running() -> Iterator[dict[str, Server]]:
    with server("serve") as api, server("web") as page:
        yield {"serve": api, "web": page}


@pytest.mark.parametrize("request_", requests(), ids=lambda each: each.what)
def test_a_costly_request_is_refused_before_it_costs(
    running: dict[str, Server], request_: Request
) -> None:
    cost = cost_of(request_, running[request_.kind])
    trains = request_.path == CLASSIFIERS
    most = MOST_TIMES_SENT * cost.sent / 1_000_000 if trains else MOST_MEGABYTES
    assert cost.megabytes < most
    assert cost.seconds < MOST_SECONDS
    assert cost.status == 200 if trains else cost.status in (400, 413, None)  # None: it hung up
