"""`mixco study run --address`: a real head with a token, and everything that can be wrong."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pandas as pd
import psutil  # type: ignore[import-untyped]
import pytest
import ray
from typer.testing import CliRunner

from reports.store.tables import open_store
from study.commands.study import app as study_commands
from study.on_ray import cluster
from tests.local_head import Head, free_ports
from trainables.errors import InputError

EXAMPLE = Path(__file__).parent.parent / "examples" / "own_encoder"
SPEC = """
name: tiny
datasets: [digits]
methods: [moco]
widths: [4]
arms: [none]
base: {epochs: 1, batch_size: 256, knn_every: 0}
space: {learning_rate: false, temperature: false, weight_decay: false}
trials: 1
searches: 1
seeds: 1
trackers: []
"""


@pytest.fixture
def spec(tmp_path: Path) -> str:
    path = tmp_path / "tiny.yaml"
    path.write_text(SPEC)
    return str(path)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=200)
    return process.returncode, out, err


@pytest.mark.parametrize(
    "address", ["head", "head:", ":6379", "head:0", "head:70000", "http://head:8265", "a b:1", ""]
)
def test_a_malformed_address_is_refused(address: str) -> None:
    with pytest.raises(InputError, match=r"malformed \(allowed: auto, HOST:PORT"):
        cluster.connect(address)


def test_where_nothing_answers_it_says_so_at_once() -> None:
    (port,) = free_ports(1)
    with pytest.raises(InputError, match="nothing answers there"):
        cluster.connect(f"127.0.0.1:{port}")
    with pytest.raises(InputError, match="nothing answers there"):
        cluster.connect("nohost.invalid:6379")


def test_an_address_of_the_environment_is_named_so(monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = free_ports(1)
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
    with (
        pytest.raises(InputError, match=r"^RAY_ADDRESS=.*nothing answers there") as error,
        cluster.connected(None),
    ):
        pass
    assert "--address" not in str(error.value)


def test_a_client_address_of_the_environment_sends_the_driver_to_the_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "ray://127.0.0.1:1")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(study_commands, ["run", "demo", "--results", "here"])
    assert isinstance(done.exception, InputError), done.output
    assert "the driver runs on the cluster" in str(done.exception)


def test_a_temporary_folder_with_too_long_a_path_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / (100 * "x")
    folder.mkdir()
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with pytest.raises(InputError, match=r"^TMPDIR: .*too long.* /tmp"), cluster.connected(None):
        pass


@pytest.mark.slow
def test_a_wrong_or_missing_token_is_one_line(head: Head, spec: str, tmp_path: Path) -> None:
    def run(name: str, **environment: str | None) -> subprocess.Popen[str]:
        place = str(tmp_path / name)
        return head.mixco(
            *("study", "run", spec, "--results", place, "--address", head.address), **environment
        )

    wrong = run("wrong", RAY_AUTH_TOKEN="6" * 64)
    missing = run("missing", RAY_AUTH_TOKEN=None)
    off = run("off", RAY_AUTH_MODE=None)
    for process, reason in (
        (wrong, "refuses the token"),
        (missing, "the token is missing"),
        (off, "refuses the token, or lack of one: set RAY_AUTH_MODE=token"),
    ):
        code, _, err = ended(process)
        assert code == 2
        assert len(err.splitlines()) == 1, err
        assert reason in err
    assert not list(tmp_path.glob("*/*"))


@pytest.mark.slow
def test_a_cluster_of_another_ray_is_refused(head: Head, spec: str, tmp_path: Path) -> None:
    """Changes the head's own record of its version during the test."""
    record = f"""
import json
from ray._raylet import GcsClient
client = GcsClient(address={head.address!r})
key, space = b'CLUSTER_METADATA', b'cluster'
data = json.loads(client.internal_kv_get(key, space))
data['ray_version'] = {{}}
client.internal_kv_put(key, json.dumps(data).encode(), True, space)
"""

    def set_version(version: str) -> None:
        code = record.replace("{}", repr(version))
        subprocess.run([sys.executable, "-c", code], env=head.environment, check=True)

    import ray

    set_version("2.40.0")
    try:
        code, _, err = ended(
            head.mixco(
                *("study", "run", spec, "--results", str(tmp_path / "r")),
                *("--address", head.address),
            )
        )
    finally:
        set_version(ray.__version__)
    assert code == 2
    assert len(err.splitlines()) == 1, err
    assert "2.40.0" in err
    assert ray.__version__ in err


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_by_address_and_through_ray_client_an_own_encoder_gives_the_same(
    head: Head, tmp_path: Path
) -> None:
    """The encoder's module lies beside the study's file, and nowhere on the cluster."""
    shutil.copy(EXAMPLE / "plain.py", tmp_path)
    spec = tmp_path / "plain.yaml"
    spec.write_text(f'{SPEC}encoders: ["plain:PlainNet"]\n')
    run = ("study", "run", str(spec), "--address")
    code, _, err = ended(head.mixco(*run, head.client))
    assert code == 2
    assert "give --results a URI (s3://bucket/prefix) or the absolute path" in err
    outs = {}
    for name, address in (("client", head.client), ("address", head.address)):
        process = head.mixco(*run, address, "--results", str(tmp_path / name))
        code, outs[name], err = ended(process)
        assert code == 0, err
        assert "complete" in outs[name]
    assert f"Ray's dashboard: {head.dashboard}" in outs["address"]
    columns = ["trial_id", "status", "encoder", "accuracy", "loss"]
    found = open_store(tmp_path / "address").read("trials", columns)
    assert list(found["status"]) == ["complete"] * 2
    pd.testing.assert_frame_equal(open_store(tmp_path / "client").read("trials", columns), found)


