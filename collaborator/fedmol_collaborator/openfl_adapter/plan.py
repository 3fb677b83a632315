"""The OpenFL plan that the settings stand for, as plain data.

The programs make it themselves; for reading:

    python -m fedmol_collaborator.openfl_adapter.plan federation.yaml
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

from fedmol.fl.federation import Settings, load
from fedmol.fl.identity import peer_name
from fedmol.fl.tasks import TRAIN, VALIDATE


def render(settings: Settings) -> dict[str, Any]:
    """The plan's sections."""
    return {
        "aggregator": {
            "template": "openfl.component.Aggregator",  # its place is taken by fedmol's round engine
            "settings": {"rounds_to_train": settings.training.rounds},
        },
        "assigner": {
            "template": "openfl.component.StaticGroupedAssigner",
            "settings": {
                "task_groups": [
                    {
                        "name": "learning",
                        "collaborators": [peer_name(site) for site in settings.site_names],
                        "tasks": [VALIDATE.name, TRAIN.name],
                    }
                ]
            },
        },
        "collaborator": {
            "template": "openfl.component.Collaborator",
            "settings": {"opt_treatment": "CONTINUE_LOCAL", "use_delta_updates": False, "db_store_rounds": 1},
        },
        "compression_pipeline": {"template": "fedmol_collaborator.openfl_adapter.codec.BytePipeline", "settings": {}},
        "network": {
            "template": "openfl.federation.Network",
            "settings": {
                "agg_addr": settings.network.address,
                "agg_port": settings.network.port,
                "use_tls": True,
                "require_client_auth": True,
                "transport_protocol": "grpc",
            },
        },
        "tasks": {
            "settings": {},
            VALIDATE.name: {"function": "validate_task", "kwargs": {"apply": "global"}},
            TRAIN.name: {"function": "train_task", "kwargs": {}},
        },
    }


def as_yaml(settings: Settings) -> str:
    """The plan as a file of OpenFL's workspace has it."""
    return yaml.safe_dump(render(settings), sort_keys=False, width=120)


if __name__ == "__main__":
    print(as_yaml(load(Path(sys.argv[1]))), end="")
