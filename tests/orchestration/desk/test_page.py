"""What the page's server answers, and to whom."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from flows.desk.guard import MOST_BYTES
from tests.people import question_on

PAYLOADS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[a](javascript:alert(1)) <javascript:alert(1)> ![b](data:text/html,x)",
    "<style>body { display: none }</style><link rel=stylesheet href=//evil>",
    "<iframe srcdoc='<script>parent.alert(1)</script>'></iframe><base href=//evil>",
    '"><svg onload=alert(1)>{{ 7 * 7 }}{% raw %}',
    '```x" onmouseover=alert(1) <script>\n</pre></code><script>alert(1)</script>\n```',
    "| <b onclick=alert(1)>a</b> | b |\n|---|---|\n| </td></table><script>alert(1)</script> | d |",
    "<form action=//evil><button>1</button></form><button data-key=1>2</button>",
    "[x]: javascript:alert(1)\n[x]",
    "&lt;script&gt;alert(1)&lt;/script&gt; <!-- --><script>",
]
_TAG = re.compile(r"<(/?)([a-z][a-z0-9]*)([^>]*)>", re.IGNORECASE)


def verdicts(kept):
    with kept.connected() as connection:
        return connection.execute(
            "SELECT said_by, state, said, why, seconds FROM verdicts ORDER BY bought_at"
        ).fetchall()


@pytest.mark.parametrize("payload", PAYLOADS)
def test_nothing_in_a_text_becomes_more_than_plain_markup(opened, person, payload):
    questions = [
        question_on(
            number,
            text,
            f"other {text}",
            prompt=[{"role": "system", "content": text}, {"role": "user", "content": text}],
        )
        for number, text in enumerate([payload, "harmless"])
    ]
    theirs, usual = (
        {(name.lower(), more.strip()) for _, name, more in _TAG.findall(card["html"])}
        for card in person(opened(questions), "Ada").question()["cards"]
    )
    plain = {"p", "br", "em", "pre", "code", "table", "thead", "tbody", "tr", "th", "td", "hr"}
    assert {name for name, _ in theirs - usual} <= plain
    assert {more for _, more in theirs - usual} <= {"", "/"}
    assert ("p", "") in usual


def test_a_name_and_a_guideline_are_escaped_too(kept, opened, person):
    app = opened([question_on(1), question_on(2)])
    ada = person(app, "<script>alert(1)</script>")
    ada.say(ada.question()["cards"][0])
    assert "<script>alert" not in ada.get("/").text
    assert "<script>alert" not in person(app).get("/").text  # offers the names that are known
    assert "<em>Be fair.</em>" in ada.get("/").text


@pytest.mark.parametrize("path", ["/", "/static/desk.js", "/static/desk.css", "/nothing"])
def test_every_answer_forbids_all_but_our_own_script_and_style(app, person, path):
    headers = person(app, "Ada").get(path).headers
    policy = dict(
        part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == policy["img-src"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


def test_pages_hold_no_script_of_their_own_and_fetch_from_nowhere_else(app, person):
    pages = [person(app).get("/").text, person(app, "Ada").get("/").text]
    pages += [card["html"] for card in person(app, "Ben").question()["cards"]]
    for page in pages:
        assert not re.search(r"<script(?! src=\"/static/)|\son\w+=|style=|javascript:", page)
        assert not re.search(r"(src|href|action)=\"(?!/static/)", page)


def test_an_annotator_sees_neither_models_nor_ids(opened, person):
    question = question_on(1)
    page = person(opened([question]), "Ada").question()["cards"][0]["html"]
    assert not any(shown.candidate_id in page for shown in question.responses)


@pytest.mark.parametrize(
    "host", ["evil.example:8765", "127.0.0.1.evil.example", "0.0.0.0", "192.168.0.7:8765", "", "["]
)
def test_a_name_that_anybody_can_let_point_here_is_refused(app, person, host):
    answer = person(app).get("/", headers={"host": host})
    assert answer.status_code == 403
    assert "who labels" not in answer.text.lower()


@pytest.mark.parametrize("host", ["localhost:1234", "127.0.0.1", "[::1]:8765"])
def test_names_of_this_machine_are_answered(app, person, host):
    assert person(app).get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://127.0.0.1:9999"},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
    ],
)
def test_a_page_of_another_site_cannot_label(kept, app, person, headers):
    ada = person(app, "Ada")
    card = ada.question()["cards"][0]
    body = {"prompt_id": card["prompt_id"], "responses": card["responses"], "state": "tie"}
    answer = ada.post(
        "/verdict",
        content=json.dumps(body | {"seconds": 1}),
        headers={"content-type": "application/json"} | headers,
    )
    assert answer.status_code == 403
    assert verdicts(kept) == []


def test_what_is_too_long_is_not_read(app, person):
    answer = person(app, "Ada").post("/name", json={"name": "x" * MOST_BYTES})
    assert (answer.status_code, "Shorten" in answer.text) == (403, True)


def test_with_a_token_nothing_is_answered_without_it(opened, person):
    app = opened([question_on(1)], token="secret")
    host = "http://192.168.0.7:8765"
    stranger = person(app, host=host)
    for path in ("/", "/?token=secre", "/?token=", "/static/desk.js"):
        assert stranger.get(path).status_code == 403
    assert stranger.post("/question", json={}).status_code == 403
    first = stranger.get("/?token=secret")
    assert first.status_code == 200
    assert re.search("httponly; .*samesite=strict", first.headers["set-cookie"].lower())
    assert stranger.post("/name", json={"name": "Eve"}).status_code == 200
    assert len(stranger.question()["cards"]) == 1
    assert stranger.get("/", headers={"host": "evil.example"}).status_code == 403


def test_a_label_of_each_kind_is_kept_as_it_was_given(kept, opened, person):
    questions = [question_on(i) for i in range(5)] + [
        question_on(5, "one", "two", "three"),
        question_on(6, "alone"),
    ]
    ada = person(opened(questions), "Ada")
    said = [
        {"ranks": [1, 2], "why": " clearer\nby far "},
        {"ranks": [2, 1]},
        {"state": "tie"},
        {"state": "both_bad"},
        {"state": "skipped"},
        {"ranks": [2, 1, 2]},
        {"score": 4},
    ]
    for one in said:
        answer = ada.say(ada.question()["cards"][0], **one)
        assert answer.json()["recorded"]
    assert verdicts(kept) == [
        ("Ada", "given", '{"preference": 1.0}', "clearer\nby far", 2.5),
        ("Ada", "given", '{"preference": 0.0}', "", 2.5),
        ("Ada", "tie", "{}", "", 2.5),
        ("Ada", "both_bad", "{}", "", 2.5),
        ("Ada", "skipped", "{}", "", 2.5),
        ("Ada", "given", '{"scores": [-2.0, -1.0, -2.0]}', "", 2.5),
        ("Ada", "given", '{"scores": [4.0]}', "", 2.5),
    ]


@pytest.mark.parametrize(
    "said",
    [
        {"ranks": [1]}, {"ranks": [1, 3]}, {"ranks": [0, 1]}, {"score": 3}, {"state": "invalid"},
        {"state": "nonsense"}, {"ranks": [1, 2], "seconds": -1}, {"ranks": "12"}, {"ranks": None},
        {"responses": []}, {"ranks": [1, 2], "why": "x" * 5000}, {"ranks": [1, 2, 3]},
    ],
)  # fmt: skip
def test_what_is_no_verdict_is_refused(kept, app, person, said):
    ada = person(app, "Ada")
    assert ada.say(ada.question()["cards"][0], **said).status_code == 422
    assert verdicts(kept) == []


def test_a_single_response_is_scored_on_the_scale_and_cannot_tie(kept, opened, person):
    ada = person(opened([question_on(1, "alone")], scale=3), "Ada")
    card = ada.question()["cards"][0]
    for wrong in ({"score": 0}, {"score": 4}, {"state": "tie"}, {"state": "both_bad"}):
        assert ada.say(card, **wrong).status_code == 422
    assert ada.say(card, score=3).json()["recorded"]
    assert ada.get("/").text.count('class="main"><kbd>3') == 1


def test_a_verdict_sent_twice_is_kept_once(kept, app, person):
    ada = person(app, "Ada")
    card = ada.question()["cards"][0]
    first, second = ada.say(card).json(), ada.say(card, ranks=[2, 1]).json()
    assert (first["recorded"], second["recorded"]) == (True, False)
    assert first["cards"][0]["id"] == second["cards"][0]["id"] != card["id"]
    assert len(verdicts(kept)) == 1


def test_the_next_question_comes_along_and_is_not_sent_again(app, person):
    ada = person(app, "Ada")
    now, ahead = ada.question()["cards"]
    after = ada.say(now, ranks=[1, 2], held=[now["id"], ahead["id"]]).json()["cards"]
    assert after[0]["id"] == ahead["id"]
    assert [card["html"] is None for card in after] == [True, False]


def test_undo_shows_the_question_again(kept, app, person):
    ada = person(app, "Ada")
    card = ada.question()["cards"][0]
    ada.say(card)
    back = ada.post("/undo", json={}).json()
    assert (back["undone"], back["cards"][0]["id"], back["progress"]["given"]) == (
        True,
        card["id"],
        0,
    )
    assert verdicts(kept) == []
    assert not ada.post("/undo", json={}).json()["undone"]


def test_the_last_label_is_told_once_and_the_page_says_what_is_next(opened, person):
    told = []
    options = {"on_done": lambda: told.append(1), "after": "the run goes <on>."}
    ada = person(opened([question_on(1), question_on(2)], **options), "Ada")
    assert ada.say(ada.question()["cards"][0]).json()["done"] is None
    assert told == []
    last = ada.question()["cards"][0]
    answer = ada.say(last).json()
    ada.say(last)
    assert "All done" in answer["done"]
    assert "the run goes &lt;on&gt;." in answer["done"]
    assert told == [1]


def test_who_has_nothing_left_waits_for_the_others(opened, person):
    app = opened([question_on(1)], people=2)
    ada = person(app, "Ada")
    answer = ada.say(ada.question()["cards"][0]).json()
    assert "Nothing left for you" in answer["done"]
    assert answer["progress"] == {"given": 1, "wanted": 2, "left": 1, "mine": 1, "seconds": 2.5}
    assert len(person(app, "Ben").question()["cards"]) == 1


def test_people_at_once_lose_nothing_and_get_no_question_twice(kept, opened, person):
    app = opened([question_on(i) for i in range(20)], people=2)

    def label(by):
        browser, seen = person(app, by), []
        while cards := browser.question()["cards"]:
            assert browser.say(cards[0]).json()["recorded"]
            seen.append(cards[0]["prompt_id"])
        return seen

    with ThreadPoolExecutor(2) as pool:
        ada, ben = pool.map(label, ["Ada", "Ben"])
    assert len(set(ada)) == len(ada) == len(set(ben)) == len(ben) == 20
    assert len(verdicts(kept)) == 40


def test_a_name_is_asked_for_tidied_and_kept(app, person):
    anna = person(app)
    assert "Who labels here?" in anna.get("/").text
    assert anna.post("/question", json={}).status_code == 409
    assert anna.post("/name", json={"name": " \u0000 "}).status_code == 422
    for typed in ("  Anna  Kärcher\n", "Anna Ka\u0308rcher"):
        assert anna.post("/name", json={"name": typed}).json() == {"by": "Anna Kärcher"}
    assert "Anna Kärcher" in anna.get("/").text
    assert anna.post("/leave", json={}).status_code == 200
    assert "Who labels here?" in anna.get("/").text


def test_a_name_that_differs_by_capitals_only_is_asked_about(app, person):
    ada = person(app, "Ada")
    ada.say(ada.question()["cards"][0])
    answer = person(app).post("/name", json={"name": "ADA"})
    assert (answer.status_code, "Ada labels here already" in answer.text) == (409, True)
    assert person(app).post("/name", json={"name": "Ada"}).status_code == 200


def test_urls_of_the_framework_are_off(app, person):
    ada = person(app, "Ada")
    for path in ("/docs", "/redoc", "/openapi.json", "/static/../app.py", "/static/"):
        assert ada.get(path).status_code == 404, urlsplit(path)


def test_a_verdict_that_cannot_be_kept_is_said_and_the_question_stays(kept, app, person):
    ada = person(app, "Ada")
    card = ada.question()["cards"][0]
    with kept.connected() as connection:
        connection.execute(
            "CREATE TRIGGER full BEFORE INSERT ON verdicts "
            "BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
        )
    answer = ada.say(card)
    assert (answer.status_code, "disk is full" in answer.text) == (503, True)
    assert ada.question()["cards"][0]["id"] == card["id"]


@pytest.mark.parametrize("body", ['{"held": NaN}', '{"held": 1}', "{", "[" * 9000, '"\\ud800"'])
def test_what_is_no_request_is_refused_and_breaks_nothing(app, person, body):
    sent = person(app, "Ada").post(
        "/question", content=body, headers={"content-type": "application/json"}
    )
    assert (sent.status_code // 100, sent.text.isascii()) == (4, True)
