"""The app's own HTTP routes beside Streamlit's: pictures, layers, health; and security headers.

    /insight/image/{image_id}        the picture; ?side= fits it into so many pixels
    /insight/layer/{case_id}/{key}   a further layer of a case, 8-bit grey PNG
    /insight/assets/{hash}/viewer.js the viewer's script, the same for everybody
    /health                          whether app and store answer

Routes stand outside the sessions, so each address of a project's data carries a signed pass
(services.passes). Only ids are taken, never paths.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from core.errors import InsightError
from dashboard.components.served import script
from dashboard.services.image_files import Encoded
from dashboard.services.passes import Passes
from db.errors import NotFound, StoreError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from dashboard.bootstrap import Services

IMAGE = "/insight/image/{image_id:uuid}"
LAYER = "/insight/layer/{case_id:uuid}/{key}"
HEALTH = "/health"
KEEP = "private, max-age=86400, immutable"
KEEP_ASSET = "public, max-age=31536000, immutable"
HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "SAMEORIGIN",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "content-security-policy": "frame-ancestors 'self'; object-src 'none'; base-uri 'self'",
}
"""On every answer, Streamlit's too."""
OURS = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "cross-origin-resource-policy": "same-origin",
}
"""On what our own routes answer, instead."""

Answer = Callable[[Request], Encoded]


def image_path(image_id: str) -> str:
    """Where a picture is."""
    return f"/insight/image/{image_id}"


def layer_path(case_id: str, key: str) -> str:
    """Where a layer of a case is."""
    return f"/insight/layer/{case_id}/{key}"


def routes(services: Callable[[], Services], passes: Passes) -> list[Route]:
    """The routes over the services, which are made when they are first needed."""

    def image(request: Request) -> Encoded:
        side = request.query_params.get("side")
        return services().images.encoded(str(request.path_params["image_id"]), _side(side))

    def layer(request: Request) -> Encoded:
        case_id, key = str(request.path_params["case_id"]), request.path_params["key"]
        content = services().layers.png(case_id, key)
        return Encoded(content, "image/png", hashlib.sha256(content).hexdigest()[:32])

    def health(request: Request) -> Response:
        try:
            services().images.reachable()
        except (InsightError, StoreError) as error:
            return JSONResponse({"status": "store unavailable", "message": str(error)}, 503)
        return JSONResponse({"status": "ok"}, headers={"cache-control": "no-store"})

    return [
        Route(IMAGE, _guarded(image, passes), methods=["GET"]),
        Route(LAYER, _guarded(layer, passes), methods=["GET"]),
        Route(HEALTH, health, methods=["GET"]),
        Route(script()[0], _asset, methods=["GET"]),
    ]


def security() -> Sequence[Middleware]:
    """What st.App takes as middleware."""
    return [Middleware(SecurityHeaders)]


class SecurityHeaders:
    """Adds HEADERS to every HTTP answer that does not say otherwise itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                said = {name.lower() for name, _ in message.get("headers", ())}
                more = [
                    (name.encode(), value.encode())
                    for name, value in HEADERS.items()
                    if name.encode() not in said
                ]
                message = {**message, "headers": [*message.get("headers", ()), *more]}
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


def _asset(request: Request) -> Response:
    """The viewer's script; its path holds its hash, so it may be kept for ever."""
    headers = {"cache-control": KEEP_ASSET, "cross-origin-resource-policy": "same-origin"}
    return Response(script()[1], media_type="text/javascript", headers=headers)


def _guarded(answer: Answer, passes: Passes) -> Callable[[Request], Response]:
    """Only with a pass; refusals as a sentence; nothing sent twice that the browser still has."""

    def respond(request: Request) -> Response:
        asked = request.scope.get("raw_path", b"").split(b"?")[0].decode("latin-1")
        if not passes.allows(asked, request.query_params.multi_items()):
            return _refusal(403, "this address has no valid pass; reload the page")
        try:
            found = answer(request)
        except NotFound as error:
            return _refusal(404, str(error))
        except (InsightError, StoreError) as error:
            return _refusal(409, str(error))
        headers = {**OURS, "cache-control": KEEP, "etag": f'"{found.tag}"'}
        if headers["etag"] in request.headers.get("if-none-match", "").split(", "):
            return Response(status_code=304, headers=headers)
        return Response(found.content, media_type=found.mime, headers=headers)

    return respond


def _refusal(status: int, message: str) -> Response:
    body: dict[str, Any] = {"message": message}
    return JSONResponse(body, status, headers={**OURS, "cache-control": "no-store"})


def _side(value: str | None) -> int | None:
    return int(value) if value and value.isdecimal() and len(value) <= 5 else None
