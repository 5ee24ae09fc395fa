"""The web service in docs/serving.md answers as it stands there."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from typing import Any

import pytest

from cofi_jobs.serve import recommend_for
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store.store import Store
from tests.support.data import random_ratings, write_ratings
from tests.support.nights import run_night
from tests.support.repository import blocks

DOCUMENT = "docs/serving.md"


@pytest.fixture
def published(store: Store, quick: Settings) -> Store:
    ratings = random_ratings()
    ratings.loc[ratings["userId"] == 10, "userId"] = 42
    write_ratings(store.landing / "ratings.csv", ratings)
    run_night(store, quick, "n1")
    return store


@pytest.fixture
def address(published: Store) -> Iterator[str]:
    """Where the service of the document answers."""
    [code] = blocks(DOCUMENT, "python service")
    names: dict[str, Any] = {"__name__": "service"}
    exec(code.replace("STORE", str(published.root)), names)
    with ThreadingHTTPServer(("localhost", 0), names["Service"]) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()


def ask(address: str, question: Any) -> Any:
    with urllib.request.urlopen(address, json.dumps(question).encode()) as answer:
        return json.load(answer)


@pytest.mark.slow
def test_the_service_of_the_document(address: str, published: Store):
    listed = ask(address, {"ratings": {"107": 5, "121": 3.5, "5": 1}, "n": 3})
    assert listed == [vars(row) for row in recommend_for(published, {107: 5, 121: 3.5}, n=3)]
    assert len(listed) == 3
    of_user = ask(address, {"ratings": {}, "user_id": 42})
    assert of_user == [vars(row) for row in recommend_for(published, {}, user_id=42)]
    for question, message in (
        ({"ratings": {"107": 9}}, "found 9 for item 107, expected a rating from 1 to 5"),
        ({"n": 3}, "ratings"),
        ([], "list"),
    ):
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(address, question)
        assert refused.value.code == 400
        assert message in json.load(refused.value)["error"]


def test_the_calls_of_the_document(published: Store, capsys: pytest.CaptureFixture[str]):
    names: dict[str, Any] = {}
    for code in blocks(DOCUMENT):
        exec(code.replace("STORE", str(published.root)), names)
    assert capsys.readouterr().out.count("\n") == 5
    assert names["known"] == recommend_for(published, {107: 5}, n=10, user_id=42)
    assert names["listed"] == recommend_for(published, {107: 5, 121: 3.5}, n=10)
