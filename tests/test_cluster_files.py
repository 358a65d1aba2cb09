"""The ready files in `cluster/`: against Ray's own schema, and KubeRay's published fields.

KubeRay's schema is not in any Python package: the fields below are those of its Go types
(`RayJobSpec`, `RayClusterSpec`, `HeadGroupSpec`, `WorkerGroupSpec`), of pods only what is used.
"""

from __future__ import annotations

import importlib
import json
import re
import shlex
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import ray
import typer
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from study.shipped import presets

FOLDER = Path(__file__).parent.parent / "cluster"

TEXT: dict[str, Any] = {"type": "string"}
COUNT = {"type": "integer", "minimum": 0}
TEXTS = {"type": "object", "additionalProperties": TEXT}


def record(required: str = "", **fields: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": required.split(),
        "properties": fields,
        "additionalProperties": False,
    }


def listed(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": 1}


CONTAINER = record(
    "name image",
    name={"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"},
    image=TEXT,
    envFrom=listed(record("secretRef", secretRef=record("name", name=TEXT))),
    ports=listed(
        record(
            "containerPort",
            containerPort=COUNT,
            name={"type": "string", "maxLength": 15, "pattern": "^[a-z0-9-]+$"},
        )
    ),
    resources=record(requests=TEXTS, limits=TEXTS),
    volumeMounts=listed(record("name mountPath", name=TEXT, mountPath=TEXT)),
)
POD = record(
    "spec",
    spec=record(
        "containers",
        containers=listed(CONTAINER),
        volumes=listed(
            record(
                "name",
                name=TEXT,
                configMap=record("name", name=TEXT),
                hostPath=record("path", path=TEXT, type={"enum": ["DirectoryOrCreate"]}),
            )
        ),
    ),
)
RAY_JOB = record(
    "apiVersion kind metadata spec",
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    metadata=record("name", name={"type": "string", "maxLength": 47}),
    spec=record(
        "entrypoint rayClusterSpec",
        entrypoint=TEXT,
        backoffLimit=COUNT,
        shutdownAfterJobFinishes={"type": "boolean"},
        ttlSecondsAfterFinished=COUNT,
        rayClusterSpec=record(
            "headGroupSpec",
            rayVersion=TEXT,
            authOptions=record("mode", mode={"enum": ["disabled", "token"]}),
            enableInTreeAutoscaling={"type": "boolean"},
            headGroupSpec=record("rayStartParams template", rayStartParams=TEXTS, template=POD),
            workerGroupSpecs=listed(
                record(
                    "groupName minReplicas maxReplicas rayStartParams template",
                    groupName=TEXT,
                    replicas=COUNT,
                    minReplicas=COUNT,
                    maxReplicas=COUNT,
                    rayStartParams=TEXTS,
                    template=POD,
                )
            ),
        ),
    ),
)


def loaded(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text())


def test_the_launcher_file_is_what_ray_accepts() -> None:
    config = loaded("aws-gpu.yaml")
    schema = json.loads((Path(ray.__file__).parent / "autoscaler/ray-schema.json").read_text())
    jsonschema.validate(config, schema)
    validate_config(prepare_config(config))  # with the provider's defaults, as `ray up` does
    assert config["head_node_type"] in config["available_node_types"]
    with pytest.raises(jsonschema.ValidationError, match="max_worker"):
        jsonschema.validate({**config, "max_worker": 1}, schema)


def test_the_ray_job_has_kuberays_fields() -> None:
    job = loaded("rayjob.yaml")
    jsonschema.validate(job, RAY_JOB)
    job["spec"]["rayClusterSpec"]["workerGroupSpec"] = []
    with pytest.raises(jsonschema.ValidationError, match="workerGroupSpec"):
        jsonschema.validate(job, RAY_JOB)


def test_mounted_volumes_and_references_exist() -> None:
    spec = loaded("rayjob.yaml")["spec"]
    cluster = spec["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        volumes = {volume["name"] for volume in pod.get("volumes", [])}
        for container in pod["containers"]:
            assert {mount["name"] for mount in container.get("volumeMounts", [])} <= volumes
            assert container["resources"]["requests"] == container["resources"]["limits"]


def test_versions_are_those_of_the_constraints() -> None:
    pinned = dict(
        line.split(" ")[0].split("==")
        for line in (FOLDER.parent / "constraints.txt").read_text().splitlines()
    )
    assert ray.__version__ == pinned["ray"]
    assert loaded("rayjob.yaml")["spec"]["rayClusterSpec"]["rayVersion"] == pinned["ray"]
    image = f"rayproject/ray:{pinned['ray']}-py311-gpu"
    assert loaded("aws-gpu.yaml")["docker"]["image"] == image
    assert f"FROM {image}\n" in (FOLDER / "Dockerfile").read_text()


def test_every_mixco_command_in_them_is_one() -> None:
    """The command's options exist, and SPEC is a placeholder, a preset or the script's argument."""
    found = 0
    for path in FOLDER.iterdir():
        for line in re.findall(r"mixco (study|data) ([^'`\n]+)", path.read_text()):
            words = shlex.split(" ".join(line))
            group = importlib.import_module(f"study.commands.{words[0]}").app
            command = typer.main.get_command(group).commands[words[1]]  # type: ignore[attr-defined]
            options = {name for option in command.params for name in option.opts}
            assert {word for word in words if word.startswith("--")} <= options, words
            given = words[2].lower().endswith((".yaml", "cifar10", "$@")) or words[2] in presets()
            assert given, words
            found += 1
    assert found >= 4
