"""The README's examples work as they stand."""

import asyncio
import os
import re
import sys
from pathlib import Path

from tests.product import Product, until

README = (Path(__file__).parents[2] / "README.md").read_text()


def example(language: str, holding: str) -> str:
    """Find the README's code block in a language that holds a text."""
    (found,) = [code for code in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL) if holding in code]
    return found


async def test_another_kafka_client_publishes_plain_json_as_the_readme_shows(product: Product, kafka: str) -> None:
    """Platform teams need no library of ours: the copied example leads to an email with a link that opens."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", example("python", "confluent_kafka")),
        env={**os.environ, "KAFKA_BOOTSTRAP_SERVERS": kafka},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()

    text = await product.email("sam@customer.example", "/t/")

    page = await product.http.get(re.search(r"http\S+/t/[\w-]{43}", text).group())
    assert "Where is my order?" in page.text
    assert "It left our house this morning." in page.text


async def test_a_dashboard_reads_the_reports_as_the_readme_shows(product: Product, kafka: str) -> None:
    """The copied curl call answers."""
    key = await product.reports_key("example-account")
    command = example("sh", "/api/v1/csat/summary").replace("http://127.0.0.1:8004", product.url("reports"))

    async def answered() -> str | None:
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", command),
            env={**os.environ, "CSAT_KEY": key},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        output, _ = await process.communicate()
        return output.decode() if process.returncode == 0 else None

    assert '"average"' in await until(answered)
