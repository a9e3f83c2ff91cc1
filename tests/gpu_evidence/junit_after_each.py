"""A pytest plug-in: junit.xml is whole after each test, and not only after the last one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _pytest.junitxml import xml_key

from tests.gpu_evidence.files import written


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[Any]:
    """Writes the file again when a test has ended."""
    result = yield
    report = item.config.stash.get(xml_key, None)
    if report is not None:
        final = report.logfile
        try:
            written(Path(final), lambda new: _save(report, new))
        finally:
            report.logfile = final
    return result


def _save(report: Any, path: Path) -> None:
    report.logfile = str(path)
    report.pytest_sessionfinish()
