"""The HTTP interface: health, the run as JSON, its events as a stream, metrics, and the page."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import FastAPI, Header, HTTPException, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, StreamingResponse
from fastapi.telemetry import TelemetryConfig
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from pydantic import BaseModel, Field
from pydantic.json_schema import SkipJsonSchema
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fedmol.sidecar import event_stream, views
from fedmol.sidecar.live_page import Page
from fedmol.sidecar.log_watch import Watch
from fedmol.sidecar.prometheus import RunCollector

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_NOWHERE = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; {_NOWHERE}"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_OF_THE_REPORT = f"default-src 'none'; style-src 'unsafe-inline'; {_NOWHERE}"  # it has its style within, and no script
# An environment variable could otherwise make a service that stands beside confidential data send out what it is asked.
_NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
_LAST_LINE = 2**53  # beyond it JavaScript cannot count
_EVENT = {
    "type": "object",
    "required": ["id", "event", "data"],
    "properties": {
        "id": {"type": "string", "description": "the line's number in the log"},
        "event": {"type": "string", "description": "the event's kind"},
        "data": {"type": "string", "contentMediaType": "application/json", "description": "the line"},
    },
}
_Line = Annotated[int, Field(ge=0, le=_LAST_LINE)]
_LineOrAll = Annotated[int, Field(ge=-1, le=_LAST_LINE)]
_Absent = SkipJsonSchema[None]  # an argument that is left out; none can be sent as null
_PROBLEM: dict[str, Any] = {"model": views.Problem, "content": {"application/problem+json": {}}}
_PROBLEMS: dict[int | str, dict[str, Any]] = {422: {**_PROBLEM, "description": "An argument is not what it should be."}}


def create_app(watch: Watch, *, answer_to: Sequence[str] | None = None) -> FastAPI:
    """The service over one log.

    With `answer_to` it answers to these host names alone, so that no web page that a browser near it visits can read it
    under a name of its own (DNS rebinding).
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        following = asyncio.create_task(watch.follow())
        yield
        watch.close()
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following

    app = FastAPI(
        title="fedmol sidecar",
        summary="What a run's event log tells. It only reads.",
        version=version("fedmol"),
        lifespan=lifespan,
        docs_url=None,  # they would fetch their scripts from outside
        redoc_url=None,
        telemetry=_NO_TELEMETRY,
    )
    _answer_with_problems(app)
    if answer_to is not None:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=answer_to, www_redirect=False)
    app.add_middleware(_Hardened)
    _add_health(app, watch)
    _add_run(app, watch)
    _add_stream(app, watch)
    _add_page(app, watch)
    return app


def interface() -> str:
    """What OpenAPI says of the service, as docs/sidecar/openapi.json has it."""
    return json.dumps(create_app(Watch(FilePath())).openapi(), indent=1) + "\n"


def _json(view: BaseModel, status: int = 200, media_type: str = "application/json") -> Response:
    return Response(view.model_dump_json(), status, media_type=media_type)


def _problem(status: int, title: str, detail: str) -> Response:
    return _json(views.Problem(title=title, status=status, detail=detail), status, "application/problem+json")


