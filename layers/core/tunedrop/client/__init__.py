"""Call a dataset's champion from a program, as Converse is called, whatever serves it."""

from tunedrop.client.model import Model

__all__ = ["Model"]
