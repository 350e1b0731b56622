"""An argument that a command cannot take is refused in plain words; the command line's library has a model's words."""

from typing import Any

import typer
from typer.core import TyperGroup


class PlainRefusals(TyperGroup):
    """A group of commands whose arguments are refused with the value and what would be right."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was named.

        Raises:
            typer.BadParameter: An argument cannot be taken; its message is in plain words.
        """
        try:
            return super().invoke(ctx)
        except typer.BadParameter as refused:
            from pydantic import ValidationError  # Commands that check no model go without it.

            if isinstance(refused.__cause__, ValidationError):
                from contracts.faults import bound_of, shown

                fault = refused.__cause__.errors(include_url=False)[0]
                bound = bound_of(fault)  # A rule's own sentence, of a choice for instance, names the value.
                refused.message = bound if fault["type"] == "value_error" else f"{shown(fault['input'])}, {bound}"
            raise
