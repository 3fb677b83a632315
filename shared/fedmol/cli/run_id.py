"""The id of a run, as an argument."""

from __future__ import annotations

import click

from fedmol.federation import names


class _RunId(click.ParamType[str]):
    name = "ID"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not names.is_run(value):
            self.fail(
                f"{value[:80]!r} cannot be the id of a run: letters, digits, dots, hyphens and underscores, "
                "64 at most, a letter or digit first",
                param,
                ctx,
            )
        return value


RUN_ID = _RunId()
