#!/usr/bin/env python3
"""A stand-in provider: strict in what it takes, and able to cut, stall, lie and overload on command. Standard library only.

It speaks OpenAI's API (provider/chat_completions.py; also as Azure has it) or Anthropic's (provider/messages.py): what differs is behind
their classes.

In a test it runs on its own thread (`StandIn(...).start()`), is told what to do next through `next`, `always`, `for_prompt`, and
shows every request it got as a `Record`. From a shell, `standin.py --key K --model M` runs it alone and prints its two addresses;
the second takes the same commands as JSON (provider/control.py).
"""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import json
import ssl
import threading
import time
from collections.abc import Callable

from provider import checks, other_apis
from provider.behaviour import Behaviour
from provider.chat_completions import Azure, ChatCompletions, DatedAzure
from provider.messages import Messages
from provider.wire import AnswerBody, Closed, Connection, Head, Malformed, response_head


@dataclasses.dataclass
class Record:
    """One request as it came, and how it ended."""
    number: int
    connection: int                # which connection it came on: reuse can be seen
    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    at: float = 0.0                # time.monotonic() of the whole request
    status: int = 0                # 0: no head was sent
    behaviour: Behaviour | None = None
    frames_sent: int = 0
    answered: bool = False         # the answer went out as the behaviour wished
    gone_at: float | None = None   # the caller left before that

    @property
    def json(self) -> dict:
        return json.loads(self.body)

    @property
    def answer_id(self) -> str:
        """What the answer calls the request."""
        return f"req_standin_{self.number + 1}"

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def asks(self) -> bool:
        """A request for an answer, not a probe."""
        return self.method == "POST"


APIS = {"openai": ChatCompletions, "anthropic": Messages, "azure": Azure, "azure-dated": DatedAzure}


