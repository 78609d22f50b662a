"""The service: prices by name, for everybody; what they add up to, for those who know the token."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Annotated

from fastapi import Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel

from catalog.settings import Settings, get_settings, live
from etcd_settings import Change

log = logging.getLogger("uvicorn.error")

Current = Annotated[Settings, Depends(get_settings)]


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Load the settings, so that a service that can't have any does not start, and follow etcd until it ends."""
    told = live.on_change("prices")(announce)  # here, where the loop runs that it shall run on
    async with live:
        yield
    told.cancel()


async def announce(change: Change[Settings]) -> None:
    names = change.old.prices.keys() | change.new.prices.keys()
    changed = sorted(name for name in names if change.touches(f"prices.{name}"))
    log.info("New prices for %s, at revision %d.", ", ".join(changed), change.revision)


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


class Health(BaseModel):
    following: bool
    reloads: int
    refused: str | None = None


@app.get("/health")
def health() -> Health:
    """Tell how it is doing. Refused settings are a thing to mend, and no reason to be restarted."""
    status = live.status()
    refused = None if status.rejection is None else str(status.rejection)
    return Health(following=status.connected, reloads=status.reloads, refused=refused)
