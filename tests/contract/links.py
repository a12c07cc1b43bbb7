"""Reads the links of an OpenAPI document as a client does: which values of an answer go where in the next request."""

from collections import defaultdict
from typing import Any

import httpx

from cryptocfd.embedded.processes import wait_until

_ANSWER = "$response.body#/"
_ASKED = "$request."

Json = dict[str, Any]


def told(link: Json, asked: dict[tuple[str, str], Any], answer: Any) -> dict[tuple[str, str], Any]:
    """Return what a link tells the operation that it leads to, by place and name: ("path", "order_id")."""

    def value_of(expression: str) -> Any:
        if expression.startswith(_ASKED):
            place, _, name = expression.removeprefix(_ASKED).partition(".")
            return asked[place, name]
        value = answer
        for part in expression.removeprefix(_ANSWER).split("/"):
            value = value[int(part)] if isinstance(value, list) else value[part]
        return value

    body = {("body", name): text for name, text in link.get("requestBody", {}).items()}
    parameters = {tuple(name.split(".")): text for name, text in link.get("parameters", {}).items()}
    return {place: value_of(text) for place, text in (parameters | body).items()}


class Follower:
    """A signed-in client that knows an API by its document, and goes from answer to answer by the links there."""

    def __init__(self, http: httpx.Client, document: Json) -> None:
        self._http = http
        self._places = {
            operation["operationId"]: (method, path, operation)
            for path, item in document["paths"].items()
            for method, operation in item.items()
        }

    def links_of(self, operation_id: str) -> dict[str, Json]:
        """Return the links of an operation's success by what they lead to."""
        *_, operation = self._places[operation_id]
        links: dict[str, Json] = operation["responses"]["200"].get("links", {})
        return {link["operationId"]: link for link in links.values()}

    def ask(self, operation_id: str, values: dict[tuple[str, str], Any]) -> httpx.Response:
        """Run an operation with the values of its parameters and body; ask again what says that the record is behind."""
        method, path, _ = self._places[operation_id]
        given: defaultdict[str, Json] = defaultdict(dict)
        for (place, name), value in values.items():
            given[place][name] = value
        sent: Json = {"params": given["query"]}
        if given["body"]:
            sent["json"] = given["body"]
        answers = []

        def is_whole() -> bool:
            answers.append(self._http.request(method, path.format(**given["path"]), **sent))
            return not _is_behind(answers[-1])

        wait_until(is_whole, seconds=30)
        return answers[-1]

    def follow(self, link: Json, answer: httpx.Response, added: Json) -> httpx.Response:
        """Go on from an answer by one of its links, with what its description says is to be added."""
        more = {("body", name): value for name, value in added.items()}
        return self.ask(link["operationId"], told(link, {}, answer.json()) | more)


def _is_behind(answer: httpx.Response) -> bool:
    if not answer.headers["Content-Type"].startswith("application/json"):
        return False
    data = answer.json()["data"]
    return isinstance(data, dict) and data.get("isCurrent") is False