class StandIn:
    def __init__(self, key: str = "sk-standin", models: tuple[str, ...] = ("gpt-test-2026-01-01",), *, tls: ssl.SSLContext | None = None,
                 closed_headers: frozenset | None = checks.HEADERS_UPSTREAM, extra_fields: frozenset = frozenset(), api: str = "openai"):
        self.key, self.models, self.tls, self.api = key, tuple(models), tls, APIS[api]
        self.closed_headers, self.extra_fields = closed_headers, extra_fields
        self.port = 0
        self.records: list[Record] = []
        self.violations: list[str] = []
        self._default = Behaviour()
        self._queue: collections.deque[Behaviour] = collections.deque()
        self._by_prompt: dict[str, collections.deque[Behaviour]] = {}
        self._by_model: dict[str, Behaviour] = {}
        self._models_behaviour = Behaviour()
        self._changed = threading.Condition(threading.RLock())
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: asyncio.AbstractServer | None = None
        self._connections: set[Connection] = set()
        self._connection_count = 0
        self._thread: threading.Thread | None = None

    # ---- commands -------------------------------------------------------------------------------------------------------------

    def next(self, *behaviours: Behaviour) -> None:
        """For the next requests for an answer, one each, in order."""
        with self._changed:
            self._queue.extend(behaviours)

    def always(self, behaviour: Behaviour) -> None:
        """For every request without a behaviour of its own."""
        with self._changed:
            self._default = behaviour

    def for_prompt(self, prompt: str, *behaviours: Behaviour) -> None:
        """For the next requests whose prompt is this one: independent of order, for many requests at a time."""
        with self._changed:
            self._by_prompt.setdefault(prompt, collections.deque()).extend(behaviours)

    def for_model(self, model: str, behaviour: Behaviour) -> None:
        with self._changed:
            self._by_model[model] = behaviour

    def forget(self) -> None:
        """Every behaviour that was set; requests so far stay."""
        with self._changed:
            self._queue.clear()
            self._by_prompt.clear()
            self._by_model.clear()
            self._default = self._models_behaviour = Behaviour()

    def for_probes(self, behaviour: Behaviour) -> None:
        """For GET /v1/models: what active probes see."""
        with self._changed:
            self._models_behaviour = behaviour

    def asked(self) -> list[Record]:
        """The requests for an answer so far; probes are left out."""
        with self._changed:
            return [record for record in self.records if record.asks]

    def wait_for(self, holds: Callable[[], object], what: str, deadline: float = 10.0):
        """Waits until `holds()` is true of what happened here; its value."""
        ends = time.monotonic() + deadline
        with self._changed:
            while not (value := holds()):
                if not self._changed.wait(max(0.0, ends - time.monotonic())) and time.monotonic() >= ends:
                    raise AssertionError(f"the stand-in waited {deadline} s in vain: {what}; it saw {self.records}")
            return value

    def wait_asked(self, count: int, deadline: float = 10.0) -> list[Record]:
        self.wait_for(lambda: len(self.asked()) >= count, f"{count} requests for an answer", deadline)
        return self.asked()

    def open_connections(self) -> int:
        with self._changed:
            return len(self._connections)

    # ---- life -----------------------------------------------------------------------------------------------------------------

    def start(self) -> "StandIn":
        started = threading.Event()

        def run() -> None:
            self._loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self._loop)
            self._loop.run_until_complete(self._listen())
            started.set()
            self._loop.run_forever()

        self._thread = threading.Thread(target=run, name="standin", daemon=True)
        self._thread.start()
        if not started.wait(10):
            raise RuntimeError("the stand-in does not start")
        return self

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.tls, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]

    def _do(self, coroutine) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    def refuse_connections(self) -> None:
        """Closes the listening socket and every connection: new ones are refused. The port stays known."""
        self._do(self._shut())

    def accept_connections(self) -> None:
        """Listens again on the same port."""
        self._do(self._listen())

    async def _shut(self) -> None:
        self._server.close()
        for connection in list(self._connections):
            await connection.rst()

    def close_idle_connections(self) -> None:
        async def close() -> None:
            for connection in list(self._connections):
                await connection.fin()
        self._do(close())

    def stop(self) -> None:
        self.refuse_connections()

        async def end() -> None:
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self._do(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}{self.api.base}"

    # ---- serving --------------------------------------------------------------------------------------------------------------

    def _note(self, **changes) -> None:
        with self._changed:
            record = changes.pop("record", None)
            for name, value in changes.items():
                setattr(record, name, value)
            self._changed.notify_all()

    def _violation(self, text: str) -> None:
        with self._changed:
            self.violations.append(text)
            self._changed.notify_all()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer)
        with self._changed:
            self._connection_count += 1
            number = self._connection_count
            self._connections.add(connection)
        try:
            while not connection.ended:
                head = await connection.read_head()
                record = Record(len(self.records), number, head.method, head.target, head.headers)
                with self._changed:
                    self.records.append(record)
                try:
                    body = await connection.read_body(head)
                except Closed:
                    self._note(record=record, gone_at=time.monotonic())
                    raise
                self._note(record=record, body=body, at=time.monotonic())
                await self._answer_or_leave(connection, head, record)
        except (Closed, asyncio.CancelledError):
            pass  # the peer left, or the stand-in stops
        except Malformed as error:
            self._violation(f"malformed: {error}")
            await connection.write(response_head(400, [("Content-Length", "0"), ("Connection", "close")]))
        finally:
            with self._changed:
                self._connections.discard(connection)
                self._changed.notify_all()
            if not connection.ended:
                writer.close()

    async def _answer_or_leave(self, connection: Connection, head: Head, record: Record) -> None:
        """Answers, and notices at once when the caller leaves meanwhile."""
        answer = asyncio.create_task(self._answer(connection, head, record))
        leaving = asyncio.create_task(connection.until_gone())
        done, _ = await asyncio.wait((answer, leaving), return_when=asyncio.FIRST_COMPLETED)
        for task in (answer, leaving):  # wait until both are over: the next request reads from the same stream
            if task not in done:
                task.cancel()
        await asyncio.gather(answer, leaving, return_exceptions=True)
        if answer in done:
            try:
                answer.result()
            except Closed:
                self._note(record=record, gone_at=time.monotonic())
                raise
            except Exception as error:  # a fault of the stand-in must fail the test, not pass for a cut connection
                self._violation(f"the stand-in itself failed: {error!r}")
                raise Closed(str(error)) from error
            self._note(record=record, answered=True)
        elif connection.ended:
            self._note(record=record, answered=True)
        else:
            self._note(record=record, gone_at=time.monotonic())
            raise Closed("the caller left")

    def _behaviour_for(self, request: dict) -> Behaviour:
        with self._changed:
            own = self._by_prompt.get(self.api.prompt(request))
            if own:
                return own.popleft()
            if self._queue:
                return self._queue.popleft()
            return self._by_model.get(request["model"], self._default)

    async def _answer(self, connection: Connection, head: Head, record: Record) -> None:
        try:
            checks.check_headers(head.headers, None if self.closed_headers is None else self.closed_headers | self.api.own_headers)
            self.api.authorize(head.headers, self.key)
            path = self.api.route(head.target)
            if head.method == "GET" and path.split("?")[0].startswith("/v1/models"):
                return await self._answer_models(connection, record, path.split("?")[0].removeprefix("/v1/models").lstrip("/"))
            if other := other_apis.find(head.method, path):
                return await self._answer_other(connection, head, record, other)
            if path not in self.api.paths:
                raise checks.Fault(404, f"Invalid URL ({head.method} {path})")
            if head.method != "POST":
                raise checks.Fault(405, f"Not allowed to {head.method} on {path}")
            if head.field("content-type").split(";")[0].strip() != "application/json":
                raise checks.Fault(400, f"the content type is {head.field('content-type')!r}, not application/json")
            request = checks.parse(record.body)
            self.api.check_body(request, path, set(self.models), self.extra_fields | self.api.fields_of_betas(head.field("anthropic-beta")))
        except checks.Fault as fault:
            self._violation(f"{head.method} {head.target}: {fault}")
            return await self._whole(connection, record, Behaviour(), fault.status, self.api.fault(fault, record.answer_id))
        behaviour = self._behaviour_for(request)
        if not behaviour.tool_calls and behaviour.text is None and (call := self.api.forced_call(request)):
            behaviour = dataclasses.replace(behaviour, tool_calls=(call,))
        await self._misbehave(connection, record, request, behaviour)

    async def _answer_other(self, connection: Connection, head: Head, record: Record, answer) -> None:
        """Of an API that the gateway does not read; behaviours that need not know its frames do as ever."""
        content_type, data = answer(head, record.body)
        with self._changed:
            behaviour = self._queue.popleft() if self._queue else self._default
        if behaviour.drop or behaviour.stall == "head" or behaviour.raw or behaviour.status != 200:
            return await self._misbehave(connection, record, {}, behaviour)
        self._note(record=record, behaviour=behaviour)
        await self._whole(connection, record, behaviour, 200, data, content_type)

    async def _answer_models(self, connection: Connection, record: Record, name: str) -> None:
        behaviour = self._models_behaviour
        if behaviour.status != 200 or behaviour.drop or behaviour.stall:
            await self._misbehave(connection, record, {"model": name}, behaviour)
        elif name and name not in self.models:
            await self._whole(connection, record, behaviour, 404, self.api.refusal(Behaviour(status=404), name, record.answer_id))
        else:
            await self._whole(connection, record, behaviour, 200, self.api.model(name) if name else self.api.models(list(self.models)))

    async def _misbehave(self, connection: Connection, record: Record, request: dict, behaviour: Behaviour) -> None:
        self._note(record=record, behaviour=behaviour)
        if behaviour.drop:
            return await (connection.rst() if behaviour.drop == "rst" else connection.fin())
        if behaviour.stall == "head":
            return await self._silence()
        if behaviour.raw:
            self._note(record=record, status=200)
            await connection.write(behaviour.raw.encode("latin-1"))
            return await (self._silence() if behaviour.end == "hold" else connection.fin())
        if behaviour.status != 200:
            refusal = self.api.refusal(behaviour, request.get("model", ""), record.answer_id)
            return await self._whole(connection, record, behaviour, behaviour.status, refusal)
        if request.get("stream"):
            return await self._stream(connection, record, request, behaviour)
        await self._whole(connection, record, behaviour, 200, self.api.whole(request, behaviour))

    @staticmethod
    async def _silence() -> None:
        await asyncio.Event().wait()

    def _fields(self, record: Record, behaviour: Behaviour, content_type: str, framing: str) -> list[tuple[str, str]]:
        fields = [("Content-Type", behaviour.content_type or content_type), (self.api.request_id_field, record.answer_id), *behaviour.headers]
        if framing == "chunked":
            fields.append(("Transfer-Encoding", "chunked"))
        if behaviour.close == "header" or framing == "close":
            fields.append(("Connection", "close"))
        return fields

    async def _whole(self, connection: Connection, record: Record, behaviour: Behaviour, status: int, document: dict | bytes,
                     content_type: str = "application/json") -> None:
        data = document if isinstance(document, bytes) else json.dumps(document, ensure_ascii=False).encode()
        framing = behaviour.framing or "length"
        fields = self._fields(record, behaviour, content_type, framing)
        if framing == "length":
            fields.append(("Content-Length", str(len(data) + behaviour.length_error)))
        self._note(record=record, status=status)
        await connection.write(response_head(status, fields))
        body = AnswerBody(connection, framing, behaviour.piece)
        if behaviour.stall == "first":
            return await self._silence()
        if behaviour.end or behaviour.stall == "middle":  # half of it, then nothing or the end of the connection
            await body.write(data[:len(data) // 2])
            if behaviour.stall:
                return await self._silence()
            return await (connection.rst() if behaviour.end == "rst" else connection.fin())
        await body.write(data)
        await body.end()
        await self._close_after(connection, behaviour)

    async def _close_after(self, connection: Connection, behaviour: Behaviour) -> None:
        if behaviour.close or behaviour.length_error:
            await connection.fin()

    async def _stream(self, connection: Connection, record: Record, request: dict, behaviour: Behaviour) -> None:
        framing = behaviour.framing or "chunked"
        body = AnswerBody(connection, framing, behaviour.piece)
        self._note(record=record, status=200)
        await connection.write(response_head(200, [*self._fields(record, behaviour, "text/event-stream; charset=utf-8", framing),
                                                   ("Cache-Control", "no-cache")]))
        if behaviour.stall == "first":
            return await self._silence()
        strikes = behaviour.frames if behaviour.end in ("fin", "rst", "error", "garbage") or behaviour.stall == "middle" else None
        for number, (event, document) in enumerate(self.api.frames(request, behaviour)):
            if strikes is not None and number >= strikes:
                break
            await body.write(sse_frame(json.dumps(document, ensure_ascii=False), behaviour, event))
            self._note(record=record, frames_sent=number + 1)
            if behaviour.gap:
                await asyncio.sleep(behaviour.gap)
        if behaviour.stall == "middle" or behaviour.end == "hold":
            return await self._silence()
        if behaviour.end == "rst":
            return await connection.rst()
        if behaviour.end == "fin":
            return await connection.fin()
        for event, data in self.api.last_frames(behaviour):
            await body.write(sse_frame(data, behaviour, event))
        await body.end()
        await self._close_after(connection, behaviour)


def sse_frame(data: str, behaviour: Behaviour, event: str = "") -> bytes:
    """One event: its name if it has one, `data:` lines (several where JSON allows a line break, when asked), a comment before it when asked."""
    lines = [": keep-alive", ""] if behaviour.comments else []
    if event:
        lines.append(f"event: {event}")
    if behaviour.multiline and data.startswith("{") and ", " in data:
        # After the first comma that stands between top-level members; a line break is blank space there.
        head, tail = data.split(", ", 1)
        lines += [f"data: {head},", f"data: {tail}"]
    else:
        lines.append(f"data: {data}")
    return (behaviour.newline.join([*lines, "", ""])).encode()


if __name__ == "__main__":
    from provider.control import main
    main()