def kill_first_server(head: Head) -> None:
    """Kills the process that Ray Client's proxy starts for the next client, as it starts."""
    sought = {"ray.util.client.server", f"--port={head.client_port}"}
    (proxy,) = [
        process
        for process in psutil.process_iter(["cmdline"])
        if sought <= set(process.info["cmdline"] or ())
    ]
    before = {child.pid for child in proxy.children()}
    while not (new := [child for child in proxy.children() if child.pid not in before]):
        time.sleep(0.001)
    new[0].kill()


@pytest.mark.slow
def test_a_client_server_that_dies_at_its_start_is_asked_for_again(head: Head) -> None:
    code = f"""
import ray
from study.on_ray import cluster
cluster.connect({head.client!r})
print(ray.cluster_resources()["CPU"])
"""
    killer = threading.Thread(target=kill_first_server, args=(head,), daemon=True)
    killer.start()
    run = subprocess.run(
        [sys.executable, "-c", code], env=head.environment, capture_output=True, text=True
    )
    killer.join(1)
    assert not killer.is_alive()
    assert run.returncode == 0, run.stderr
    assert run.stdout == "1.0\n"
    assert run.stderr.count("connecting again") == 1


@pytest.mark.slow
def test_ctrl_c_through_ray_client_ends_the_driver_there(head: Head, tmp_path: Path) -> None:
    spec, place = tmp_path / "longer.yaml", tmp_path / "there"
    spec.write_text(SPEC.replace("epochs: 1", "epochs: 30").replace("seeds: 1", "seeds: 9"))
    run = head.mixco(
        *("study", "run", str(spec), "--address", head.client, "--results", str(place))
    )
    deadline = time.monotonic() + 200
    while not (place.is_dir() and open_store(place).ids()):
        assert run.poll() is None and time.monotonic() < deadline
        time.sleep(0.2)
    run.send_signal(signal.SIGINT)
    code, out, err = ended(run)
    assert code == 130, out + err
    assert "the same command goes on" in out
    assert not (place / "driver.lock").exists()
    assert 1 <= len(open_store(place).ids()) < 10


def test_ray_too_slow_to_start_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    # Ray raises a bare Exception after 30 s in which its processes have not come up.
    def init(**settings: object) -> None:
        raise Exception("The current node timed out during startup.\nThe GCS is overloaded.")

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(InputError, match=r"Ray does not start on this machine: .*try again\)$"):
        cluster.connect("local")
