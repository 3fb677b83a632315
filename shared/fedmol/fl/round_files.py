"""One file a round, `round-0001.safetensors` and on, of which the newest are kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RoundFiles:
    folder: Path
    keep: int

    def path(self, round: int) -> Path:
        return self.folder / f"round-{round:04d}.safetensors"

    def rounds(self) -> list[int]:
        """The rounds that have a file, ascending."""
        numbers = (path.stem.removeprefix("round-") for path in self.folder.glob("round-*.safetensors"))
        return sorted(int(number) for number in numbers if number.isdecimal())

    def prune(self) -> None:
        for old in self.rounds()[: -self.keep]:
            self.path(old).unlink(missing_ok=True)
