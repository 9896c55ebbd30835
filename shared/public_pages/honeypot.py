"""A field that people do not see and robots fill. Who fills it gets the usual thanks, and is quarantined."""

from collections.abc import Mapping

FIELD = "website"


def is_caught(form: Mapping[str, str]) -> bool:
    """Tell whether somebody filled the field."""
    return bool(form.get(FIELD, "").strip())
