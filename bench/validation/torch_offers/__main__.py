"""`python -m bench.validation.torch_offers [CLASS …] [--write]`: measures what torch's classes offer (some minutes).

Says what differs from the committed table, with exit code 1 where something does; `--write` writes the table.
"""

import os
import sys

from bench.validation.torch_offers.table import differences, measure_classes, written
from estimators.tools.torch_offers import TABLE, offers_table


def main(arguments: list[str]) -> int:
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
