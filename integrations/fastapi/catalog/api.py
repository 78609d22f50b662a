"""The service: prices by name, for everybody; what they add up to, for those who know the token."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Annotated

from fastapi import Depends, FastAPI, Header, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError

from catalog.settings import Settings, get_settings

log = logging.getLogger("uvicorn.error")

Current = Annotated[Settings, Depends(get_settings)]


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Load the settings once, so that a service that can't have any does not start."""
    await run_in_threadpool(get_settings)
    yield


app = FastAPI(lifespan=lifespan)


class Price(BaseModel):
    amount: Decimal
    currency: str


@app.get("/price/{name}")
def price(name: str, settings: Current) -> Price:
    amount = settings.prices.get(name)
    if amount is None:
        raise HTTPException(404, f"{name} is not for sale")
    return Price(amount=amount, currency=settings.currency)


@app.get("/total")
def total(settings: Current, token: Annotated[str, Header()]) -> Price:
    if not secrets.compare_digest(token.encode(), settings.api_token.get_secret_value().encode()):
        raise HTTPException(403, "that is not the token")
    return Price(amount=sum(settings.prices.values(), Decimal()), currency=settings.currency)


@app.exception_handler(ValidationError)
def refuse(_: Request, error: ValidationError) -> JSONResponse:
    """Say that the settings are wrong: to the log which, with the keys in etcd; to the client nothing more."""
    log.error("The settings are wrong: %s", "; ".join([str(error), *getattr(error, "__notes__", [])]))
    return JSONResponse({"detail": "the settings are wrong"}, status_code=503)
