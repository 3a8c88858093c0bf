"""The application: `uvicorn bench.baselines.fastapi_app.main:app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from bench.baselines.fastapi_app.database import engine
from bench.baselines.fastapi_app.routers import auth, posts


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    yield
    await engine.dispose()


app = FastAPI(title="Baseline", lifespan=lifespan)
app.include_router(auth.router, prefix="/api/v1")
app.include_router(posts.router, prefix="/api/v1")
