"""Terminal output of an object, shown in notebooks too."""

import io

from rich.console import Console

WIDTH = 120
FORMAT = (
    "<pre style=\"font-family:ui-monospace,Menlo,'DejaVu Sans Mono',monospace;font-size:12px;line-height:1.25;"
    'overflow-x:auto;white-space:pre">{code}</pre>'
)


class InNotebooks:
    """Base class of objects with `__rich__`: Jupyter shows them as a terminal does."""

    def _repr_html_(self) -> str:
        console = Console(record=True, file=io.StringIO(), width=WIDTH, color_system="truecolor", force_jupyter=False)
        console.print(self)
        return console.export_html(inline_styles=True, code_format=FORMAT)
