"""What a terminal shows of an object, in a notebook too."""

import io

from rich.console import Console

WIDTH = 120
FORMAT = (
    "<pre style=\"font-family:ui-monospace,Menlo,'DejaVu Sans Mono',monospace;font-size:12px;line-height:1.25;"
    'overflow-x:auto;white-space:pre">{code}</pre>'
)


class InNotebooks:
    """An object with `__rich__`, which Jupyter shows as the terminal does."""

    def _repr_html_(self) -> str:
        console = Console(record=True, file=io.StringIO(), width=WIDTH, color_system="truecolor", force_jupyter=False)
        console.print(self)
        return console.export_html(inline_styles=True, code_format=FORMAT)
