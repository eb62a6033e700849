"""A web service with one endpoint, which solves an uploaded picture: run it with fastapi or uvicorn."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException, Request, UploadFile
from pydantic import BaseModel

from captchahub import AllProvidersFailed, AsyncHub, Image, ImageToText, SolveTimeout, TaskError

MAX_BYTES = 1_000_000
SECONDS = 30.0


class Answer(BaseModel):
    """The text in a picture, and which provider has read it."""

    text: str
    provider: str


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """Keep one hub open while the application runs."""
    async with AsyncHub.from_yaml(os.environ.get("CAPTCHAHUB_CONFIG", "config.yaml")) as hub:
        app.state.hub = hub
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/solve")
async def solve(picture: UploadFile, request: Request) -> Answer:
    """Return the text in a picture: 422 for anything else, 502 or 504 if no provider has read it."""
    hub: AsyncHub = request.app.state.hub
    try:
        image = Image.from_bytes(await picture.read(MAX_BYTES + 1), max_bytes=MAX_BYTES)
        result = await hub.solve(ImageToText(image), timeout=SECONDS)
    except TaskError as error:
        raise HTTPException(422, {"error": str(error)}) from error
    except SolveTimeout as error:
        raise HTTPException(504, _failure(error)) from error
    except AllProvidersFailed as error:
        raise HTTPException(502, _failure(error)) from error
    return Answer(text=result.solution.text, provider=result.provider)


def _failure(error: AllProvidersFailed) -> dict[str, object]:
    attempts = [{"provider": one.provider, "error": type(one.error).__name__} for one in error.attempts]
    return {"error": error.message, "attempts": attempts}
