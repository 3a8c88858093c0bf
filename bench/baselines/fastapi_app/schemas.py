"""What goes in and what comes out."""

import uuid
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, EmailStr, Field, StringConstraints

PostText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1_048_576)]
Handle = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=32)]
DisplayName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


class SignUp(BaseModel):
    model_config = ConfigDict(extra="forbid")

    email: EmailStr
    password: str = Field(min_length=12, max_length=256)
    username: Handle | None = None
    name: DisplayName | None = None


class LogIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    email: str = Field(max_length=1024)
    password: str = Field(max_length=256)


class NewPost(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: PostText


class NewVote(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    direction: Literal[1, 0, -1] = Field(alias="dir")


class AccountPublic(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    email: str
    email_verified: bool
    username: str
    name: str | None
    phone: str | None
    role: str
    created_at: datetime
    updated_at: datetime


class TokenPair(BaseModel):
    access_token: str
    refresh_token: str
    token_type: str = "bearer"
    expires_in: int


class SignedUp(TokenPair):
    user: AccountPublic


class AuthorPublic(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    username: str
    name: str | None


class PostPublic(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    author: AuthorPublic
    text: str
    score: int
    upvotes: int
    downvotes: int
    my_vote: int = 0
    created_at: datetime
    updated_at: datetime
    version: int


class PostPage(BaseModel):
    items: list[PostPublic]
    next_cursor: str | None


class VoteResult(BaseModel):
    post_id: uuid.UUID
    direction: int = Field(serialization_alias="dir")
    score: int
    upvotes: int
    downvotes: int
