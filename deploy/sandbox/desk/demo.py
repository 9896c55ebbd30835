"""Two companies, their tickets in every state, and half a year of ratings: what a first start shows.

All of it is published as events. Nothing is written into anybody else's tables.
"""

from datetime import datetime, timedelta
from io import BytesIO

from PIL import Image, ImageDraw
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from deploy.sandbox.desk import demo_languages, work
from deploy.sandbox.desk.demo_history import History
from deploy.sandbox.desk.tables import Account
from shared.chassis.outbox import emit
from shared.contracts import (
    AccountUpdated,
    Agent,
    Logo,
    ReasonGiven,
    Requester,
    SurveyPolicy,
    SurveyReason,
    SurveyWording,
)


def _agents(domain: str, *names: str) -> tuple[Agent, ...]:
    return tuple(
        Agent(agent_id=name.split()[0].lower(), name=name, email=f"{name.split()[0].lower()}@{domain}")
        for name in names
    )


AGENTS = {
    "fjord": _agents("fjord.example", "Ada Okafor", "Ben Suzuki", "Chiara Rossi", "Dag Nygård"),
    "kirana": _agents("kirana.example", "Eka Putri", "Farid Hasan", "Gita Wulandari"),
}

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


async def publish_demo(session: AsyncSession, now: datetime) -> None:
    """Make the demonstration, once: nothing happens when there are accounts."""
    if await session.scalar(select(func.count()).select_from(Account)):
        return
    for account in _accounts():
        session.add(Account(account_id=account.account_id, facts=account))
        emit(session, account)
        for event in _history(account, now).events():
            emit(session, event)
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


def _history(account: AccountUpdated, now: datetime) -> History:
    own = account.survey_policy.reasons
    ours = {"slow": "It took too long", "unsolved": "My problem is not solved", "other": "Something else"}
    picked = {reason.code: reason.text["en"] for reason in own} if own else ours
    return History(
        account_id=account.account_id,
        agents=AGENTS[account.account_id],
        reasons=[ReasonGiven(code=code, text=text) for code, text in picked.items()],
        now=now,
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
