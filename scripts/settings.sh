#!/usr/bin/env bash
# Writes thalweg.yaml for a first use, unless there is one: the prepared engine and model, and what one would add next,
# commented out.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/pins.sh
[[ ! -e thalweg.yaml ]] || exit 0

cat >thalweg.yaml.new <<YAML
# Thalweg's configuration, written by \`make run\` and yours from now on. After a change: build/thalweg config check

# Where the gateway listens. On loopback, without keys (below), any bearer token is accepted.
listen: 127.0.0.1:8080

# Places: where AI requests can run.
places:
  here: {kind: device}
  # Example: a public cloud.
  # cloud: {kind: cloud, country: US, operator: Example}

# Endpoints: what answers at a place.
endpoints:
  local:
    place: here
    engine:
      # The engine that \`make run\` prepared. Without this line: a llama-server on PATH, then the cache.
      program: "$THALWEG_CACHE/engine/llama-server"
      models:
        $MODEL_NAME: {file: "$THALWEG_CACHE/models/$MODEL_FILE"}

  # Example: a server that speaks the OpenAI API. Its key is read from the environment and never written here.
  # hosted:
  #   place: cloud
  #   api: openai
  #   url: https://api.example.com/v1
  #   key: \${OPENAI_API_KEY}
  #   models:
  #     gpt-example: {context: 128000}

# Models: the names that applications ask for and, in order, the endpoints that may serve each (endpoint/model).
# \`auto\` is built in: every chat model.
models:
  small: [local/$MODEL_NAME]
  # best: [hosted/gpt-example, local/$MODEL_NAME]

# Keys: once there is one, every request must carry one ("Authorization: Bearer ..."). Only its SHA-256 is kept here:
# \`build/thalweg key new --id laptop\` prints a new key once, and its line for here.
# keys:
#   - {id: laptop, tenant: me, models: [small], sha256: 64 hexadecimal digits}
YAML
mv thalweg.yaml.new thalweg.yaml
echo "wrote thalweg.yaml: the gateway's configuration, with comments"
