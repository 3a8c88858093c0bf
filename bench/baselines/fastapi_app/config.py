"""Settings, from the environment (https://fastapi.tiangolo.com/advanced/settings/)."""

from functools import lru_cache

from pydantic import Field
from pydantic_settings import BaseSettings


class Settings(BaseSettings):
    database_url: str
    secret_key: str = Field(min_length=32)
    access_token_expire_minutes: int = 30
    database_pool_size: int = 20
    database_max_overflow: int = 0


@lru_cache
def get_settings() -> Settings:
    return Settings()  # type: ignore[call-arg]  # the environment gives them
