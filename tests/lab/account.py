"""The stand-in for an AWS account: reads a request, lets faults strike, answers, and takes down what happened."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from . import wording
from .batch import Jobs, Names
from .buckets import Buckets
from .clock import Clock
from .definitions import Definitions
from .endings import Ending
from .faults import Fault
from .jobs import Durations
from .messages import AwsError, Reply, Request, error_reply
from .multipart import Multipart
from .others import Credentials, Images, Logs
from .plan import Plan, draw
from .queues import Queue, Queues
from .recorder import Call, Recorder
from .results import Envelope, Result
from .routes import Asked, asked
from .s3 import Objects
from .server import SMOOTH, Delivery
from .store import Bucket, Store

_WORD = re.compile(r"(?<!^)(?=[A-Z])")


@dataclass(frozen=True)
class Setup:
    """What an account is like in the beginning; see `Lab` for what each of them means."""

    seed: int = 0
    faults: Sequence[Fault] = ()
    endings: Sequence[tuple[Names, Ending]] = ()
    result: Result = field(default_factory=Envelope)
    job_seconds: float = 0.0
    wait_seconds: float = 0.0
    retention: float = 7 * 86_400.0
    visible_after: float = 0.0
    listed_after: float = 0.0
    buckets: Mapping[str, Bucket] = field(default_factory=lambda: {"lab-bucket": Bucket()})
    queues: Mapping[str, Queue] = field(default_factory=lambda: {"lab-queue": Queue()})
    images: Mapping[str, Sequence[str]] = field(default_factory=dict)
    account: str = "123456789012"
    region: str = "us-east-1"
    role_seconds: float = 3600.0
    discard: str = ""


class Account:
    """An account and all that is in it.

    Args:
        setup: What it is like in the beginning.
    """

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.clock = Clock()
        self.recorder = Recorder()
        self.store = Store()
        self.store.buckets.update({name: replace(bucket, objects={}) for name, bucket in setup.buckets.items()})
        self.start = self.clock.now()
        self.plan = Plan(setup.seed, tuple(setup.faults), self.start)
        self.definitions = Definitions(self._arn)
        self.queues = queues = Queues(dict(setup.queues), self._arn)
        self.objects = objects = Objects(self.store, setup.discard, self._look)
        self.jobs = Jobs(
            seed=setup.seed,
            clock=self.clock,
            arn=self._arn,
            definitions=self.definitions,
            queues=queues,
            store=self.store,
            objects=objects,
            durations=Durations(setup.wait_seconds, setup.job_seconds),
            result=setup.result,
            retention=setup.retention,
            visible_after=setup.visible_after,
            listed_after=setup.listed_after,
        )
        for names, ending in reversed(setup.endings):
            self.jobs.choose(names, ending)
        self._credentials = Credentials(setup.account, self.clock, setup.role_seconds)
        buckets = Buckets(self.store, self.jobs.look_at_all)
        logs, images = Logs(self.jobs, self.clock), Images(setup.images)
        self._services = {
            "s3": (objects, Multipart(self.store, objects), buckets),
            "batch": (self.jobs, self.definitions, queues),
            "sts": (self._credentials,),
            "logs": (logs,),
            "ecr": (images,),
        }
        self._handlers: dict[tuple[str, str], Callable[[Asked], Reply]] = {}
        self._requests = 0

    def _look(self, key: str) -> None:
        self.jobs.look(key)

    def _arn(self, rest: str) -> str:
        return f"arn:aws:batch:{self.setup.region}:{self.setup.account}:{rest}"

    def answer(self, request: Request) -> tuple[Reply, Delivery]:
        """Answers a request, and says how the answer is to be delivered."""
        self._requests += 1
        request_id = f"lab-{self._requests}"
        try:
            call = asked(request)
        except AwsError as error:
            self.recorder.keep(Call("Unknown", 0, {"path": request.path}, False, error.status, error.code, (), 0))
            return error_reply("batch", error, request_id), SMOOTH
        number = self.recorder.next_number(call.operation)
        now = self.clock.now()
        fault, slowness = self.plan.decide(call.service, call.operation, number, call.facts, now)
        skew = fault.skew if fault else 0.0
        if skew and not wording.is_skewed(call, skew):
            fault = None
        reply, code = Reply(), ""
        acted = fault is None or fault.acts
        if acted:
            reply, code = self._act(call, request_id)
            acted = not code
        if fault and fault.code:
            reply, code = _refusal(call, wording.fault_error(fault, call), request_id)
        if skew:
            reply.headers["date"] = wording.date(skew)
        reply.headers["x-amz-request-id" if call.service == "s3" else "x-amzn-requestid"] = request_id
        kinds = tuple(struck.kind for struck in ([fault] if fault else []) + slowness)
        self.recorder.keep(Call(call.operation, number, call.facts, acted, reply.status, code, kinds, now - self.start))
        return reply, self._delivery(call, number, reply, fault, slowness)

    def _act(self, call: Asked, request_id: str) -> tuple[Reply, str]:
        """What the service says, and the code of its error if that is one."""
        try:
            self._check(call)
            return self._handler(call)(call), ""
        except AwsError as error:
            return _refusal(call, error, request_id)
        except Exception:  # noqa: BLE001  (a mistake in the laboratory must not look like a fault that it makes)
            traceback.print_exc()
            return _refusal(call, AwsError("LaboratoryMistake", "see its error stream", 500), request_id)

    def _check(self, call: Asked) -> None:
        """What holds for each call: it is signed with good keys, and a bucket is where and whose the caller expects."""
        if not call.request.access_key:
            raise wording.missing(call.service)
        if self._credentials.are_expired(call.request.access_key):
            raise wording.expired(call.service)
        bucket = self.store.buckets.get(call.parameters["Bucket"]) if call.service == "s3" else None
        if bucket and (elsewhere := bucket.elsewhere(call.request.region, call.request.method == "HEAD")):
            raise elsewhere
        expected = call.request.headers.get("x-amz-expected-bucket-owner")
        if expected and expected != (self.store.bucket(call.parameters["Bucket"]).owner or self.setup.account):
            raise AwsError("AccessDenied", "Access Denied", 403)

    def _handler(self, call: Asked) -> Callable[[Asked], Reply]:
        """The method that is named as the operation, in the service's parts."""
        at = (call.service, call.operation)
        if at not in self._handlers:
            name = _WORD.sub("_", call.operation).lower()
            found = [getattr(part, name) for part in self._services[call.service] if hasattr(part, name)]
            if not found:
                raise AwsError("NotImplemented", f"The laboratory does not know {call.service}:{call.operation}", 501)
            self._handlers[at] = found[0]
        return self._handlers[at]

    def _delivery(
        self, call: Asked, number: int, reply: Reply, fault: Fault | None, slowness: Sequence[Fault]
    ) -> Delivery:
        if fault is None and not slowness:
            return SMOOTH
        delay, piece, pause = 0.0, 0, 0.0
        for index, slow in enumerate(slowness):
            delay += slow.delay + slow.jitter * draw(self.setup.seed, call.operation, number, f"jitter{index}")
            piece, pause = slow.piece or piece, slow.pause or pause
        if fault is None:
            return Delivery(delay, piece=piece, pause=pause)
        if fault.flip and reply.body:
            body = bytearray(b"".join(reply.body))
            if body:
                body[int(draw(self.setup.seed, call.operation, number, "flip") * len(body))] ^= 1
            reply.body = (bytes(body),)
        keep = None if fault.keep is None else int(sum(map(len, reply.body)) * fault.keep)
        return Delivery(delay, fault.drop, fault.hang, keep, piece, pause)


def _refusal(call: Asked, error: AwsError, request_id: str) -> tuple[Reply, str]:
    return error_reply(call.service, error, request_id, call.request.method == "HEAD"), error.code
