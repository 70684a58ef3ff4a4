"""`thalweg import`: what it prints passes `config check`, what it could not carry is told line by line, and a file that is there stays."""

import json

import pytest

from command import command
from gateway import MODEL

LITELLM = """\
model_list:
  - model_name: best
    litellm_params:
      model: openai/gpt-4o
      api_key: sk-canary
      rpm: 10
  - model_name: best
    litellm_params: {model: anthropic/claude-sonnet-4-5, api_key: os.environ/CLAUDE}
general_settings: {master_key: sk-canary}
"""
KEYS = {"THALWEG_OPENAI_KEY": "a", "CLAUDE": "b"}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.yaml").write_text(LITELLM)
    return tmp_path


def test_what_is_printed_passes_the_check(folder):
    done = command("import", "litellm", "config.yaml", cwd=folder, environment=KEYS)
    assert done.returncode == 0, done.stderr
    told = done.stderr.decode().splitlines()
    assert "config.yaml:6:7: not carried: best: rpm: there are no rate limits yet" in told
    assert any(line.startswith("config.yaml:5:7: to do: ") and "THALWEG_OPENAI_KEY" in line for line in told)
    assert b"canary" not in done.stdout + done.stderr
    (folder / "thalweg.yaml").write_bytes(done.stdout)
    checked = command("config", "check", cwd=folder, environment=KEYS)
    assert checked.returncode == 0 and b"2 endpoints, 1 model" in checked.stdout, checked.stderr


def test_a_variable_that_is_missing_is_told_with_its_place_in_the_result(folder):
    done = command("import", "litellm", "config.yaml", "--out", "new.yaml", cwd=folder, environment={"CLAUDE": "b", "THALWEG_OPENAI_KEY": ""})
    assert done.returncode == 0 and done.stdout == b""
    line = next(line for line in done.stderr.decode().splitlines() if "THALWEG_OPENAI_KEY is" in line)
    number = int(line.removeprefix("new.yaml:").split(":")[0])
    assert "${THALWEG_OPENAI_KEY}" in (folder / "new.yaml").read_text().splitlines()[number - 1]


def test_a_file_that_is_there_stays(folder):
    (folder / "dangling").symlink_to("nowhere")
    for name in ("config.yaml", "dangling", "."):
        done = command("import", "litellm", "config.yaml", "--out", name, cwd=folder)
        assert done.returncode == 1 and b"already" in done.stderr
    assert (folder / "config.yaml").read_text() == LITELLM and not (folder / "nowhere").exists()
    assert command("import", "litellm", "config.yaml", "--out", "no/folder/x", cwd=folder).returncode == 1


@pytest.mark.parametrize("arguments, code", [((), 2), (("litellm",), 2), (("bifrost", "x"), 2), (("litellm", "none"), 1), (("litellm", "."), 1),
                                             (("litellm", "empty"), 2), (("litellm", "twice"), 2), (("ollama", "twice"), 2), (("lmstudio", "twice"), 1)])
def test_what_cannot_be_read_is_an_exit_code_and_a_sentence(folder, arguments, code):
    (folder / "empty").write_text("model_list: []\n")
    (folder / "twice").write_text("a: 1\na: 2\n")
    done = command("import", *arguments, cwd=folder)
    assert done.returncode == code and done.stderr and done.stdout == b""


def test_a_source_cannot_write_to_the_terminal_or_into_other_lines(folder):
    (folder / "config.yaml").write_text('model_list: [{model_name: "a\\u001B[2J\\nb: c", litellm_params: {model: "openai/x", "k\\nz\\u0007": 1}}]\n')
    done = command("import", "litellm", "config.yaml", cwd=folder, environment={"OPENAI_API_KEY": "a"})
    assert done.returncode == 0 and b"\x1b" not in done.stdout + done.stderr and b"\x07" not in done.stderr
    assert all(line.startswith("config.yaml:") for line in done.stderr.decode().splitlines()), done.stderr
    (folder / "thalweg.yaml").write_bytes(done.stdout)
    assert command("config", "check", cwd=folder, environment={"OPENAI_API_KEY": "a"}).returncode == 0


def test_a_model_of_another_program_answers(folder, start, python):
    """The default model as Ollama would keep it: the imported configuration serves it under its name."""
    blobs = folder / "models/blobs"
    blobs.mkdir(parents=True)
    digest = "0" * 64
    (blobs / f"sha256-{digest}").symlink_to(MODEL)
    manifest = folder / "models/manifests/registry.ollama.ai/library/smollm2/latest"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps({"schemaVersion": 2, "layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{digest}"}]}))
    done = command("import", "ollama", "models", cwd=folder)
    assert done.returncode == 0, done.stderr
    gateway = start(done.stdout.decode()).wait_ready()
    assert gateway.model_names() == ["smollm2:latest", "smollm2", "auto"]
    answer = python(gateway.base_url).chat.completions.create(model="smollm2", max_tokens=4, messages=[{"role": "user", "content": "Hi"}])
    assert answer.choices[0].message.content
