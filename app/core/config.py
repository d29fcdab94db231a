"""Settings: every knob of the service, with its unit, bounds and default; read from the environment and `.env`.

A wrong value stops the start with one sentence that names the variable. Nothing else in the project reads the
environment.
"""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.core.media_types import MAX_AUDIO_SIZE, MAX_DOCUMENT_SIZE, MAX_IMAGE_SIZE, MAX_VIDEO_SIZE, MIB, MediaType

MIN_SECRET_BYTES = 32
MAX_INTEGER = 2**31 - 1  # file_size is a PostgreSQL INTEGER, as in the founding document


class ConfigurationError(Exception):
    """The environment cannot be used; the message names each variable at fault."""


class Environment(StrEnum):
    DEVELOPMENT = "development"
    PRODUCTION = "production"


class AuthMode(StrEnum):
    SECRET = "secret"  # noqa: S105 - the name of a mode, not a secret
    JWKS = "jwks"
    INTROSPECTION = "introspection"


Seconds = Annotated[float, Field(gt=0, le=86_400)]
Bytes = Annotated[int, Field(gt=0, le=MAX_INTEGER)]


def _csv(value: object) -> object:
    """A comma separated variable as a tuple; anything else is passed on to pydantic."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


class Settings(BaseSettings):
    """The whole configuration; immutable after the start."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True, case_sensitive=True)

    # -- service ---------------------------------------------------------------------------------------------------
    ENVIRONMENT: Environment = Field(Environment.DEVELOPMENT, description="`production` refuses development secrets.")
    DEBUG: bool = Field(False, description="Adds debug logging; never changes an answer.")
    HOST: str = Field("127.0.0.1", description="Address to listen on.")
    PORT: int = Field(8002, ge=0, le=65535, description="Port to listen on.")
    WORKERS: int = Field(1, ge=1, le=64, description="Server processes.")
    BASE_URL: str | None = Field(None, description="Public URL of the service; default `http://localhost:{PORT}`.")
    DATA_DIR: Path = Field(Path(".data"), description="Embedded PostgreSQL and the development secret live here.")
    LOG_LEVEL: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least severe level logged.")
    LOG_FILE: Path | None = Field(None, description="Also log to this file, rotated at 10 MiB, five kept.")
    SHUTDOWN_GRACE_S: Seconds = Field(30, description="Seconds that running requests get to finish after SIGTERM.")

    # -- database --------------------------------------------------------------------------------------------------
    DATABASE_URL: SecretStr | None = Field(
        None, description="`postgresql://user:password@host/name`; unset starts the embedded PostgreSQL."
    )
    DATABASE_POOL_SIZE: int = Field(10, ge=1, le=200, description="Connections per server process.")
    DATABASE_TIMEOUT_S: Seconds = Field(2, description="Longest wait for a connection or for connecting.")
    DATABASE_STATEMENT_TIMEOUT_S: Seconds = Field(10, description="Longest time one statement may take.")
    DATABASE_STARTUP_TIMEOUT_S: Seconds = Field(60, description="How long the start waits for the database.")

    # -- storage ---------------------------------------------------------------------------------------------------
    UPLOAD_DIR: Path = Field(Path("uploads"), description="Root of the stored files; must be on one file system.")
    MAX_UPLOAD_SIZE: Bytes = Field(100 * MIB, description="Most bytes that any file may have.")
    MAX_IMAGE_SIZE: Bytes = Field(MAX_IMAGE_SIZE, description="Most bytes of an image.")
    MAX_VIDEO_SIZE: Bytes = Field(MAX_VIDEO_SIZE, description="Most bytes of a video.")
    MAX_AUDIO_SIZE: Bytes = Field(MAX_AUDIO_SIZE, description="Most bytes of an audio file.")
    MAX_DOCUMENT_SIZE: Bytes = Field(MAX_DOCUMENT_SIZE, description="Most bytes of a document.")
    SWEEP_INTERVAL_S: Seconds = Field(300, description="Seconds between two sweeps of unfinished work.")
    SWEEP_AGE_S: Seconds = Field(
        7200, description="Age from which unfinished work of an unknown process is swept; above UPLOAD_TIMEOUT_S."
    )
    ACCEL_REDIRECT_PREFIX: str | None = Field(
        None,
        description="Internal nginx location that serves UPLOAD_DIR, `/_media_files/`; downloads then go through it.",
    )

    READ_CACHE_TTL_S: float = Field(
        60,
        ge=0,
        le=3600,
        description="How long public metadata is kept in memory; a change counts at once on its machine, and a moment "
        "later on others. 0: not at all.",
    )

    # -- images ----------------------------------------------------------------------------------------------------
    MAX_IMAGE_WIDTH: int = Field(2048, ge=16, le=16_384, description="Widest stored image, pixels.")
    MAX_IMAGE_HEIGHT: int = Field(2048, ge=16, le=16_384, description="Highest stored image, pixels.")
    THUMBNAIL_SIZE: Annotated[tuple[int, int], NoDecode] = Field(
        (300, 300), description="Box of the thumbnails, `WIDTHxHEIGHT` in pixels."
    )
    IMAGE_QUALITY: int = Field(85, ge=1, le=100, description="JPEG and WebP quality.")
    IMAGE_ALPHA: Literal["flatten", "keep"] = Field("flatten", description="Transparency: white background, or kept.")
    ACCEPT_HEIC: bool = Field(True, description="Take HEIC/HEIF photos and store them as JPEG.")
    MAX_IMAGE_PIXELS: int = Field(
        128_000_000, ge=1, le=1_000_000_000, description="Width x height x frames, checked before decoding."
    )
    MAX_IMAGE_FRAMES: int = Field(1_000, ge=1, le=100_000, description="Most frames of an animation.")

    # -- documents -------------------------------------------------------------------------------------------------
    MAX_UNPACKED_SIZE: Bytes = Field(200 * MIB, description="Most bytes that an Office file may unpack to.")
    MAX_ARCHIVE_MEMBERS: int = Field(5_000, ge=1, le=100_000, description="Most members of an Office file.")

    # -- work at once ----------------------------------------------------------------------------------------------
    MAX_CONCURRENT_UPLOADS: int = Field(64, ge=1, le=10_000, description="Uploads at once per server process.")
    MAX_UPLOADS_PER_USER: int | None = Field(
        None,
        ge=1,
        description="Uploads of one user at once per server process. Unset: three quarters of MAX_CONCURRENT_UPLOADS.",
    )
    UPLOAD_IDLE_TIMEOUT_S: Seconds = Field(30, description="Longest silence of an uploading client.")
    UPLOAD_MIN_BYTES_PER_S: int = Field(
        1024,
        ge=0,
        le=100 * MIB,
        description="Slowest body that is waited for, averaged over UPLOAD_IDLE_TIMEOUT_S; 0 takes any.",
    )
    UPLOAD_TIMEOUT_S: Seconds = Field(3600, description="Longest time for the body of one upload.")
    PROCESSING_WORKERS: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        le=64,
        description="Sandboxed processes; default one per core.",
    )
    PROCESSING_QUEUE_SIZE: int = Field(64, ge=0, le=10_000, description="Files that may wait for a sandbox; then 503.")
    PROCESSING_TIMEOUT_S: Seconds = Field(60, description="Wall seconds for one file, then its sandbox is killed.")
    PROCESSING_CPU_S: Seconds = Field(45, description="CPU seconds for one file.")
    PROCESSING_MEMORY_BYTES: int = Field(
        640 * MIB, ge=128 * MIB, le=64 * 1024 * MIB, description="Address space one file may add to its sandbox."
    )
    SANDBOX: Literal["full", "weak"] | None = Field(
        None,
        description="`full`: do not start where the kernel has no Landlock or seccomp; `weak`: start all the same. "
        "Unset: `full` in production, else `weak`.",
    )

    # -- connections -----------------------------------------------------------------------------------------------
    MAX_CONNECTIONS: int = Field(1_000, ge=1, le=100_000, description="Open connections per server process.")
    HEADER_TIMEOUT_S: Seconds = Field(15, description="Longest time for the header of a request.")
    KEEP_ALIVE_TIMEOUT_S: Seconds = Field(15, description="Longest idle time between two requests.")
    SEND_TIMEOUT_S: Seconds = Field(60, description="Longest time a client may not read what is sent to it.")
    CORS_ORIGINS: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Origins whose pages may call the API, comma separated, `*` for any."
    )
    FORWARDED_ALLOW_IPS: str = Field("127.0.0.1", description="Proxies whose X-Forwarded-* headers are believed.")

    # -- auth ------------------------------------------------------------------------------------------------------
    AUTH_MODE: AuthMode = Field(AuthMode.SECRET, description="`jwks`, `secret` (HS256) or `introspection`.")
    AUTH_SECRET: SecretStr | None = Field(
        None, description="HS256 secret, at least 32 bytes; development makes its own under DATA_DIR."
    )
    AUTH_DISCOVERY_URL: str | None = Field(None, description="OpenID discovery document of the Auth Service.")
    AUTH_JWKS_URL: str | None = Field(None, description="Key set of the Auth Service, instead of discovery.")
    AUTH_INTROSPECTION_URL: str | None = Field(None, description="RFC 7662 endpoint.")
    AUTH_INTROSPECTION_CLIENT_ID: str | None = Field(None, description="Our client id at that endpoint.")
    AUTH_INTROSPECTION_CLIENT_SECRET: SecretStr | None = Field(None, description="Our client secret there.")
    AUTH_ISSUER: str | None = Field(None, description="Required `iss`, when set.")
    AUTH_AUDIENCE: str | None = Field(None, description="Required `aud`, when set.")
    AUTH_USER_CLAIM: str = Field("sub", min_length=1, description="Claim that holds the user's UUID.")
    AUTH_LEEWAY_S: int = Field(10, ge=0, le=300, description="Clock difference forgiven in `exp` and `nbf`.")
    AUTH_KEYS_TTL_S: Seconds = Field(300, description="Age at which the key set is fetched again in passing.")
    AUTH_KEYS_MIN_INTERVAL_S: Seconds = Field(30, description="Least time between two fetches for unknown key ids.")
    AUTH_CACHE_S: float = Field(30, ge=0, le=300, description="How long an introspection answer is believed.")
    AUTH_TIMEOUT_S: Seconds = Field(3, description="Longest wait for the Auth Service.")

    # -- abuse -----------------------------------------------------------------------------------------------------
    RATE_LIMIT_UPLOADS_PER_MINUTE: int | None = Field(
        None, ge=0, description="Uploads per user and minute; 0 is no limit. Unset: 120 in production, else no limit."
    )
    RATE_LIMIT_REQUESTS_PER_MINUTE: int | None = Field(
        None, ge=0, description="Requests per address and minute; 0 is no limit. Unset: 6000 in production, else none."
    )
    QUOTA_BYTES: int | None = Field(
        None, ge=0, description="Stored bytes per user; 0 is no limit. Unset: 100 GiB in production, else no limit."
    )
    QUOTA_FILES: int | None = Field(
        None, ge=0, description="Stored media per user; 0 is no limit. Unset: 100000 in production, else no limit."
    )
    QUOTA_CONTENTS: int | None = Field(
        None, ge=0, description="Contents per user; 0 is no limit. Unset: 10000 in production, else no limit."
    )
    MAX_MEDIA_PER_CONTENT: int = Field(10_000, ge=1, le=1_000_000, description="Most media of one content.")
    CLAMD_URL: str | None = Field(None, description="`tcp://host:3310` or `unix:///path`; uploads are scanned there.")
    CLAMD_TIMEOUT_S: Seconds = Field(30, description="Longest wait for the scanner.")

    @field_validator("THUMBNAIL_SIZE", mode="before")
    @classmethod
    def _read_size(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.lower().strip("()[]").replace("x", ",").split(","))
        return value

    @field_validator("THUMBNAIL_SIZE")
    @classmethod
    def _bound_size(cls, value: tuple[int, int]) -> tuple[int, int]:
        if not all(16 <= side <= 2048 for side in value):
            raise ValueError("each side must be between 16 and 2048 pixels")
        return value

    @field_validator("CORS_ORIGINS", mode="before")
    @classmethod
    def _read_list(cls, value: object) -> object:
        return _csv(value)

    @field_validator("BASE_URL")
    @classmethod
    def _plain_base_url(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value.rstrip("/") if value else None

    @field_validator("*", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object, info: ValidationInfo) -> object:
        # A line `NAME=` in .env or in a compose file means "not set".
        if value != "" or info.field_name is None:
            return value
        return cls.model_fields[info.field_name].get_default(call_default_factory=True)

    @field_validator("ACCEL_REDIRECT_PREFIX")
    @classmethod
    def _location(cls, value: str | None) -> str | None:
        if value is not None and not (value.startswith("/") and value.endswith("/")):
            raise ValueError("must start and end with a slash, like /_media_files/")
        return value

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.SWEEP_AGE_S <= self.UPLOAD_TIMEOUT_S:
            raise ValueError("SWEEP_AGE_S must be longer than UPLOAD_TIMEOUT_S, or running uploads could be swept")
        if self.AUTH_SECRET is not None and len(self.AUTH_SECRET.get_secret_value().encode()) < MIN_SECRET_BYTES:
            raise ValueError(f"AUTH_SECRET must have at least {MIN_SECRET_BYTES} bytes (RFC 7518 section 3.2)")
        if self.AUTH_MODE is AuthMode.JWKS and not (self.AUTH_DISCOVERY_URL or self.AUTH_JWKS_URL):
            raise ValueError("AUTH_MODE=jwks needs AUTH_DISCOVERY_URL or AUTH_JWKS_URL")
        if self.AUTH_MODE is AuthMode.INTROSPECTION and not self.AUTH_INTROSPECTION_URL:
            raise ValueError("AUTH_MODE=introspection needs AUTH_INTROSPECTION_URL")
        if self.is_production:
            self._refuse_development_values()
        return self

    def _refuse_development_values(self) -> None:
        if self.AUTH_MODE is AuthMode.SECRET and self.AUTH_SECRET is None:
            raise ValueError("ENVIRONMENT=production needs AUTH_SECRET, or AUTH_MODE=jwks with AUTH_DISCOVERY_URL")
        secret = self.AUTH_SECRET.get_secret_value() if self.AUTH_SECRET else ""
        if (secret and len(set(secret)) < 8) or (
            any(word in secret.lower() for word in ("changeme", "change-me", "example"))
        ):
            raise ValueError("AUTH_SECRET is a placeholder; ENVIRONMENT=production needs a random one")
        if self.DATABASE_URL is None:
            raise ValueError("ENVIRONMENT=production needs DATABASE_URL; the embedded PostgreSQL is for development")
        if self.BASE_URL is None:
            raise ValueError("ENVIRONMENT=production needs BASE_URL, the public address that media URLs start with")

    @property
    def is_production(self) -> bool:
        return self.ENVIRONMENT is Environment.PRODUCTION

    @property
    def needs_full_sandbox(self) -> bool:
        """Whether a kernel that lacks a mechanism of the sandbox keeps the service from starting."""
        return self.SANDBOX == "full" or (self.SANDBOX is None and self.is_production)

    @property
    def public_url(self) -> str:
        """What every media URL starts with, without a slash at the end."""
        return self.BASE_URL or f"http://localhost:{self.PORT}"

    @property
    def uploads_per_minute(self) -> int:
        """Uploads per user and minute, 0 for no limit."""
        return self._limit(self.RATE_LIMIT_UPLOADS_PER_MINUTE, in_production=120)

    @property
    def requests_per_minute(self) -> int:
        """Requests per client address and minute, 0 for no limit."""
        return self._limit(self.RATE_LIMIT_REQUESTS_PER_MINUTE, in_production=6_000)

    @property
    def uploads_per_user(self) -> int:
        """Uploads that one user may have running in one server process, at least 1."""
        if self.MAX_UPLOADS_PER_USER is not None:
            return self.MAX_UPLOADS_PER_USER
        return self.MAX_CONCURRENT_UPLOADS - self.MAX_CONCURRENT_UPLOADS // 4

    @property
    def quota_bytes(self) -> int:
        """Stored bytes per user, 0 for no limit."""
        return self._limit(self.QUOTA_BYTES, in_production=100 * 1024 * MIB)

    @property
    def quota_files(self) -> int:
        """Stored media per user, 0 for no limit."""
        return self._limit(self.QUOTA_FILES, in_production=100_000)

    @property
    def quota_contents(self) -> int:
        """Contents per user, 0 for no limit."""
        return self._limit(self.QUOTA_CONTENTS, in_production=10_000)

    def _limit(self, configured: int | None, *, in_production: int) -> int:
        if configured is not None:
            return configured
        return in_production if self.is_production else 0

    def size_limit_bytes(self, media_type: MediaType | None) -> int:
        """Most bytes a file of this media type may have; None asks for the limit while the type is unknown."""
        per_type = {
            MediaType.IMAGE: self.MAX_IMAGE_SIZE,
            MediaType.VIDEO: self.MAX_VIDEO_SIZE,
            MediaType.AUDIO: self.MAX_AUDIO_SIZE,
            MediaType.DOCUMENT: self.MAX_DOCUMENT_SIZE,
        }
        return min(self.MAX_UPLOAD_SIZE, per_type[media_type] if media_type else max(per_type.values()))


def load_settings() -> Settings:
    """Read the environment. Raises ConfigurationError with one line per wrong variable."""
    try:
        return Settings()
    except ValidationError as exc:
        raise ConfigurationError("\n".join(_describe(error) for error in exc.errors())) from exc


def _describe(error: object) -> str:
    assert isinstance(error, dict)
    name = ".".join(str(part) for part in error["loc"])
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{name}: {message}" if name else message
