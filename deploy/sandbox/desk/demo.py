"""Two companies, their tickets in every state, and ninety days of ratings: what a first start shows.

All of it is published as events, the ratings as the survey events of the past that a company moving to closeloop would
import. Nothing is written into anybody else's tables.
"""

import random
from datetime import datetime, timedelta
from io import BytesIO
from itertools import count

from PIL import Image, ImageDraw
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from deploy.sandbox.desk import demo_languages, work
from deploy.sandbox.desk.tables import Account
from shared.chassis.outbox import emit
from shared.contracts import (
    AccountUpdated,
    Agent,
    Logo,
    Requester,
    Survey,
    SurveyCreated,
    SurveyExpired,
    SurveyPolicy,
    SurveyReason,
    SurveySubmitted,
    SurveyWording,
)

DAYS = 90


def _agents(domain: str, *names: str) -> tuple[Agent, ...]:
    return tuple(
        Agent(agent_id=name.split()[0].lower(), name=name, email=f"{name.split()[0].lower()}@{domain}")
        for name in names
    )


AGENTS = {
    "fjord": _agents("fjord.example", "Ada Okafor", "Ben Suzuki", "Chiara Rossi", "Dag Nygård"),
    "kirana": _agents("kirana.example", "Eka Putri", "Farid Hasan", "Gita Wulandari"),
}

# How each agent's ratings fall on 1 to 5 stars, and how much of the account's work is theirs.
RATED = {
    "ada": ((1, 1, 3, 18, 40), 10),
    "ben": ((2, 3, 6, 24, 20), 8),
    "chiara": ((5, 6, 9, 14, 12), 6),
    "dag": ((0, 0, 1, 1, 2), 1),
    "eka": ((1, 2, 4, 20, 36), 8),
    "farid": ((4, 5, 8, 16, 14), 6),
    "gita": ((1, 1, 5, 12, 30), 7),
}

PRAISE = (
    "Quick and friendly, thank you!",
    "Solved on the first try.",
    "Very patient with me.",
    "مشكلتي حُلّت بسرعة، شكرًا جزيلًا",
    "Great, but the form was hard to find.",
    "とても助かりました。ありがとうございます。",
    "Exactly what I needed.",
)
COMPLAINTS = (
    "I had to explain the same thing three times.",
    "It took a week to get an answer.",
    "Still broken, honestly.",
    "The answer did not fit my question at all. I had written in detail which of the two orders was meant, sent a photo"
    " of the label, and was then asked for both again by somebody else the next day.",
)
# Kirana asks in words of its own; Fjord in ours, and once more after three days.
_REASONS = (
    SurveyReason(code="stale", text={"en": "The coffee was not fresh", "ar": "لم تكن القهوة طازجة"}),
    SurveyReason(code="late", text={"en": "The parcel came late", "ar": "وصل الطرد متأخرًا"}),
    SurveyReason(code="answer", text={"en": "The answer did not help", "ar": "لم يساعدني الرد"}),
)
_WORDING = {
    "en": SurveyWording(heading="How was our service?", thanks="We read every word, over a cup of coffee."),
    "ar": SurveyWording(heading="كيف كانت خدمتنا؟", thanks="نقرأ كل كلمة مع فنجان قهوة."),
}

SUBJECTS = ("Delivery is late", "Wrong size", "Refund", "Cannot sign in", "Invoice", "Broken on arrival", "Warranty")
PEOPLE = ("Rita Gómez", "Jonas Weber", "Aiko Tanaka", "Layla Haddad", "Tom Brown", "Mei Chen", "Olu Adeyemi")


async def publish_demo(session: AsyncSession, now: datetime) -> None:
    """Make the demonstration, once: nothing happens when there are accounts."""
    if await session.scalar(select(func.count()).select_from(Account)):
        return
    for account in _accounts():
        session.add(Account(account_id=account.account_id, facts=account))
        emit(session, account)
        _publish_ratings(account.account_id, session, now)
    await _make_tickets(session, now)
    await demo_languages.make_tickets(session, now, account_id="fjord", agents=AGENTS["fjord"])


def _accounts() -> tuple[AccountUpdated, ...]:
    return (
        AccountUpdated(
            account_id="fjord",
            version=1,
            name="Fjord Outdoor",
            colour="#0b6e4f",
            logo=Logo(media_type="image/png", data=_mountain("#0b6e4f")),
            time_zone="Europe/Oslo",
            survey_policy=SurveyPolicy(reminder_after_days=3),
            lead=AGENTS["fjord"][0],
        ),
        AccountUpdated(
            account_id="kirana",
            version=1,
            name="Kirana Coffee Roasters",
            colour="#b4431f",
            logo=Logo(media_type="image/png", data=_bean("#b4431f")),
            time_zone="Asia/Jakarta",
            survey_policy=SurveyPolicy(reasons=_REASONS, wording=_WORDING),
            lead=AGENTS["kirana"][0],
        ),
    )


