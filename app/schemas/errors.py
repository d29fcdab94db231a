"""The body of every error answer."""

from pydantic import BaseModel, Field


class FieldProblem(BaseModel):
    """One wrong field of a request."""

    field: str = Field(examples=["page_size"])
    problem: str = Field(examples=["Input should be less than or equal to 100"])


class ErrorBody(BaseModel):
    """`detail` is for people and may change; `code` is for programs and does not."""

    detail: str = Field(examples=["Media not found."])
    code: str = Field(examples=["media_not_found"])
    errors: list[FieldProblem] | None = Field(None, description="The wrong fields, when a request was not valid.")
