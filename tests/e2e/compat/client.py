"""What one row of the compatibility table is: a client over one surface, the five things it is asked to do, and what came of it in the
same words for every client.

A new client is a class like those beside this file, named in roster.py. Its methods use the library as its own documentation does and
let its errors out; `failure` says in common words what an error is.
"""

from __future__ import annotations

import abc
import dataclasses
from typing import Literal

import pydantic

from waiting import PATIENCE

PATIENT = 60 * PATIENCE  # seconds; what hangs ends by it
TURNS = 4                # of a conversation with tools at most
TEMPERATURES = {"Zürich": "12 °C", "Bern": "9 °C"}  # what the tool answers


class City(pydantic.BaseModel):
    """The schema that answers must follow: a grammar can force it on any model, so that even the smallest keeps it."""
    model_config = pydantic.ConfigDict(extra="forbid")
    city: Literal["Bern", "Basel"]


WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
DESCRIPTION = "The temperature in a city"


def temperature_in(city: str) -> str:
    return TEMPERATURES[city]


@dataclasses.dataclass
class Failure:
    kind: str      # "refused": the client's own error for a bad request; "timeout": its own for that; "other"
    message: str   # the server's words where there are any
    status: int | None = None


@dataclasses.dataclass
class Outcome:
    text: str = ""
    pieces: int = 0           # of a stream, with text in them
    city: str = ""            # what an answer by schema said
    calls: list[str] = dataclasses.field(default_factory=list)  # the cities that the tool was asked for, in order
    failure: Failure | None = None


class Client(abc.ABC):
    name = ""     # of the library, as its users say it
    surface = ""  # what it speaks

    def __init__(self, url: str):
        """`url`: the gateway's, without a path."""

    @abc.abstractmethod
    def answer(self, model: str, prompt: str, tokens: int, seconds: float) -> Outcome:
        """A whole answer of so many tokens at most; gives up after `seconds`."""

    @abc.abstractmethod
    def stream(self, model: str, prompt: str, tokens: int, leave_after: int) -> Outcome:
        """A streamed answer; leaves after so many pieces with text, or with 0 stays to the end."""

    @abc.abstractmethod
    def look(self, model: str, prompt: str, image: str, tokens: int) -> Outcome:
        """An answer about an image. `image`: a PNG in base64."""

    @abc.abstractmethod
    def fill(self, model: str, prompt: str, tokens: int) -> Outcome:
        """An answer that follows the schema of `City`."""

    @abc.abstractmethod
    def use_tools(self, model: str, prompt: str, tokens: int) -> Outcome:
        """Answers with the tool `weather` at hand: its calls are carried out until the model has its say."""

    @abc.abstractmethod
    def failure(self, error: Exception) -> Failure:
        """The library's error in common words."""

    def ask(self, method: str, **arguments) -> Outcome:
        """One of the five above; an error of the library becomes the outcome's."""
        try:
            return getattr(self, method)(**arguments)
        except Exception as error:  # whatever the library raises is what an application sees
            return Outcome(failure=self.failure(error))
