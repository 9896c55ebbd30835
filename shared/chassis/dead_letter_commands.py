"""`dead-letters list | show | replay | purge`: what an operator does with records that could not have their effect."""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import click
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sqlalchemy import Select, delete, func, select

from shared.chassis.dead_letters import Awaits, DeadLetter
from shared.chassis.lifecycle import Service
from shared.chassis.program import Program

MASKED = {"link", "opt_out_link"}
"""Fields of a value that nobody is shown: who has the link has what it opens."""

_topic = click.option("--topic", help="Only letters of this topic.")
_ids = click.argument("ids", nargs=-1, type=int, metavar="[ID]...")


def dead_letter_commands(program: Program) -> click.Group:
    """Make the commands."""

    @click.group("dead-letters")
    def dead_letters() -> None:
        """Records that could not have their effect, or wait for another event."""

    @dead_letters.command("list")
    @_topic
    @click.option(
        "--state", type=click.Choice(["dead", "waiting"]), help="Only those that died, or only those that wait."
    )
    @click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="How many to show.")
    def list_(topic: str | None, state: str | None, limit: int) -> None:
        """Show each letter's place, reason and age, oldest first."""
        program.run(partial(_list, topic=topic, state=state, limit=limit))

    @dead_letters.command()
    @click.argument("id_", type=int, metavar="ID")
    def show(id_: int) -> None:
        """Show one letter: why it died, its key, headers and value. Links are masked."""

        async def tell(service: Service) -> None:
            async with service.sessions() as session:
                letter = await session.get(DeadLetter, id_)
            if letter is None:
                raise click.ClickException(f"There is no letter {id_}.")
            click.echo(_described(letter))

        program.run(tell)

    @dead_letters.command()
    @_ids
    @_topic
    @click.option("--all", "everything", is_flag=True, help="Every letter.")
    def replay(ids: tuple[int, ...], topic: str | None, *, everything: bool) -> None:
        """Run letters through the handler again, here only: nothing is published anew.

        One that had its effect after all, when its record came again, has none now. Exit code 1 when one failed again.
        """
        _refuse_none(ids, topic, everything=everything)

        async def again(service: Service) -> dict[str, int]:
            async with service.sessions() as session:
                letters = (await session.scalars(_chosen(ids, topic))).all()
            told = {"replayed": 0, "wait still": 0, "failed again": 0}
            for letter in track(letters, "Replaying", console=Console(stderr=True), transient=True):
                outcome, reason = await _replay(service, letter)
                told[outcome] += 1
                if reason:
                    click.echo(f"{letter.id} {letter.topic} {outcome}: {reason}")
            return told

        told = program.run(again)
        click.echo(", ".join(f"{count:,} {outcome}" for outcome, count in told.items()))
        raise SystemExit(1 if told["failed again"] else 0)

    @dead_letters.command()
    @_ids
    @_topic
    @click.option("--all", "everything", is_flag=True, help="Every letter.")
    @click.confirmation_option(prompt="What these letters hold is lost for this service. Go on?")
    def purge(ids: tuple[int, ...], topic: str | None, *, everything: bool) -> None:
        """Delete letters for good."""
        _refuse_none(ids, topic, everything=everything)

        async def drop(service: Service) -> tuple[int, int]:
            async with service.sessions.begin() as session:
                chosen = _chosen(ids, topic).with_only_columns(DeadLetter.id).order_by(None)
                gone = await session.scalars(
                    delete(DeadLetter).where(DeadLetter.id.in_(chosen)).returning(DeadLetter.id)
                )
                return len(gone.all()), await session.scalar(select(func.count()).select_from(DeadLetter)) or 0

        gone, left = program.run(drop)
        click.echo(f"{gone:,} purged, {left:,} left")

    return dead_letters


async def _list(service: Service, *, topic: str | None, state: str | None, limit: int) -> None:
    chosen = _chosen((), topic)
    if state:
        waits = DeadLetter.awaits.is_not(None)
        chosen = chosen.where(waits if state == "waiting" else ~waits)
    async with service.sessions() as session:
        letters = (await session.scalars(chosen.limit(limit))).all()
        count = await session.scalar(select(func.count()).select_from(chosen.order_by(None).subquery())) or 0
    table = Table("id", "topic", "partition", "offset", "tries", "died at (UTC)", "reason")
    for letter in letters:
        table.add_row(
            str(letter.id),
            letter.topic,
            str(letter.partition),
            str(letter.offset),
            str(letter.attempts),
            f"{letter.died_at:%Y-%m-%d %H:%M:%S}",
            letter.reason,
        )
    console = Console()
    console.print(table if letters else "No dead letters.")
    if count > len(letters):
        console.print(f"… and {count - len(letters):,} more")


def _refuse_none(ids: Sequence[int], topic: str | None, *, everything: bool) -> None:
    if not (ids or topic or everything):
        raise click.UsageError("name letters by id, or say --topic or --all")


def _chosen(ids: Sequence[int], topic: str | None) -> Select[DeadLetter]:
    chosen = select(DeadLetter).order_by(DeadLetter.id)
    if ids:
        chosen = chosen.where(DeadLetter.id.in_(ids))
    return chosen.where(DeadLetter.topic == topic) if topic else chosen


async def _replay(service: Service, letter: DeadLetter) -> tuple[str, str]:
    consumer = service.consumers.by_topic.get(letter.topic)
    if consumer is None:
        return "failed again", "this release hears no such topic"
    try:
        async with service.sessions.begin() as session:
            await consumer.run_letter(session, letter)
    except Awaits:
        return "wait still", ""
    except Exception as failure:  # noqa: BLE001 - told to the operator, the letter stays
        return "failed again", f"{type(failure).__name__}: {failure}"
    return "replayed", ""


def _described(letter: DeadLetter) -> str:
    facts = {
        "reason": letter.reason,
        "died at": f"{letter.died_at:%Y-%m-%d %H:%M:%S} UTC, after {letter.attempts} tries",
        "place": f"{letter.topic}, partition {letter.partition}, offset {letter.offset}",
        "key": _text(letter.key),
        **{f"header {name}": _text(value) for name, value in letter.headers},
    }
    lines = [f"{name:<24}{value}" for name, value in facts.items()]
    return "\n".join([*lines, "", _value(letter.value)])


def _value(value: bytes | None) -> str:
    if value is None:
        return "(no value, or one that may have been confidential and was not kept)"
    try:
        return json.dumps(_masked(json.loads(value)), indent=2, ensure_ascii=False)
    except ValueError:
        # Not JSON, so nobody can tell where a link may stand in it.
        return f"({len(value):,} bytes that are not JSON)"


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: "(masked)" if name in MASKED else _masked(item) for name, item in value.items()}
    return [_masked(item) for item in value] if isinstance(value, list) else value


def _text(value: bytes | None) -> str:
    return "(none)" if value is None else value.decode("utf-8", "backslashreplace")