def _answer_with_problems(app: FastAPI) -> None:
    @app.exception_handler(StarletteHTTPException)
    async def refused(_: Request, error: StarletteHTTPException) -> Response:
        response = _problem(error.status_code, "The request cannot be answered", str(error.detail))
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(RequestValidationError)
    async def misshapen(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return _problem(422, "An argument is not what it should be", f"{where}: {first['msg']}")


class _Hardened:
    """Adds the security headers to every answer that does not set them itself."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, sending)


def _add_health(app: FastAPI, watch: Watch) -> None:
    @app.get("/healthz", operation_id="health", tags=["health"], response_model=views.Health)
    async def health() -> Response:
        """The process answers."""
        return _json(views.Health(status="ok"))

    @app.get(
        "/readyz",
        operation_id="readiness",
        tags=["health"],
        response_model=views.Readiness,
        responses={503: {"model": views.Readiness, "description": "Not ready, and why."}},
    )
    async def readiness() -> Response:
        """Whether the log is there and has been read to its end."""
        reasons = watch.reasons
        return _json(views.Readiness(ready=not reasons, reasons=reasons), 503 if reasons else 200)

    registry = CollectorRegistry()
    registry.register(RunCollector(watch))

    @app.get(
        "/metrics",
        operation_id="metrics",
        tags=["health"],
        response_class=Response,
        responses={200: {"content": {CONTENT_TYPE_LATEST: {"schema": {"type": "string"}}}}},
    )
    async def metrics() -> Response:
        """For Prometheus, as text."""
        return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _add_run(app: FastAPI, watch: Watch) -> None:
    @app.get("/v1/status", operation_id="status", tags=["run"], response_model=views.StatusView)
    async def status() -> Response:
        """The run as a whole, its log and its certificates."""
        return _json(views.status_view(watch.run, watch.log_view(), watch.certificates(), watch.moment))

    @app.get("/v1/sites", operation_id="sites", tags=["run"], response_model=views.SitesView)
    async def sites() -> Response:
        """Every site's state; on a site also what left it, tensor by tensor."""
        return _json(views.sites_view(watch.run, watch.moment))

    @app.get(
        "/v1/rounds",
        operation_id="rounds",
        tags=["run"],
        response_model=views.RoundsView,
        responses=_PROBLEMS,
    )
    async def rounds(limit: Annotated[int, Query(ge=1, le=1000, description="the newest ones")] = 100) -> Response:
        """The newest rounds, in order."""
        known = list(watch.run.rounds.values())
        total = watch.run.past.rounds + len(known)
        return _json(views.RoundsView(total=total, rounds=[views.round_view(round) for round in known[-limit:]]))

    @app.get(
        "/v1/rounds/{number}",
        operation_id="round",
        tags=["run"],
        response_model=views.RoundDetail,
        responses={404: {**_PROBLEM, "description": "No such round yet."}, **_PROBLEMS},
    )
    async def round(number: Annotated[int, Path(ge=1, le=1_000_000)]) -> Response:
        """One round with its sites' figures and, while it is not long over, their timelines."""
        if number not in watch.run.rounds:
            raise HTTPException(404, f"there is no round {number} in the log")
        return _json(views.round_detail(watch.run.rounds[number]))

    @app.get("/v1/molecules", operation_id="molecules", tags=["run"], response_model=views.MoleculesView)
    async def molecules() -> Response:
        """The newest samples: those of the last evaluated round or, once the run is over, of its model."""
        return _json(watch.molecules)


def _add_stream(app: FastAPI, watch: Watch) -> None:
    @app.get(
        "/v1/events",
        operation_id="events",
        tags=["run"],
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {"itemSchema": _EVENT}}}, **_PROBLEMS},
    )
    async def events(
        after: Annotated[_LineOrAll | _Absent, Query(description="a line's number; -1 for all")] = None,
        last_event_id: Annotated[_Line | _Absent, Header()] = None,
    ) -> StreamingResponse:
        """The log's events, from now on or after a given one, for as long as the client listens."""
        start = last_event_id if last_event_id is not None else after
        return StreamingResponse(event_stream.events(watch, start), media_type="text/event-stream")


def _add_page(app: FastAPI, watch: Watch) -> None:
    page = Page(watch)

    @app.get("/", include_in_schema=False)
    async def show() -> Response:
        return Response(page.html(), media_type="text/html; charset=utf-8")

    @app.get(
        "/report",
        operation_id="report",
        tags=["run"],
        response_class=HTMLResponse,
        responses={404: {**_PROBLEM, "description": "No report yet."}},
    )
    async def report() -> Response:
        """The account of the finished run, as a page that needs nothing else."""
        try:
            content = await asyncio.to_thread(watch.read_report)
        except OSError as error:
            raise HTTPException(404, f"there is no report: {error.strerror}") from None
        return HTMLResponse(content, headers={"Content-Security-Policy": _OF_THE_REPORT})

    @app.get("/page.css", include_in_schema=False)
    async def style() -> Response:
        return Response(page.style, media_type="text/css; charset=utf-8")

    @app.get("/page.js", include_in_schema=False)
    async def script() -> Response:
        return Response(page.script, media_type="text/javascript; charset=utf-8")
