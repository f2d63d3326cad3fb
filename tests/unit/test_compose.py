"""`docker-compose.yml`: accepted by the schema of the Compose specification, safe as it stands."""

import re
import shutil
import subprocess
import sys

import pytest
import yaml

from tests.conftest import ROOT

FILE = ROOT / "docker-compose.yml"
COMPOSE = yaml.safe_load(FILE.read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]
PROFILES = {
    "": {"qdrant"},
    "tools": {"qdrant", "twotower"},
    "web": {"qdrant", "web"},
    "cluster": {"qdrant", "qdrant-1", "qdrant-2", "qdrant-3", "twotower-cluster"},
    "ollama": {"qdrant", "ollama"},
}


def started(profile: str) -> dict:
    return {
        name: service
        for name, service in SERVICES.items()
        if "profiles" not in service or profile in service["profiles"]
    }


def test_the_schema_of_the_specification_accepts_the_file():
    schema = ["--builtin-schema", "vendor.compose-spec", str(FILE)]
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *schema],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_schema_refuses_what_is_no_compose_file(tmp_path):
    """The check above can fail."""
    bad = tmp_path / "compose.yml"
    bad.write_text(FILE.read_text().replace("restart:", "restarts:"))
    schema = ["--builtin-schema", "vendor.compose-spec", str(bad)]
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *schema], check=False, capture_output=True
    )
    assert done.returncode == 1


@pytest.mark.parametrize("profile", PROFILES)
def test_each_profile_starts_what_it_needs(profile):
    services = started(profile)
    assert set(services) == PROFILES[profile]
    for name, service in services.items():
        assert set(service.get("depends_on", ())) <= set(services), name
        mounted = [volume.partition(":")[0] for volume in service.get("volumes", ())]
        assert set(mounted) <= set(COMPOSE["volumes"]), name


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.skipif(not shutil.which("docker-compose"), reason="docker-compose is not installed")
def test_docker_compose_accepts_each_profile(profile):
    chosen = ["--profile", profile] if profile else []
    done = subprocess.run(
        ["docker-compose", "-f", FILE, *chosen, "config"],
        check=False,
        capture_output=True,
        text=True,
        env={"QDRANT_API_KEY": "k", "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    assert "QDRANT__SERVICE__API_KEY: k" in done.stdout
    without = subprocess.run(
        ["docker-compose", "-f", FILE, *chosen, "config"],
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert "set QDRANT_API_KEY" in without.stderr


def test_images_are_pinned_ports_are_on_loopback_and_keys_come_from_outside():
    for name, service in SERVICES.items():
        assert re.fullmatch(r"[\w/.-]+:v?\d+\.\d+\.\d+", service["image"]), name
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), name
        if service["image"].startswith("qdrant/"):
            assert service["environment"]["QDRANT__SERVICE__API_KEY"].startswith(
                "${QDRANT_API_KEY:?"
            )
            assert service["healthcheck"]["test"][0] == "CMD"
            assert service["volumes"]


def test_a_cluster_has_three_nodes_and_two_of_each_shard():
    nodes = [service for name, service in SERVICES.items() if name.startswith("qdrant-")]
    assert len(nodes) == 3
    assert all(node["environment"]["QDRANT__CLUSTER__ENABLED"] == "true" for node in nodes)
    assert sum("--bootstrap" in node["command"] for node in nodes) == 2
    assert SERVICES["twotower-cluster"]["environment"]["TWOTOWER_REPLICAS"] == "2"


def test_the_image_takes_what_the_packages_need_and_nothing_else():
    docker = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^USER (?!root)", docker, re.MULTILINE)
    assert "torch==2.13.0" in docker
    copied = set(re.findall(r"^COPY (\w+) \./\w+$", docker, re.MULTILINE))
    assert copied == {"app", "evaluation", "examples", "ingest", "retrieval", "src", "ui"}
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert allowed[0] == "*"
    assert {f"!{package}" for package in copied} <= set(allowed)
