"""Questions to a venue by HTTP: bounded in time and size, without redirects, without retries."""

import http.client
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

BODY_BYTES_MAX: Final = 24_000_000
HTTP_OK: Final = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """What a venue has answered."""

    status: int
    # Names in lower case.
    headers: dict[str, str]
    body: bytes


def ask(base_url: str, path: str, *, timeout: float, bytes_max: int = BODY_BYTES_MAX) -> Answer:
    """Get one path below a base address; blocks.

    Errors: OSError, http.client.HTTPException, also for an answer that is longer than `bytes_max`.
    """
    parts = urlsplit(base_url)
    connection_class = (
        http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    )
    connection = connection_class(parts.netloc, timeout=timeout)
    try:
        connection.request("GET", parts.path.rstrip("/") + path)
        with connection.getresponse() as response:
            body = response.read(bytes_max + 1)
            headers = {name.lower(): value for name, value in response.getheaders()}
            answer = Answer(response.status, headers, body)
    finally:
        connection.close()
    if len(body) > bytes_max:
        message = f"the answer is longer than {bytes_max} bytes"
        raise http.client.HTTPException(message)
    return answer


def ask_well(base_url: str, path: str, *, timeout: float) -> bytes:
    """Return the body of an answer with status 200. Errors as `ask`, and HTTPException for any other status."""
    answer = ask(base_url, path, timeout=timeout)
    if answer.status != HTTP_OK:
        message = f"status {answer.status}"
        raise http.client.HTTPException(message)
    return answer.body
