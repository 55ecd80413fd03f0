"""The base of every record of the domain."""

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Hold immutable facts that round-trip through JSON; an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")
