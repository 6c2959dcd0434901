"""The web application of the page: what its script asks for, and what it sends."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from fastapi import BackgroundTasks, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, Field, FiniteFloat

from flows.desk.guard import COOKIE, HEADERS, Guard
from flows.desk.pages import card, form_of, page, rendered
from prefopt_core.ground.errors import PrefoptError
from prefopt_core.labels.desk import Desk
from prefopt_core.labels.people import alike, person_named
from prefopt_core.labels.questions import Question, State, Verdict
from prefopt_core.labels.standing import Pace

NAME = "prefopt_annotator"
"""Cookie with the person's name."""

_NOBODY = "The page does not know your name any more. Reload it."
_STATES = ("given", "tie", "both_bad", "skipped")
_YEAR_S = 365 * 24 * 3600
_AHEAD = 2  # the question on the screen, and the one after it


class Named(BaseModel):
    """A person's name."""

    name: str = Field(max_length=200)


class Held(BaseModel):
    """The questions whose pages the browser has already, by their ids."""

    held: list[str] = Field([], max_length=10)


class Said(Held):
    """A person's verdict.

    Attributes:
        prompt_id: The prompt of the question.
        responses: Candidate ids, in the order shown.
        state: As in a verdict.
        ranks: Of each response, 1 is the best; where two or more were shown.
        score: Of the one response.
        why: The person's reason.
        seconds: How long the question was looked at.
    """

    prompt_id: str
    responses: tuple[str, ...] = Field(min_length=1, max_length=100)
    state: State
    ranks: list[int] | None = None
    score: int | None = None
    why: str = Field("", max_length=4000)
    seconds: FiniteFloat = Field(ge=0, le=86_400)

    def verdict(self, by: str, scale: int) -> Verdict:
        """The verdict.

        Raises:
            ValueError: It is none, or not on the scale.
        """
        more: dict[str, Any] = {"by": by, "why": self.why.strip(), "seconds": self.seconds}
        states = ("given", "skipped") if len(self.responses) == 1 else _STATES
        if self.state not in states:
            raise ValueError(f"{self.state!r}, where {', '.join(states)} can be said")
        if self.state != "given":
            return Verdict(self.state, **more)
        if len(self.responses) == 1:
            if self.score is None or not 1 <= self.score <= scale:
                raise ValueError(f"a score of {self.score}: it is 1 to {scale}")
            return Verdict.scored(float(self.score), **more)
        ranks = self.ranks or []
        if len(ranks) != len(self.responses) or not set(ranks) <= {*range(1, len(ranks) + 1)}:
            raise ValueError(f"ranks {ranks} of {len(self.responses)} responses")
        if len(ranks) == 2 and ranks[0] != ranks[1]:
            return Verdict.preferred(float(ranks[0] < ranks[1]), **more)
        return Verdict.ranked(ranks, **more)


