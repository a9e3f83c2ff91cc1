"""`python -m bench.validation.torch_offers [CLASS …] [--write]`: measures what torch's classes offer (some minutes).

Prints the differences from the committed table; the exit code is 1 if there are any. With `--write`, writes the table.
"""

import os
import sys

from bench.validation.torch_offers.table import differences, measure_classes, written
from estimators.tools.torch_offers import TABLE, offers_table


def main(arguments: list[str]) -> int:
    """Measures the named classes, or all. Returns the exit code."""
    names = [each for each in arguments if not each.startswith("--")]
    rows = measure_classes(names, jobs=os.cpu_count() or 1)
    if "--write" in arguments:
        kept = offers_table() if names and TABLE.exists() else {}
        TABLE.write_text(written(kept | rows))
        return 0
    changed = differences(rows)
    print("\n".join(changed) or f"{len(rows)} classes offer what the committed table says")
    return int(bool(changed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
