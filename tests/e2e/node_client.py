"""Drives node/client.mjs: jobs in, outcomes out."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess

from waiting import PATIENCE

SCRIPT = pathlib.Path(__file__).with_name("node") / "client.mjs"


class NodeClient:
    def __init__(self, folder: pathlib.Path):
        self.folder = folder  # holds `node` and node_modules

    def run(self, base_url: str, *jobs: dict, key: str = "any", retries: int = 0, deadline: float = 60.0,
            authority: pathlib.Path | None = None) -> list[dict]:
        """One outcome a job: {"answer"} or {"chunks"}, and {"error"} when the client threw."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "NODE_"))}
        environment["THALWEG_JOBS"] = json.dumps({"base_url": base_url, "api_key": key, "max_retries": retries,
                                                  "timeout": 60_000 * PATIENCE, "jobs": jobs})
        if authority:
            environment["NODE_EXTRA_CA_CERTS"] = str(authority)
        # The script comes by standard input, so that `import 'openai'` is looked up from the folder with node_modules.
        done = subprocess.run([str(self.folder / "node"), "--input-type=module", "-"], cwd=self.folder, env=environment,
                              input=SCRIPT.read_bytes(), capture_output=True, timeout=deadline * PATIENCE, check=False)
        if done.returncode != 0:
            raise AssertionError(f"the Node client ended with {done.returncode}: {done.stderr.decode()}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def chat(self, base_url: str, key: str = "any", **params) -> dict:
        return self.run(base_url, {"call": "chat.completions.create", "params": params}, key=key)[0]
