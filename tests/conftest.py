"""One offline environment, one tiny random model, one server of responses, other processes."""

import gc
import json
import os
import shutil
import subprocess
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "TOKENIZERS_PARALLELISM": "false"}
# Two are slower for arrays this small, and wait for each other's core; sums depend on their number.
os.environ["OMP_NUM_THREADS"] = "1"
if "PREFOPT_VLLM_PYTHON" not in os.environ:  # its tests want the GPUs there are
    # Many tests ask for what only a CPU gives: the same bits, and a model where their tensors are.
    # `CUDA_VISIBLE_DEVICES=0 pytest -m gpu` runs what is for GPUs.
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import polars as pl
import pytest
from hypothesis import HealthCheck, settings

REPOSITORY = Path(__file__).parents[1]

# Machines are shared: how long an example takes says nothing about the code.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", settings.get_profile("shared"), max_examples=25)
settings.load_profile("shared")

# As many merges as these sentences give: small, and every text that can be sampled decodes.
_CORPUS = [
    "How do I reset my password? Open the settings, choose account, then reset.",
    "My printer is out of paper. Load the tray, close it and press the green button!",
    "Thank you for the quick answer; the light is on, and it works again (since 10:25).",
]
CHAT_TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}"
    "{% if m['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def pytest_collection_finish():
    """Modules stay: nobody who collects garbage, as each unloading of a model does, visits them."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _private_store(tmp_path_factory):
    """No test reads or writes the store of the person who runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFOPT_STORE", str(tmp_path_factory.mktemp("store")))
        yield


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server; a test that stops it starts it again."""
    from tests.postgres import binary, serving

    pytest.importorskip("psycopg")
    if not (binary("postgres") and binary("initdb") and binary("pg_ctl")):
        pytest.skip("PostgreSQL's server is not installed")
    with serving() as server:
        yield server


@pytest.fixture(scope="session")
def tiny_tokenizer():
    """Byte-level BPE with a chat template; it adds no BOS of its own."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    roles = ["<|system|>", "<|user|>", "<|assistant|>"]
    special = ["<s>", "</s>", "<pad>", "<unk>", *roles]
    trainer = trainers.BpeTrainer(vocab_size=160, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(_CORPUS, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        chat_template=CHAT_TEMPLATE,
    )


@pytest.fixture(scope="session")
def tiny_model(tiny_tokenizer, tmp_path_factory):
    """Folder of a two-layer Llama with random weights. Tests copy it before they change it."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("tiny_model")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tiny_tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=256,
        bos_token_id=tiny_tokenizer.bos_token_id,
        eos_token_id=tiny_tokenizer.eos_token_id,
        pad_token_id=tiny_tokenizer.pad_token_id,
        initializer_range=0.3,  # so that the model has opinions
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def write(tmp_path):
    """Write a user's file: text or bytes as they are, rows by the file's ending."""

    def write(name, content):
        path = tmp_path / name
        if isinstance(content, list):
            if path.suffix == ".parquet":
                pl.DataFrame(content).write_parquet(path)
                return path
            content = "".join(json.dumps(row) + "\n" for row in content)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, content, *more = self.server.told(self.path, self.headers, request)
        headers, missing = more or ({}, 0)
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json"} | headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if missing:  # one byte now and then, so that no read ever takes long
            for byte in data[: len(data) - missing]:
                self.wfile.write(bytes([byte]))
                self.server.over.wait(self.server.pause)
            self.close_connection = True
        else:
            self.wfile.write(data)

    def log_message(self, *_):
        pass


class Loopback(ThreadingHTTPServer):
    """A server on this machine that speaks OpenAI's API, as well or as badly as a test wants.

    `behave(request, time)` says what is answered when a request comes for that time: (status,
    content) or (status, content, headers, bytes that are promised and never come).
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/v1"
        self.lock, self.over = threading.Lock(), threading.Event()
        self.behave = lambda request, time: (200, self.answer(request))
        self.asked, self.paths, self.headers, self.times = [], set(), [], Counter()
        self.busy = self.busiest = 0
        self.pause = 0.0  # after each byte of an answer that does not come to its end

    @staticmethod
    def answer(request, texts=None, reason="stop"):
        """What a good server says: the texts given, or some that show seed and number."""
        texts = texts or [f"{request.get('seed')}/{i}" for i in range(request.get("n", 1))]
        choices = [
            {"index": i, "finish_reason": reason}
            | ({"message": {"content": text}} if "messages" in request else {"text": text})
            for i, text in enumerate(texts)
        ]
        usage = {"prompt_tokens": 10, "completion_tokens": 5 * len(texts)}
        return {"model": request["model"], "choices": choices[::-1], "usage": usage}

    def told(self, path, headers, request):
        with self.lock:
            self.asked.append(request)
            self.paths.add(path)
            self.headers.append({name.lower(): text for name, text in headers.items()})
            self.times[key := json.dumps(request)] += 1
            self.busy += 1
            self.busiest = max(self.busiest, self.busy)
        try:
            return self.behave(request, self.times[key])
        finally:
            with self.lock:
                self.busy -= 1

    def stall(self):
        """Say nothing until the test is over."""
        self.over.wait(30)
        return 500, b""

    def handle_error(self, request, client_address):
        """A client that went away is no news."""


@pytest.fixture
def loopback(monkeypatch):
    """A `Loopback` of which nothing is asked again after more than a moment."""
    monkeypatch.setattr("prefopt_core.models.server.endpoint.FIRST_WAIT_S", 0.02)
    with Loopback() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def start():
    """Start a Python program; what still runs when the test ends is killed."""
    running = []

    def start(code, *arguments, inside=(), **environment):
        process = subprocess.Popen(
            [*inside, sys.executable, "-c", code, *map(str, arguments)],
            env=os.environ | {"PYTHONPATH": str(REPOSITORY)} | environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def run_code(start):
    """Run a Python program to its end; returns what it prints."""

    def run_code(code, *arguments, **options):
        process = start(code, *arguments, **options)
        printed, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        return printed

    return run_code


_NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]


@pytest.fixture
def small_disk(run_code, tmp_path):
    """Run a program with a file system of its own, of `kilobytes`, at its first argument."""
    attempt = [*_NAMESPACE, "mount", "-t", "tmpfs", "none", tmp_path]
    if not shutil.which("unshare") or subprocess.run(attempt, capture_output=True).returncode:
        pytest.skip("this machine does not let tests mount a file system")
    disk = tmp_path / "disk"
    disk.mkdir()

    def on_disk(code, *arguments, kilobytes=1024):
        mount = f'mount -t tmpfs -o size={kilobytes}k none {disk} && exec "$@"'
        return run_code(code, disk, *arguments, inside=[*_NAMESPACE, "sh", "-c", mount, "sh"])

    return on_disk
