"""Requesters who read other languages than English, so that one can see the portal and the emails in each.

What agents write to them is written by a person, so it is in the requester's language, too.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from deploy.sandbox.desk import work
from shared.contracts import Agent, Requester
from shared.contracts.ticket import Status


@dataclass(frozen=True, slots=True)
class Talk:
    """What a requester asked, what they were answered, and where the ticket stands since."""

    name: str
    locale: str
    subject: str
    question: str
    answer: str
    status: Status = "open"

    @property
    def requester(self) -> Requester:
        """Whom the desk writes to, at an address by their language: `ja@customer.example`."""
        language = self.locale.partition("-")[0]
        return Requester(
            requester_id=f"requester-{language}",
            name=self.name,
            email=f"{language}@customer.example",
            locale=self.locale,
        )


TALKS = (
    Talk(
        "Anneliese Krüger",
        "de",
        "Reißverschluss am Zelt klemmt",
        "Guten Tag,\nder Reißverschluss am Innenzelt klemmt seit gestern. Kann ich ihn selbst reparieren?",
        "Guten Tag Frau Krüger,\nmeist hilft etwas Silikonspray. Wenn nicht, tauschen wir den Schieber kostenlos.",
        "pending",
    ),
    Talk(
        "Camille Laurent",
        "fr",
        "Mauvaise taille livrée",
        "Bonjour,\nj’ai commandé du M et reçu du L. Comment faire l’échange ?",
        "Bonjour Camille,\nl’étiquette de retour est dans le colis ; le M part aujourd’hui.",
        "resolved",
    ),
    Talk(
        "Lucía Fernández",
        "es-MX",
        "No llega mi pedido",
        "Hola:\nmi pedido salió hace diez días y todavía no llega.",
        "Hola, Lucía:\nestá en la aduana desde ayer. Le avisamos en cuanto salga.",
    ),
    Talk(
        "João Almeida",
        "pt-BR",
        "Nota fiscal em nome errado",
        "Olá,\na nota fiscal veio com o nome antigo da empresa.",
        "Olá, João!\nEmitimos uma nova nota agora mesmo; ela já está no seu e-mail.",
        "resolved",
    ),
    Talk(
        "田中 愛子",
        "ja",
        "寝袋の洗い方について",
        "こんにちは。\nPolar 900の寝袋は自宅で洗えますか。",
        "田中様\nお問い合わせありがとうございます。ダウン用洗剤で、30℃以下で手洗いしてください。",
        "resolved",
    ),
)


async def make_tickets(session: AsyncSession, now: datetime, *, account_id: str, agents: tuple[Agent, ...]) -> None:
    """Open these tickets in an account, in the last days, each answered by the next of its agents."""
    for age, talk in enumerate(TALKS, start=2):
        agent = agents[age % len(agents)]
        ticket = await work.create_ticket(
            session,
            now - timedelta(days=age),
            account_id=account_id,
            subject=talk.subject,
            description=talk.question,
            requester=talk.requester,
            assignee=agent,
        )
        work.reply(ticket, agent, talk.answer, session, now - timedelta(days=age, hours=-3))
        if talk.status != "open":
            work.set_status(ticket, talk.status, agent, session, now - timedelta(days=age, hours=-4))
