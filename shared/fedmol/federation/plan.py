"""The OpenFL plan that the settings stand for, as plain data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fedmol.federation.identity import peer_name
from fedmol.federation.settings import Settings

MODEL = "model"  # the one tensor that travels: all weights, flat
NEGATIVE_NLL = "negative_nll"  # negated, since OpenFL calls the largest value the best
LOSS = "loss"
SECONDS = "seconds"
VALIDATE = "aggregated_model_validation"
TRAIN = "train"


def render(settings: Settings, state: Path) -> dict[str, Any]:
    """The plan's sections. `state` is the folder for what OpenFL itself keeps."""
    return {
        "aggregator": {
            "template": "fedmol_aggregator.openfl_adapter.aggregator.CheckedAggregator",
            "settings": {
                "rounds_to_train": settings.training.rounds,
                "db_store_rounds": 2,
                "init_state_path": str(state / "init.pbuf"),
                "best_state_path": str(state / "best.pbuf"),
                "last_state_path": str(state / "last.pbuf"),
                "persist_checkpoint": True,
                "persistent_db_path": str(state / "tensor.db"),
                "write_logs": False,
            },
        },
        "assigner": {
            "template": "openfl.component.StaticGroupedAssigner",
            "settings": {
                "task_groups": [
                    {
                        "name": "learning",
                        "collaborators": [peer_name(site) for site in settings.site_names],
                        "tasks": [VALIDATE, TRAIN],
                    }
                ]
            },
        },
        "collaborator": {
            "template": "openfl.component.Collaborator",
            # Deltas and crash recovery exclude each other in OpenFL 1.9: a recovered aggregator lacks their base.
            "settings": {"opt_treatment": "CONTINUE_LOCAL", "use_delta_updates": False, "db_store_rounds": 1},
        },
        "compression_pipeline": {"template": "openfl.pipelines.NoCompressionPipeline", "settings": {}},
        "straggler_handling_policy": {
            "template": "fedmol_aggregator.openfl_adapter.policy.QuorumPolicy",
            "settings": {},
        },
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
            VALIDATE: {"function": "validate_task", "kwargs": {"apply": "global"}},
            TRAIN: {"function": "train_task", "kwargs": {}},
        },
    }
