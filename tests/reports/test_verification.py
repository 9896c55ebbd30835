"""`verify`: whether what reports add up is what the ratings say."""

import pytest
from sqlalchemy import text

from services.reports import verification
from services.reports.tables import CsatDaily
from tests.builders import BEN, an_account
from tests.reports.conftest import Operator
from tests.reports.test_live import heard
from tests.reports.told import a_survey, answered, created, expired, skipped, told
from tests.stage import Stage


async def corrupt(stage: Stage, statement: str) -> None:
    """Change the rollup behind the service's back."""
    async with stage.service.sessions.begin() as session:
        await session.execute(text(statement))


async def hear_of_two_accounts(stage: Stage) -> None:
    """Two surveys and a skipped one at Acme, one survey at Bolt, all on one day."""
    await stage.hears(an_account(), an_account(account_id="bolt", name="Bolt"))
    await stage.hears(
        answered("s-1", 5), created(a_survey("s-2", agent=BEN)), skipped(), answered("s-1", 2, account_id="bolt")
    )


async def test_a_rollup_that_agrees_is_said_to(reports: Stage, operator: Operator) -> None:
    """With how much was compared: agreement of nothing would be no news."""
    await hear_of_two_accounts(reports)

    verified = await operator.types("verify")

    assert (verified.exit_code, verified.stdout) == (0, "2 days of 2 accounts agree.\n")


async def test_what_takes_long_to_compare_is_waited_for(
    reports: Stage, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Millions of ratings are counted in minutes; the limit is there for pages, where nobody waits so long."""
    await hear_of_two_accounts(reports)
    monkeypatch.setenv("STATEMENT_SECONDS", "0.000001")

    verified = await operator.types("verify")

    assert (verified.exit_code, verified.stdout) == (0, "2 days of 2 accounts agree.\n")


@pytest.mark.parametrize(
    ("statement", "line"),
    [
        ("UPDATE csat_daily SET score_5 = 7 WHERE account_id = 'acme' AND agent_id = 'ada'", "ada score_5 7 1"),
        ("UPDATE csat_daily SET pending = 0 WHERE agent_id = 'ben'", "ben pending 0 1"),
        ("DELETE FROM csat_daily WHERE agent_id = 'ben'", "ben pending 0 1"),
        ("UPDATE csat_daily SET skipped_disabled = 9 WHERE account_id = 'acme'", "ada skipped_disabled 9 1"),
        ("INSERT INTO csat_daily VALUES ('acme', '2026-03-02', NULL, 3)", "nobody score_1 3 0"),
    ],
)
async def test_a_count_that_is_wrong_is_named_with_its_day_and_agent(
    reports: Stage, operator: Operator, statement: str, line: str
) -> None:
    """What the rollup has, and what the ratings come to; the exit code is for whoever runs it every night."""
    await hear_of_two_accounts(reports)
    await corrupt(reports, statement)

    verified = await operator.types("verify")

    rows = [" ".join(row.replace("│", " ").split()) for row in verified.output.splitlines()]
    assert verified.exit_code == 1
    assert f"acme 2026-03-02 {line}" in rows
    assert rows[-1] == "1 day of 1 account differ."
    assert not [row for row in rows if row.startswith("bolt")]


async def test_a_cell_that_is_wrong_is_named_with_all_that_it_is_counted_by(reports: Stage, operator: Operator) -> None:
    """The other rollups may be right; all are repaired."""
    await hear_of_two_accounts(reports)
    await corrupt(reports, "UPDATE csat_cells SET score_5 = 7 WHERE score_5 = 1")
    await corrupt(reports, "DELETE FROM csat_cells WHERE pending = 1")
    await corrupt(reports, "UPDATE csat_kinds SET score_5 = 8 WHERE score_5 = 1")

    verified = await operator.types("verify", "--repair")

    rows = [" ".join(row.replace("│", " ").split()) for row in verified.output.splitlines()]
    cell = "assignee {0}, last replier –, agent {0}, priority normal, channel email"
    assert f"acme 2026-03-02 {cell.format('ada')} score_5 7 1" in rows
    assert f"acme 2026-03-02 {cell.format('ben')} pending 0 1" in rows
    assert "acme 2026-03-02 priority normal, channel email score_5 8 1" in rows
    assert not [row for row in rows if row.startswith("acme 2026-03-02 ada")]
    assert (await operator.types("verify")).exit_code == 0


async def test_one_account_can_be_verified_alone(reports: Stage, operator: Operator) -> None:
    """What is wrong elsewhere is not its business, and an account that is none is said to be none."""
    await hear_of_two_accounts(reports)
    await corrupt(reports, "UPDATE csat_daily SET score_5 = 7 WHERE account_id = 'acme'")

    bolt = await operator.types("verify", "--account", "bolt")
    acme = await operator.types("verify", "--account", "acme")
    nobody = await operator.types("verify", "--account", "amce")

    assert (bolt.exit_code, bolt.stdout) == (0, "1 day of 1 account agree.\n")
    assert acme.exit_code == 1
    assert nobody.exit_code == 1
    assert "No account amce is known." in nobody.output


async def test_a_rollup_can_be_repaired_from_the_ratings(reports: Stage, operator: Operator) -> None:
    """What is wrong is shown first, then counted anew; reports are right from then on."""
    await hear_of_two_accounts(reports)
    await corrupt(reports, "UPDATE csat_daily SET score_5 = 7, pending = 1, agent_id = 'eve' WHERE agent_id = 'ada'")

    async with heard(reports) as channel:
        repaired = await operator.types("verify", "--repair")

    assert sorted(channel) == [["acme", None], ["bolt", None]], "open pages ask for themselves"
    assert repaired.exit_code == 0
    assert "2 days of 2 accounts differ." in repaired.output
    assert (await operator.types("verify")).exit_code == 0
    assert (await told(reports, "/summary"))["satisfaction"]["responses"] == 1
    await reports.hears(expired(a_survey("s-2", agent=BEN)), answered("s-3", 4))
    assert (await operator.types("verify")).exit_code == 0


async def test_events_that_come_while_it_compares_do_not_disturb_it(reports: Stage) -> None:
    """Rollup and ratings are compared as they were at one moment, however long it takes."""
    await hear_of_two_accounts(reports)

    async with verification.snapshot(reports.service.engine) as connection:
        days = await verification.days(connection, "acme")
        await reports.hears(answered("s-9", 1, agent=BEN), expired(a_survey("s-2", agent=BEN)))

        assert await verification.differences(connection, "acme") == []
        assert await verification.days(connection, "acme") == days == 1
    assert {(row.agent_id, row.score_1, row.expired) for row in await reports.rows(CsatDaily, agent_id="ben")} == {
        ("ben", 1, 1)
    }
