"""models.yaml: open models, out of the shapes in the config.json that publishers put beside their weights. The parameters are counted, not copied."""
from decimal import Decimal

from sheet import sheet

AS_OF = "2026-11-23"
BYTES = 2  # of a key's or value's element, at 16 bits

# layers, hidden, feed-forward, heads, heads of keys and values, size of a head, vocabulary, context; what else has parameters.
DENSE = {
    "meta-llama/Llama-3.1-8B-Instruct": (32, 4096, 14336, 32, 8, 128, 128256, 131072, ""),
    "meta-llama/Llama-3.1-70B-Instruct": (80, 8192, 28672, 64, 8, 128, 128256, 131072, ""),
    "meta-llama/Llama-3.3-70B-Instruct": (80, 8192, 28672, 64, 8, 128, 128256, 131072, ""),
    "meta-llama/Llama-3.2-3B-Instruct": (28, 3072, 8192, 24, 8, 128, 128256, 131072, "tied"),
    "Qwen/Qwen2.5-3B": (36, 2048, 11008, 16, 2, 128, 151936, 32768, "tied bias"),
    "Qwen/Qwen2.5-7B": (28, 3584, 18944, 28, 4, 128, 152064, 131072, "bias"),
    "Qwen/Qwen2.5-14B": (48, 5120, 13824, 40, 8, 128, 152064, 131072, "bias"),
    "Qwen/Qwen2.5-32B": (64, 5120, 27648, 40, 8, 128, 152064, 131072, "bias"),
    "Qwen/Qwen3-4B": (36, 2560, 9728, 32, 8, 128, 151936, 40960, "tied norm"),
    "Qwen/Qwen3-8B": (36, 4096, 12288, 32, 8, 128, 151936, 40960, "norm"),
    "Qwen/Qwen3-14B": (40, 5120, 17408, 40, 8, 128, 151936, 40960, "norm"),
    "Qwen/Qwen3-32B": (64, 5120, 25600, 64, 8, 128, 151936, 40960, "norm"),
    "HuggingFaceTB/SmolLM2-135M-Instruct": (30, 576, 1536, 9, 3, 64, 49152, 8192, "tied"),
}
# A mixture: the same, with the size of one expert for the feed-forward, then experts and experts a token.
MIXTURES = {"Qwen/Qwen3-30B-A3B": ((48, 2048, 768, 32, 4, 128, 151936, 40960, "norm"), 128, 8)}
ALSO = {
    "meta-llama/Llama-3.1-8B-Instruct": ["meta-llama/Llama-3.1-8B", "llama3.1:8b"],
    "meta-llama/Llama-3.1-70B-Instruct": ["meta-llama/Llama-3.1-70B", "llama3.1:70b"],
    "meta-llama/Llama-3.3-70B-Instruct": ["llama3.3:70b"],
    "meta-llama/Llama-3.2-3B-Instruct": ["meta-llama/Llama-3.2-3B", "llama3.2:3b"],
    "Qwen/Qwen2.5-3B": ["Qwen/Qwen2.5-3B-Instruct", "qwen2.5:3b"],
    "Qwen/Qwen2.5-7B": ["Qwen/Qwen2.5-7B-Instruct", "qwen2.5:7b"],
    "Qwen/Qwen2.5-14B": ["Qwen/Qwen2.5-14B-Instruct", "qwen2.5:14b"],
    "Qwen/Qwen2.5-32B": ["Qwen/Qwen2.5-32B-Instruct", "qwen2.5:32b"],
    "Qwen/Qwen3-4B": ["qwen3:4b"],
    "Qwen/Qwen3-8B": ["qwen3:8b"],
    "Qwen/Qwen3-14B": ["qwen3:14b"],
    "Qwen/Qwen3-32B": ["qwen3:32b"],
    "Qwen/Qwen3-30B-A3B": ["qwen3:30b-a3b"],
    "HuggingFaceTB/SmolLM2-135M-Instruct": ["HuggingFaceTB/SmolLM2-135M", "smollm2-135m", "smollm2:135m"],
}


def attention_and_norms(shape):
    _, hidden, _, heads, kv_heads, head, _, _, extras = shape
    parameters = 2 * hidden * heads * head + 2 * hidden * kv_heads * head + 2 * hidden
    if "bias" in extras:
        parameters += (heads + 2 * kv_heads) * head
    if "norm" in extras:
        parameters += 2 * head
    return parameters


def parameters_of(shape, experts=0, used=0):
    """(total, active): embeddings, layers of attention and gated feed-forward, the last norm, and the output's matrix unless it is tied."""
    layers, hidden, forward, _, _, _, vocabulary, _, extras = shape
    outside = vocabulary * hidden * (1 if "tied" in extras else 2) + hidden
    gate = hidden * experts

    def whole(count):
        return outside + layers * (attention_and_norms(shape) + gate + count * 3 * hidden * forward)

    return whole(experts or 1), whole(used or 1)


def entry(name, shape, experts=0, used=0):
    layers, _, _, _, kv_heads, head, _, context, _ = shape
    total, active = parameters_of(shape, experts, used)
    return {
        "total_billion": Decimal(total).scaleb(-9),
        "active_billion": Decimal(active).scaleb(-9),
        "context_tokens": context,
        "layers": layers,
        "kv_bytes_per_token": 2 * layers * kv_heads * head * BYTES,
        "also": ALSO[name],
    }


def make():
    entries = {name: entry(name, shape) for name, shape in DENSE.items()}
    entries |= {name: entry(name, *mixture) for name, mixture in MIXTURES.items()}
    source = {
        "title": "The config.json beside the weights; parameters and cache counted from it",
        "url": "https://huggingface.co/",
        "licence": "numbers only; each model has its own licence",
        "class": "s",
        "kind": "published",
        "as_of": AS_OF,
        "made_by": "scripts/facts/models.py",
    }
    return sheet("models", ["Open models: parameters, layers and the cache of keys and values at 16 bits. Made by scripts/facts/make.py.",
                            "The context is the configuration's own, without what rope scaling may add."], {"config-json": source}, entries)
