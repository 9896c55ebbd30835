"""What may be picked with a low score: the account's own reasons, else ours, as the reader reads them."""

from shared.contracts import ReasonGiven, SurveyPolicy
from shared.public_pages.language import Language
from shared.public_pages.wording import in_language


def reasons_in(language: Language, policy: SurveyPolicy) -> tuple[ReasonGiven, ...]:
    """List them in their order; none when the account wants none."""
    if policy.reasons is None:
        return tuple(ReasonGiven(code=code, text=text) for code, text in _ours(language))
    return tuple(
        ReasonGiven(code=reason.code, text=in_language(reason.text, language) or next(iter(reason.text.values())))
        for reason in policy.reasons
    )


def _ours(language: Language) -> tuple[tuple[str, str], ...]:
    return (
        ("slow", language.gettext("It took too long")),
        ("unsolved", language.gettext("My problem is not solved")),
        ("unclear", language.gettext("I did not understand the answer")),
        ("repeated", language.gettext("I had to explain it several times")),
        ("unfriendly", language.gettext("I was not treated kindly")),
        ("other", language.gettext("Something else")),
    )
