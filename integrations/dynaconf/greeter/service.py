"""The service: greetings for everybody, and for those who know the token, which settings this worker runs."""

from __future__ import annotations

import os
import secrets
from typing import Any

from flask import Flask, abort, request

from greeter.settings import settings

app = Flask(__name__)


@app.get("/greet")
def greet() -> str:
    current = settings.current  # once, so that all of a request sees one state
    names = request.args.getlist("name")
    if len(names) > current.LIMITS.names:
        abort(400, f"at most {current.LIMITS.names} names")
    return f"{current.GREETING}, {' and '.join(names) or 'you'}!"


@app.get("/worker")
def worker() -> dict[str, Any]:
    state = settings.live.current
    if not secrets.compare_digest(request.headers.get("token", "").encode(), state.settings.TOKEN.encode()):
        abort(403)
    return {"pid": os.getpid(), "revision": state.revision, "greeting": state.settings.GREETING}
