"""When a form was shown: who sends it faster than a person could have seen it is none."""

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

FIELD = "shown"

FASTEST = timedelta(seconds=1)
"""From the page's making to the form's arrival, the way over the network included.

A person whose star was chosen in the email needs about two seconds. What is put aside by mistake is a person's words,
so the limit is short.
"""


class Pace:
    """Signs the time at which a form is shown. A form without that time, or with a made-up one, is not too fast."""

    def __init__(self, key: str) -> None:
        self._key = hmac.digest(key.encode(), b"pace", "sha256")

    def stamp(self, form: Mapping[str, str], purpose: str, now: datetime) -> str:
        """Make the hidden field's value. A form that is shown again counts from the first time."""
        return form[FIELD] if self._shown_at(form, purpose) else self._signed(f"{now.timestamp():.3f}", purpose)

    def is_too_fast(self, form: Mapping[str, str], purpose: str, now: datetime) -> bool:
        """Tell whether the form came back sooner than a person can send it."""
        shown_at = self._shown_at(form, purpose)
        return shown_at is not None and now - shown_at < FASTEST

    def _shown_at(self, form: Mapping[str, str], purpose: str) -> datetime | None:
        value = form.get(FIELD, "")
        moment, _, _ = value.partition("~")
        if not hmac.compare_digest(value.encode("utf-8", "replace"), self._signed(moment, purpose).encode()):
            return None
        return datetime.fromtimestamp(float(moment), UTC)

    def _signed(self, moment: str, purpose: str) -> str:
        # A moment that could not be encoded is none of ours, and is told so by what is made of it here.
        message = f"{moment}\0{purpose}".encode("utf-8", "replace")
        return f"{moment.encode('utf-8', 'replace').decode()}~{hmac.digest(self._key, message, 'sha256').hex()[:32]}"
