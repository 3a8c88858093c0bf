"""Passwords, tokens and the current user (https://fastapi.tiangolo.com/tutorial/security/oauth2-jwt/)."""

import hashlib
import secrets
import uuid
from datetime import UTC, datetime, timedelta
from typing import Annotated

import jwt
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from fastapi import Depends, HTTPException, status
from fastapi.concurrency import run_in_threadpool
from fastapi.security import OAuth2PasswordBearer
from sqlalchemy.ext.asyncio import AsyncSession

from bench.baselines.fastapi_app.config import get_settings
from bench.baselines.fastapi_app.database import Session, WritingSession
from bench.baselines.fastapi_app.models import User, UserSession
from bench.baselines.fastapi_app.schemas import TokenPair

ALGORITHM = "HS256"
SESSION_LIFETIME = timedelta(days=30)

settings = get_settings()
oauth2_scheme = OAuth2PasswordBearer(tokenUrl="/api/v1/auth/login")
hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)  # what the product uses
DUMMY_HASH = hasher.hash(secrets.token_urlsafe(16))


async def hash_password(password: str) -> str:
    return await run_in_threadpool(hasher.hash, password)


async def verify_password(password: str, password_hash: str) -> bool:
    try:
        return await run_in_threadpool(hasher.verify, password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


def open_session(session: AsyncSession, user: User, *, user_agent: str, address: str) -> TokenPair:
    now = datetime.now(UTC)
    refresh_token = secrets.token_urlsafe(32)
    opened = UserSession(
        id=uuid.uuid4(),
        user_id=user.id,
        refresh_hash=hashlib.sha256(refresh_token.encode()).hexdigest(),
        user_agent=user_agent[:255],
        address=address[:45],
        created_at=now,
        expires_at=now + SESSION_LIFETIME,
    )
    session.add(opened)
    lifetime = timedelta(minutes=settings.access_token_expire_minutes)
    claims = {
        "iss": "baseline",
        "aud": "baseline",
        "sub": str(user.id),
        "sid": str(opened.id),
        "role": user.role,
        "iat": now,
        "exp": now + lifetime,
        "jti": secrets.token_urlsafe(12),
    }
    access_token = jwt.encode(claims, settings.secret_key, algorithm=ALGORITHM)
    return TokenPair(access_token=access_token, refresh_token=refresh_token, expires_in=int(lifetime.total_seconds()))


async def authenticate(session: AsyncSession, token: str) -> User:
    """Look the token's user up: it is what the documentation teaches, and what makes a suspension count at once."""
    refused = HTTPException(
        status.HTTP_401_UNAUTHORIZED, "Could not validate credentials", headers={"WWW-Authenticate": "Bearer"}
    )
    try:
        claims = jwt.decode(
            token, settings.secret_key, algorithms=[ALGORITHM], audience="baseline", issuer="baseline",
            options={"require": ["exp", "iat", "sub", "sid"]},
        )  # fmt: skip
        user_id = uuid.UUID(claims["sub"])
    except (jwt.InvalidTokenError, ValueError):
        raise refused from None
    user = await session.get(User, user_id)
    if user is None or user.status != "active":
        raise refused
    return user


async def get_current_user(session: Session, token: Annotated[str, Depends(oauth2_scheme)]) -> User:
    return await authenticate(session, token)


async def get_writing_user(session: WritingSession, token: Annotated[str, Depends(oauth2_scheme)]) -> User:
    return await authenticate(session, token)


CurrentUser = Annotated[User, Depends(get_current_user)]
WritingUser = Annotated[User, Depends(get_writing_user)]
"""The same, in the session that the path operation writes with."""
