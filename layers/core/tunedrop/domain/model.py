"""The base of every record of the domain."""

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Hold immutable facts that round-trip through JSON; an unknown field is an error."""

    # Deferred: a function builds validators for the records that it handles, not for all that it imports.
    # Errors reach logs and traces, and a record may hold text of users' rows: they do not quote it.
    model_config = ConfigDict(
        frozen=True, extra="forbid", ser_json_inf_nan="constants", defer_build=True, hide_input_in_errors=True
    )
