"""The page's application, people at it, and questions to answer."""

import pytest
from fastapi.testclient import TestClient

from flows.desk.app import create_app
from prefopt_core.labels.desk import Desk
from prefopt_core.labels.store import LabelStore
from tests.people import leave, question_on

HOST = "http://127.0.0.1:8765"


class Person(TestClient):
    """A browser whose script sends what the page's would."""

    def __init__(self, app, by=None, host=HOST):
        super().__init__(app, base_url=host, headers={"origin": host})
        if by:
            assert self.post("/name", json={"name": by}).status_code == 200

    def question(self):
        """What is answered to the page when it opens."""
        return self.post("/question", json={}).json()

    def say(self, card, state="given", **more):
        """Answer a question; by default the first response is better."""
        if state == "given" and not more:
            more = {"ranks": [1, 2]}
        asked = {name: card[name] for name in ("prompt_id", "responses")}
        return self.post("/verdict", json={**asked, "state": state, "seconds": 2.5, **more})


@pytest.fixture
def kept(tmp_path):
    return LabelStore(tmp_path)


@pytest.fixture
def opened(kept):
    """Leave questions, and open the page on them; returns the application."""

    def opened(questions, people=1, **options):
        return create_app(
            Desk(kept, leave(kept, questions, people=people)), "*Be fair.*", **options
        )

    return opened


@pytest.fixture
def app(opened):
    """The application, with five questions."""
    return opened([question_on(i) for i in range(5)])


@pytest.fixture
def person():
    return Person