def create_app(
    desk: Desk,
    guidelines: str,
    *,
    scale: int = 5,
    after: str = "",
    token: str | None = None,
    on_done: Callable[[], None] = lambda: None,
) -> FastAPI:
    """The page's application.

    Args:
        desk: What is asked, and where verdicts go.
        guidelines: What the annotators are told, Markdown.
        scale: A single response is scored 1 to this, at most 10.
        after: What happens once all is answered.
        token: A secret without which nothing is answered; None: none is asked for.
        on_done: Called when the last label of the batch is on disk.
    """
    app, guard = FastAPI(docs_url=None, redoc_url=None, openapi_url=None), Guard(token)
    pages = _Pages(desk, guidelines, scale, after, on_done)
    app.add_api_route("/", pages.shell, methods=["GET"])
    for answer in (pages.name, pages.leave, pages.question, pages.verdict, pages.undo):
        app.add_api_route(f"/{answer.__name__}", answer, methods=["POST"])
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"))

    @app.exception_handler(PrefoptError)
    def unkept(request: Request, error: Exception) -> Response:
        return PlainTextResponse(f"Not kept. {error}", 503)

    @app.exception_handler(RequestValidationError)
    def unread(request: Request, error: Exception) -> Response:
        return PlainTextResponse("This is not what the page sends. Reload it.", 422)

    @app.middleware("http")
    async def guarded(
        request: Request, answer: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        refusal = guard.refusal(request)
        response = PlainTextResponse(refusal, 403) if refusal else await answer(request)
        response.headers.update(HEADERS)
        if token is not None and guard.opened_by(request):
            response.set_cookie(COOKIE, token, httponly=True, samesite="strict")
        return response

    return app


@dataclass(frozen=True)
class _Pages:
    """What is answered to whom; a person's name is a cookie."""

    desk: Desk
    guidelines: str
    scale: int
    after: str
    on_done: Callable[[], None]

    def shell(self, request: Request) -> Response:
        """The page that the script fills; before, the one that asks for a name."""
        if not (by := _name_in(request)):
            known = sorted({pace.by for pace in self.desk.progress().people} - {""})
            return HTMLResponse(page("name", known=known))
        told = rendered(self.guidelines)
        return HTMLResponse(page("desk", by=by, guidelines=told, scale=self.scale))

    def name(self, named: Named) -> Response:
        """Keep a person's name in the browser."""
        if not (by := _tidy(named.name)):
            return PlainTextResponse("A name needs letters.", 422)
        known = {pace.by for pace in self.desk.progress().people}
        if by not in known and (others := alike(by, known)):
            return PlainTextResponse(
                f"{others[0]} labels here already. If that is you, go on under that name; if not, "
                "add to yours.",
                409,
            )
        response = JSONResponse({"by": by})
        # Not "strict": an address opened from a mail would ask for the name again.
        response.set_cookie(NAME, quote(by), max_age=_YEAR_S, httponly=True, samesite="lax")
        return response

    def leave(self) -> Response:
        """Forget the name."""
        response = JSONResponse({})
        response.delete_cookie(NAME, httponly=True, samesite="lax")
        return response

    def question(self, request: Request, held: Held) -> Response:
        """What is to be answered next."""
        return self._answer(request, held)

    def verdict(self, request: Request, said: Said, later: BackgroundTasks) -> Response:
        """Record a verdict; then what is next. One that was recorded before is told, not kept."""
        try:
            verdict = said.verdict(_name_in(request), self.scale)
        except ValueError as error:
            return PlainTextResponse(f"No verdict: {error}.", 422)
        if not verdict.by:
            return PlainTextResponse(_NOBODY, 409)
        became = self.desk.record(said.prompt_id, said.responses, verdict)
        if became == "last":
            later.add_task(self.on_done)
        return self._answer(request, said, recorded=became != "refused")

    def undo(self, request: Request, held: Held) -> Response:
        """Take the person's last verdict back; then what is next."""
        return self._answer(request, held, undone=self.desk.undo(_name_in(request)))

    def _answer(self, request: Request, held: Held, **more: bool) -> Response:
        """The questions ahead and the progress; without the pages that the browser has."""
        if not (by := _name_in(request)):
            return PlainTextResponse(_NOBODY, 409)
        questions, progress = self.desk.look(by, _AHEAD)
        cards = [_card(question, held.held) for question in questions]
        own = next((one for one in progress.people if one.by == by), Pace(by, 0, None))
        shown = {
            "given": progress.given,
            "wanted": progress.wanted,
            "left": progress.left,
            "mine": own.labels,
            "seconds": own.seconds,
        }
        done = None if cards else page("done", progress=progress, by=by, after=self.after)
        return JSONResponse({"cards": cards, "progress": shown, "done": done} | more)


def _card(question: Question, held: list[str]) -> dict[str, Any]:
    return {
        "id": question.question_id,
        "prompt_id": question.prompt_id,
        "responses": [shown.candidate_id for shown in question.responses],
        "form": form_of(question),
        "html": None if question.question_id in held else card(question),
    }


def _name_in(request: Request) -> str:
    """The person's name; "" if it was not asked for yet."""
    return _tidy(unquote(request.cookies.get(NAME, "")))


def _tidy(name: str) -> str:
    """A name on one line, at most 60 characters; "" if it cannot be shown."""
    by = person_named(name)[:60]
    return by if by.isprintable() else ""
