"""The images of others that fedmol builds on and runs beside: images.json names each, with the digest of what it was.

    python -m fedmol.containers.images      look every digest up in its registry, and write it down (`make lock-images`)

With a digest, what runs is what was looked at, whatever its tag comes to mean. An entry without one may be anything.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from pydantic import TypeAdapter

from fedmol import files
from fedmol.closed import Closed
from fedmol.errors import Exit, FedmolError

LOCK = Path(__file__).with_name("images.json")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Image(Closed):
    """`image` has its tag; `digest` is that of the index over all architectures."""

    image: str
    digest: str | None

    @property
    def reference(self) -> str:
        return self.image if self.digest is None else f"{self.image}@{self.digest}"


_READER = TypeAdapter(dict[str, Image])


def images() -> dict[str, Image]:
    """Every image of others, by the name that fedmol has for it."""
    return _READER.validate_json(LOCK.read_bytes())


def locked(name: str) -> str:
    """What the image is pulled by."""
    return images()[name].reference


def lock(dockerfile: Path) -> None:
    """Look every digest up, and write it down; the Dockerfile's base follows.

    Raises:
        FedmolError: NO_ENGINE when a registry, or Docker itself, does not answer; nothing is written then.
    """
    looked_up = {name: Image(image=image.image, digest=_look_up(image.image)) for name, image in images().items()}
    files.write_bytes(LOCK, _READER.dump_json(looked_up, indent=2) + b"\n")
    base = f"ARG PYTHON={looked_up['python'].reference}"
    files.write_text(dockerfile, re.sub(r"^ARG PYTHON=.*$", base, dockerfile.read_text(), flags=re.MULTILINE))


def _look_up(image: str) -> str:
    command = ["docker", "buildx", "imagetools", "inspect", image, "--format", "{{.Manifest.Digest}}"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        detail = str(getattr(error, "stderr", None) or error).strip()
        cure = "run it on a machine with Docker and a way to the registry"
        raise FedmolError(Exit.NO_ENGINE, f"the digest of {image} could not be looked up: {detail}", cure) from None
    if not _DIGEST.fullmatch(said):
        raise FedmolError(Exit.NO_ENGINE, f"Docker gave no digest for {image}: {said[:80]!r}", "update Docker's buildx")
    return said


if __name__ == "__main__":
    try:
        lock(Path("docker") / "Dockerfile")
    except FedmolError as refusal:
        sys.exit(f"error: {refusal}")
