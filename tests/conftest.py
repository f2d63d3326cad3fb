"""What all tests share: no network, a command line of its own process, an ingested handbook."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_socket import socket_allow_hosts

from twotower.app.settings import load_settings
from twotower.app.threads import limit_threads
from twotower.app.wiring import Application
from twotower.retrieval.models.model_folder import DEFAULT_ENCODER, ModelFolder, find_model
from twotower.retrieval.models.runtime import RuntimeOptions, load_encoder
from twotower.retrieval.models.runtime.cache import MANIFEST, ModelCache

limit_threads()

# The engine waits for the disk whenever it makes or opens a collection. In memory it does not, and
# what outlives a killed process is the same. TMPDIR or --basetemp choose another folder.
MEMORY = Path("/dev/shm")
if (
    "TMPDIR" not in os.environ
    and os.access(MEMORY, os.W_OK)
    and shutil.disk_usage(MEMORY).free > 4 * 2**30
):
    os.environ["TMPDIR"] = str(MEMORY)
    tempfile.tempdir = None

ROOT = Path(__file__).resolve().parents[1]
OFFLINE = ROOT / "tests" / "offline"
# `openvino` or `torch` runs the whole suite on that runtime.
RUNTIME = os.environ.get("TWOTOWER_TEST_RUNTIME", "auto")
HANDBOOK = ROOT / "examples" / "handbook"


def pytest_runtest_setup() -> None:
    socket_allow_hosts(["127.0.0.1", "::1"], allow_unix_socket=True)


@dataclass(frozen=True)
class Finished:
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Zygote:
    """The process that commands are forked from; see `tests.zygote`."""

    def __init__(self) -> None:
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("TWOTOWER_")},
            "TWOTOWER_TEST_RUNTIME": RUNTIME,
            "PYTHONPATH": os.pathsep.join(map(str, (OFFLINE, ROOT, ROOT / "src"))),
            "TWOTOWER_TEST_NETWORK_LOG": os.devnull,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def start(self, request: dict[str, Any]) -> int:
        """Start a command; its process id."""
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._answer()["pid"]

    def wait(self) -> int:
        """Wait for the command that was started; its exit code."""
        return self._answer()["code"]

    def _answer(self) -> dict[str, int]:
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=300)
        self._process.stdout.close()


@pytest.fixture(scope="session")
def zygote():
    zygote = Zygote()
    yield zygote
    zygote.close()


class CommandLine:
    """Runs `twotower` in a process of its own, offline, on a data directory of its own."""

    def __init__(self, zygote: Zygote, cache: ModelCache, data_dir: Path, folder: Path) -> None:
        self._zygote = zygote
        self._folder = folder
        self.data_dir = data_dir
        self.network_log = folder / "network.log"
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("TWOTOWER_")},
            "TWOTOWER_DATA_DIR": str(data_dir),
            "TWOTOWER_CACHE_DIR": str(cache.folder),
            "TWOTOWER_RUNTIME": RUNTIME,
            "TWOTOWER_TEST_NETWORK_LOG": str(self.network_log),
            "PYTHONPATH": os.pathsep.join(map(str, (OFFLINE, ROOT / "src"))),
            "COLUMNS": "200",
            "XDG_CONFIG_HOME": str(folder / "config"),  # no twotower.toml of the person who tests
        }

    def start(self, *arguments: object, before: Sequence[str] = (), **environment: str) -> int:
        """Start a command, after running the modules ``before`` in its process; its process id."""
        return self._zygote.start(
            {
                "arguments": [str(argument) for argument in arguments],
                "environment": self.environment | environment,
                "before": list(before),
                "out": str(self._folder / "out"),
                "err": str(self._folder / "err"),
            }
        )

    def wait(self) -> Finished:
        """Wait for the command that was started."""
        code = self._zygote.wait()
        out, err = ((self._folder / name).read_text(encoding="utf-8") for name in ("out", "err"))
        assert "Traceback" not in err, err
        return Finished(code, out, err)

    def __call__(self, *arguments: object, **environment: str) -> Finished:
        self.start(*arguments, **environment)
        return self.wait()

    def fresh(self, *arguments: object, prefix: Sequence[str] = (), **environment: str) -> Finished:
        """Run a command in a new interpreter, as a person's shell does."""
        done = subprocess.run(
            [*prefix, sys.executable, "-m", "twotower", *map(str, arguments)],
            check=False,
            capture_output=True,
            text=True,
            timeout=600,
            env=self.environment | environment,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    @property
    def refused_connections(self) -> str:
        return self.network_log.read_text() if self.network_log.exists() else ""


def copy_sparse(source: Path, target: Path) -> None:
    """Copy a data directory: the engine's files are mostly holes, which Python would fill."""
    subprocess.run(["cp", "-r", "--sparse=always", source, target], check=True)


@pytest.fixture
def twotower(zygote: Zygote, model_cache: ModelCache, tmp_path: Path) -> CommandLine:
    return CommandLine(zygote, model_cache, tmp_path / "data", tmp_path)


@pytest.fixture(scope="session")
def handbook(
    zygote: Zygote, model_cache: ModelCache, tmp_path_factory: pytest.TempPathFactory
) -> CommandLine:
    """A command line whose data directory has the example handbook in `documents`."""
    folder = tmp_path_factory.mktemp("handbook")
    command_line = CommandLine(zygote, model_cache, folder / "data", folder)
    command_line.first_ingest = command_line("ingest", HANDBOOK, "--json")
    assert command_line.first_ingest.code == 0, command_line.first_ingest.err
    return command_line


@pytest.fixture(scope="session")
def application(handbook: CommandLine, model_cache: ModelCache) -> Application:
    """The application in this process, over the ingested handbook, with the encoder loaded once."""
    return Application(
        load_settings({}, data_dir=handbook.data_dir, cache_dir=model_cache.folder, runtime=RUNTIME)
    )


@pytest.fixture(scope="session")
def model() -> ModelFolder:
    return ModelFolder(DEFAULT_ENCODER, find_model(DEFAULT_ENCODER))


@pytest.fixture(scope="session")
def model_cache(model: ModelFolder, tmp_path_factory: pytest.TempPathFactory) -> ModelCache:
    """A cache of its own, with what a person's commands compiled of the default encoder."""
    cache = ModelCache(tmp_path_factory.mktemp("cache"))
    compiled = Application(load_settings({})).models.compiled
    if compiled.find(model.fingerprint):
        shutil.copytree(compiled.path(model.fingerprint), cache.path(model.fingerprint))
    else:
        load_encoder(model, cache, RuntimeOptions(RUNTIME))
    return cache


def add_prompt(cache: ModelCache, model: ModelFolder, passage_prompt: str) -> None:
    """Put the compiled default encoder into the cache for another passage prompt as well.

    The graphs are the same, so tests that need an encoder with another fingerprint save the
    compilation; `test_runtime` compiles models with prompts.
    """
    prompted = dataclasses.replace(model, passage_prompt=passage_prompt)
    manifest = cache.find(model.fingerprint)
    if manifest is None or cache.find(prompted.fingerprint):
        return
    target = cache.path(prompted.fingerprint)
    shutil.copytree(cache.path(model.fingerprint), target)
    manifest = dataclasses.replace(
        manifest,
        fingerprint=prompted.fingerprint,
        prompts=manifest.prompts | {"passage": passage_prompt},
    )
    (target / MANIFEST).write_text(json.dumps(dataclasses.asdict(manifest)), encoding="utf-8")


class WordEncoder:
    """A stand-in for a bi-encoder where a test is not about vectors: words hashed to dimensions."""

    dimension = 64

    def __init__(self, model: ModelFolder) -> None:
        self.model = model
        self.passages = 0

    def encode_questions(self, texts):
        rows = np.full((len(texts), self.dimension), 1e-3, dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in text.lower().split():
                row[sum(word.encode()) % self.dimension] += 1.0
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def encode_passages(self, texts):
        self.passages += len(texts)
        return self.encode_questions(texts)


@pytest.fixture
def word_encoder(model: ModelFolder) -> WordEncoder:
    return WordEncoder(model)
