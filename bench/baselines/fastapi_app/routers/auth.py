import secrets
import uuid
from datetime import UTC, datetime

from fastapi import APIRouter, HTTPException, Request, status
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from bench.baselines.fastapi_app.database import Session, WritingSession
from bench.baselines.fastapi_app.models import User
from bench.baselines.fastapi_app.schemas import AccountPublic, LogIn, SignedUp, SignUp, TokenPair
from bench.baselines.fastapi_app.security import DUMMY_HASH, hash_password, open_session, verify_password

router = APIRouter(prefix="/auth", tags=["auth"])


def device_of(request: Request) -> dict[str, str]:
    address = request.client.host if request.client else ""
    return {"user_agent": request.headers.get("user-agent", ""), "address": address}


@router.post("/signup", status_code=status.HTTP_201_CREATED)
async def sign_up(body: SignUp, request: Request, session: WritingSession) -> SignedUp:
    now = datetime.now(UTC)
    username = body.username or f"user_{secrets.token_hex(5)}"
    # Hashed before the session is used for the first time: no connection waits for Argon2.
    password_hash = await hash_password(body.password)
    user = User(
        id=uuid.uuid4(),
        email=body.email,
        email_key=body.email.casefold(),
        username=username,
        username_key=username.casefold(),
        name=body.name,
        email_verified=False,
        password_hash=password_hash,
        role="user",
        status="active",
        created_at=now,
        updated_at=now,
        version=1,
    )
    session.add(user)
    try:
        await session.flush()
        pair = open_session(session, user, **device_of(request))
        await session.commit()
    except IntegrityError:
        raise HTTPException(status.HTTP_409_CONFLICT, "Email or username already registered") from None
    return SignedUp(**pair.model_dump(), user=AccountPublic.model_validate(user))


@router.post("/login")
async def log_in(body: LogIn, request: Request, session: Session, writing: WritingSession) -> TokenPair:
    user = await session.scalar(select(User).where(User.email_key == body.email.casefold()))
    await session.close()  # gives the connection back while Argon2 works
    matches = await verify_password(body.password, user.password_hash if user else DUMMY_HASH)
    if user is None or not matches or user.status != "active":
        raise HTTPException(
            status.HTTP_401_UNAUTHORIZED, "Incorrect email or password", headers={"WWW-Authenticate": "Bearer"}
        )
    pair = open_session(writing, user, **device_of(request))
    await writing.commit()
    return pair
