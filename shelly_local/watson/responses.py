"""What a caller of IBM's Python SDK gets: an answer in its wrapper, or its exception."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

from shelly_local.errors import ShellyError

Result = TypeVar("Result")


class Headers(Mapping[str, str]):
    """Read-only HTTP headers; names are found in any case and listed as given."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._items = {name.lower(): (name, value) for name, value in headers.items()}

    def __getitem__(self, name: str) -> str:
        return self._items[name.lower()][1]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._items.values())

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"Headers({dict(self)!r})"


class DetailedResponse(Generic[Result]):
    """An answer with its status and headers.

    Attributes:
        result: the answer as a dict.
        status_code: the HTTP status that fits, 200.
        headers: ``Content-Type`` and ``X-Global-Transaction-Id``, found in any case.
    """

    def __init__(
        self,
        *,
        response: Result,
        headers: Mapping[str, str] | None = None,
        status_code: int = 200,
    ) -> None:
        self.result = response
        self.headers = Headers(
            headers
            or {
                "Content-Type": "application/json",
                "X-Global-Transaction-Id": _new_transaction_id(),
            }
        )
        self.status_code = status_code

    def get_result(self) -> Result:
        """The answer as a dict."""
        return self.result

    def get_status_code(self) -> int:
        """The HTTP status."""
        return self.status_code

    def get_headers(self) -> Headers:
        """The headers, a mapping that ignores the case of names."""
        return self.headers

    def __str__(self) -> str:
        parts = {
            "result": self.result,
            "headers": dict(self.headers),
            "status_code": self.status_code,
        }
        return json.dumps(parts, indent=4, ensure_ascii=False)


class ApiException(ShellyError):  # noqa: N818 - IBM's name for it
    """A request that failed as a whole, raised where IBM's SDK raises its ``ApiException``.

    Attributes:
        code: the HTTP status; also as ``status_code``.
        message: the sentence shown to people; the same as ``str(error)``.
        body: the JSON object that the service would have sent; also as ``result`` and
            ``info``. Either ``{"error": {"code", "description", "error_id"}}``, or, when
            the images are at fault, an answer of ``classify`` with an ``error`` per image.
        http_response: always None, as no HTTP is involved.
        global_transaction_id: an identifier of this failure.
    """

    def __init__(
        self,
        code: int,
        *,
        message: str = "",
        http_response: None = None,
        body: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.http_response = http_response
        self.body: dict[str, Any] = dict(body or {})
        self.global_transaction_id = _new_transaction_id()

    @property
    def status_code(self) -> int:
        """The HTTP status."""
        return self.code

    @property
    def result(self) -> dict[str, Any]:
        """The JSON object that the service would have sent."""
        return self.body

    @property
    def info(self) -> dict[str, Any]:
        """The same as ``body``, under the name of IBM's first SDKs."""
        return self.body


def _new_transaction_id() -> str:
    return uuid.uuid4().hex
