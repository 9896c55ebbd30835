"""The two links of a survey's emails: one to answer it, one not to be asked any more.

The database holds their digests; the tokens are computed anew whenever they are mailed.
"""

from uuid import UUID

from shared.public_pages.access_links import AccessLinks, digest


class SurveyLinks:
    """Makes the links. Each token is bound to its survey and to what it is for: neither opens the other's page."""

    def __init__(self, key: str, *, base_url: str) -> None:
        self._answer = AccessLinks(key, purpose="survey", base_url=base_url, path="s")
        self._opt_out = AccessLinks(key, purpose="survey opt-out", base_url=base_url, path="u")

    def to_answer(self, survey_id: UUID) -> str:
        """Address of the question. Holds the token: not for logs, not for the database."""
        return self._answer.url(self._answer.token(str(survey_id)))

    def to_opt_out(self, survey_id: UUID) -> str:
        """Address at which the survey's requester chooses not to be asked. Holds the token."""
        return self._opt_out.url(self._opt_out.token(str(survey_id)))

    def digests(self, survey_id: UUID) -> dict[str, bytes]:
        """What the survey's row keeps of both."""
        return {
            "link_digest": digest(self._answer.token(str(survey_id))),
            "opt_out_digest": digest(self._opt_out.token(str(survey_id))),
        }