async def _make_tickets(session: AsyncSession, now: datetime) -> None:
    ada, ben, chiara, _ = AGENTS["fjord"]
    eka, farid, _ = AGENTS["kirana"]
    rita = Requester(requester_id="rita", name="Rita Gómez", email="rita@customer.example")
    jonas = Requester(requester_id="jonas", name="Jonas Weber", email="jonas@customer.example")
    layla = Requester(requester_id="layla", name="ليلى حدّاد", email="layla@customer.example", locale="ar")

    def ago(**by: float) -> datetime:
        return now - timedelta(**by)

    open_ = await work.create_ticket(
        session,
        ago(hours=3),
        account_id="fjord",
        subject="Tent pole broke on the first night",
        description="Hi,\nthe middle pole of my Vidda 3 snapped last night, in hardly any wind. We leave again on"
        " Friday. Can you send a new one?\n\nRita",
        requester=rita,
        assignee=ada,
        watchers=(ben,),
        priority="high",
    )
    work.write_note(open_, ben, "Third Vidda 3 pole this month. Is that batch 44?", session, ago(hours=2.5))

    pending = await work.create_ticket(
        session,
        ago(days=1, hours=4),
        account_id="fjord",
        subject="Which sleeping bag for -15 °C?",
        description="I sleep cold and will be in Finnmark in February.",
        requester=jonas,
        assignee=ben,
        watchers=(ada, chiara),
        priority="low",
        channel="chat",
    )
    work.reply(
        pending,
        ben,
        "Hello Jonas,\nfor that I would take the Polar 900, comfort -18 °C:\nhttps://fjord.example/polar-900\n"
        "How tall are you? It comes in two lengths.",
        session,
        ago(days=1),
    )
    work.set_status(pending, "pending", ben, session, ago(days=1))

    resolved = await work.create_ticket(
        session,
        ago(days=2),
        account_id="kirana",
        subject="الطلب وصل ناقصًا",
        description="طلبت ثلاثة أكياس ووصل اثنان فقط.",
        requester=layla,
        assignee=eka,
        watchers=(farid,),
    )
    work.reply(resolved, eka, "نعتذر! أرسلنا الكيس الثالث اليوم.", session, ago(days=1, hours=20))
    work.set_status(resolved, "resolved", eka, session, ago(hours=5))

    closed = await work.create_ticket(
        session,
        ago(days=30),
        account_id="kirana",
        subject="Invoice for September",
        description="Could you send me the invoice again?",
        requester=jonas,
        assignee=farid,
    )
    work.reply(closed, farid, "Of course, it is on its way to you by post.", session, ago(days=29))
    work.set_status(closed, "closed", farid, session, ago(days=20))


def _publish_ratings(account_id: str, session: AsyncSession, now: datetime) -> None:
    """Publish the survey events of the last ninety days; every fourth requester did not answer."""
    dice = random.Random(account_id)  # noqa: S311 - a demonstration is the same each time
    agents = AGENTS[account_id]
    shares = [RATED[agent.agent_id][1] for agent in agents]
    numbers = count(1)
    for day in range(DAYS, 0, -1):
        weekday = (now - timedelta(days=day)).weekday()
        for _ in range(dice.randint(0, 2) if weekday >= 5 else dice.randint(2, 6)):
            asked_at = (now - timedelta(days=day)).replace(
                hour=dice.randint(7, 17), minute=dice.randint(0, 59), second=0, microsecond=0
            )
            (agent,) = dice.choices(agents, shares)
            number = next(numbers)
            # Every fifth time somebody else wrote the last word, every eleventh nobody was assigned.
            assignee = None if number % 11 == 0 else agent
            last_replier = agents[number % len(agents)] if assignee and number % 5 == 0 else agent
            survey = Survey(
                survey_id=f"{account_id}-history-{number}",
                ticket_id=f"history-{number}",
                resolved_version=1,
                subject=dice.choice(SUBJECTS),
                requester_name=dice.choice(PEOPLE),
                priority=dice.choice(("low", "normal", "normal", "high")),
                channel=dice.choice(("email", "chat", "phone")),
                agent=agent,
                assignee=assignee,
                last_replier=last_replier,
                created_at=asked_at,
                expires_at=asked_at + timedelta(days=14),
            )
            emit(session, SurveyCreated(account_id=account_id, survey=survey))
            _publish_outcome(account_id, survey, dice, session, now)


def _publish_outcome(
    account_id: str, survey: Survey, dice: random.Random, session: AsyncSession, now: datetime
) -> None:
    answered_at = survey.created_at + timedelta(minutes=dice.expovariate(1 / 600))
    if dice.random() < 0.25 or answered_at > now:
        if survey.expires_at < now:
            emit(
                session,
                SurveyExpired(account_id=account_id, survey=survey, reason="unanswered", expired_at=survey.expires_at),
            )
        return
    assert survey.agent is not None
    (score,) = dice.choices(range(1, 6), RATED[survey.agent.agent_id][0])
    comment = dice.choice(COMPLAINTS if score <= 2 else PRAISE) if dice.random() < 0.35 else ""
    emit(
        session,
        SurveySubmitted(account_id=account_id, survey=survey, score=score, comment=comment, submitted_at=answered_at),
    )


def _mountain(colour: str) -> bytes:
    picture = Image.new("RGBA", (192, 192), (0, 0, 0, 0))
    draw = ImageDraw.Draw(picture)
    draw.polygon([(16, 160), (84, 40), (118, 100), (134, 76), (176, 160)], fill=colour)
    draw.polygon([(84, 40), (106, 78), (88, 92), (74, 80), (60, 84)], fill="#ffffff")
    return _png(picture)


def _bean(colour: str) -> bytes:
    picture = Image.new("RGBA", (192, 192), (0, 0, 0, 0))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((40, 20, 152, 172), fill=colour)
    draw.arc((64, 8, 176, 110), 90, 190, fill="#ffffff", width=9)
    draw.arc((16, 82, 128, 184), 270, 10, fill="#ffffff", width=9)
    return _png(picture.rotate(-28, resample=Image.Resampling.BICUBIC))


def _png(picture: Image.Image) -> bytes:
    file = BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()
