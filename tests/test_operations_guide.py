"""docs/operations.md lists every metric with the meaning it was declared with."""

from pathlib import Path

from prometheus_client import REGISTRY, Metric

import services.notifier.app
import services.portal.app
import services.reports.app
import services.surveys.app  # noqa: F401 - what it declares is in the registry

GUIDE = Path(__file__).parents[1] / "docs" / "operations.md"


def declared() -> list[Metric]:
    """Every metric of ours."""
    return sorted(
        (metric for metric in REGISTRY.collect() if metric.name.startswith("closeloop_")),
        key=lambda metric: metric.name,
    )


def row(metric: Metric) -> str:
    """The metric's row of the guide's table."""
    name = f"{metric.name}_total" if metric.type == "counter" else metric.name
    return f"| `{name}` | {metric.type} | {metric.documentation} |"


def test_the_guide_lists_every_metric_with_its_meaning() -> None:
    """What is declared once is described once; a new metric's row is what this fails with."""
    guide = GUIDE.read_text().splitlines()

    assert [row(metric) for metric in declared() if row(metric) not in guide] == []
    assert len([line for line in guide if line.startswith("| `closeloop_")]) == len(declared())
