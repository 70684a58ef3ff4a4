"""The coding agents, each without a person at it: one task in a folder of its own, asked of one gateway.

They are told not to call home, and a proxy where nobody listens ends at once what they try all the same.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import platform
import subprocess

from gateway import CACHE
from waiting import PATIENCE

AGENTS = CACHE / "agents"
NODE = AGENTS / "node"
NOWHERE = "http://127.0.0.1:9"  # the discard port
ARCHITECTURE = {"x86_64": "x64", "aarch64": "arm64"}[platform.machine()]


TASK = "Change hello to goodbye in note.txt."


@dataclasses.dataclass
class Done:
    """How an agent ended."""
    well: bool  # by its own account
    text: str   # its last words, or the server's refusal


class Agent:
    name = ""
    surface = ""
    package = ""  # what it is called in the lock file
    needs = ""    # the settings without which it asks for what no other provider can do

    def __init__(self, url: str, model: str, folder: pathlib.Path):
        """`folder`: empty; holds the agent's home and the folder that it works in, with the file that the task is about."""
        self.url, self.model = url, model
        self.home, self.work = folder / "home", folder / "work"
        self.home.mkdir()
        self.work.mkdir()
        self.note = self.work / "note.txt"
        self.note.write_text("hello\n")

    def run(self, command: list, environment: dict[str, str]) -> subprocess.CompletedProcess:
        outside = {name: NOWHERE for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")}
        return subprocess.run([str(word) for word in command], cwd=self.work, stdin=subprocess.DEVNULL, capture_output=True, check=False,
                              timeout=90 * PATIENCE, env={"PATH": os.environ["PATH"], "HOME": str(self.home), **outside,
                                                          "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1", **environment})

    def do(self, task: str) -> Done:
        raise NotImplementedError

    def script(self) -> list[tuple[str, dict]]:
        """(tool, arguments) each: how a model does the task with the tools that this agent gives it."""
        raise NotImplementedError


class Codex(Agent):
    name, surface, package = "`@openai/codex`", "responses", "@openai/codex"
    needs = """in its `config.toml` a provider with `wire_api = "responses"`, and `web_search = "disabled"`, since a search that OpenAI runs cannot
be carried"""
    settings = """\
model = "{model}"
model_provider = "thalweg"
web_search = "disabled"
check_for_update_on_startup = false
[analytics]
enabled = false
[model_providers.thalweg]
name = "Thalweg"
base_url = "{url}/v1"
env_key = "THALWEG_KEY"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
"""

    def do(self, task):
        (self.home / "config.toml").write_text(self.settings.format(model=self.model, url=self.url))
        done = self.run([NODE, AGENTS / "node_modules/@openai/codex/bin/codex.js", "exec", "--skip-git-repo-check",
                         "--dangerously-bypass-approvals-and-sandbox", "--json", task], {"CODEX_HOME": str(self.home), "THALWEG_KEY": "any"})
        events = [json.loads(line) for line in done.stdout.splitlines()]
        failed = [event["error"]["message"] for event in events if event["type"] == "turn.failed"]
        if failed:  # the body of the refusal
            return Done(False, json.loads(failed[-1])["error"]["message"] if failed[-1].startswith("{") else failed[-1])
        said = [event["item"]["text"] for event in events if event.get("item", {}).get("type") == "agent_message"]
        return Done(done.returncode == 0, said[-1] if said else done.stderr.decode())

    def script(self):
        return [("exec_command", {"cmd": f"sed -i s/hello/goodbye/ {self.note}"})]


class ClaudeCode(Agent):
    name, surface, package = "`@anthropic-ai/claude-code`", "messages", "@anthropic-ai/claude-code"
    needs = """`ANTHROPIC_BASE_URL`. Over other APIs than Anthropic's its first requests are refused, for tools that are loaded later; it then sends all
its tools at once, and needs a context of about 20,000 tokens for them"""

    def do(self, task):
        program = AGENTS / f"node_modules/@anthropic-ai/claude-code-linux-{ARCHITECTURE}/claude"
        done = self.run([program, "-p", task, "--output-format", "json", "--allowedTools", "Edit,Read", "--model", self.model], {
            "ANTHROPIC_BASE_URL": self.url, "ANTHROPIC_API_KEY": "any", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_TELEMETRY": "1", "DISABLE_AUTOUPDATER": "1", "DISABLE_ERROR_REPORTING": "1", "CLAUDE_CODE_MAX_RETRIES": "0"})
        if not done.stdout:
            return Done(False, done.stderr.decode())
        answer = json.loads(done.stdout)
        return Done(not answer["is_error"], answer["result"].removeprefix("API Error: 400 "))

    def script(self):
        return [("Read", {"file_path": str(self.note)}),
                ("Edit", {"file_path": str(self.note), "old_string": "hello", "new_string": "goodbye", "replace_all": False})]


ROSTER = [Codex, ClaudeCode]
