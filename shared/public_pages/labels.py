"""What a ticket's status and priority and a survey's stars are called, on pages and in emails alike."""

from shared.contracts.ticket import Priority, Status
from shared.public_pages.language import Language


def status_label(status: Status, language: Language) -> str:
    """Name a status."""
    return {
        "open": language.gettext("Open"),
        "pending": language.gettext("Pending"),
        "resolved": language.gettext("Resolved"),
        "closed": language.gettext("Closed"),
    }[status]


def priority_label(priority: Priority, language: Language) -> str:
    """Name a priority."""
    return {
        "low": language.gettext("Low priority"),
        "normal": language.gettext("Normal priority"),
        "high": language.gettext("High priority"),
        "urgent": language.gettext("Urgent priority"),
    }[priority]


def star_labels(language: Language) -> tuple[tuple[int, str], ...]:
    """Name each number of stars, from the worst to the best."""
    return (
        (1, language.gettext("Very bad")),
        (2, language.gettext("Bad")),
        (3, language.gettext("Okay")),
        (4, language.gettext("Good")),
        (5, language.gettext("Very good")),
    )
