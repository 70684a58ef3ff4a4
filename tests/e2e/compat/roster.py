"""The rows of the table, in its order. A new client is one more line here."""

from compat.agents_python import Agents, AgentsChat
from compat.anthropic_python import Anthropic
from compat.langchain_python import LangChain, LangChainResponses
from compat.node_worker import node_client
from compat.ollama_python import Ollama
from compat.openai_python import ChatCompletions, Responses

CLIENTS = [
    ChatCompletions,
    Responses,
    node_client("`openai` for Node", "chat completions", "openai chat completions"),
    node_client("`openai` for Node", "responses", "openai responses"),
    Anthropic,
    node_client("`@anthropic-ai/sdk`", "messages", "anthropic"),
    Ollama,
    LangChain,
    LangChainResponses,
    AgentsChat,
    Agents,
    node_client("`ai`, `@ai-sdk/openai-compatible`", "chat completions", "@ai-sdk/openai-compatible"),
    node_client("`ai`, `@ai-sdk/openai`", "chat completions", "@ai-sdk/openai chat completions"),
    node_client("`ai`, `@ai-sdk/openai`", "responses", "@ai-sdk/openai responses"),
    node_client("`ai`, `@ai-sdk/anthropic`", "messages", "@ai-sdk/anthropic"),
]
