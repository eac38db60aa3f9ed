"""Names that only look like the dangerous ones."""

from dataclasses import dataclass
from datetime import timedelta

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.activity
def act(ctx: wf.WorkflowActivityContext, value: dict) -> dict:
    return value


class Report:
    def __init__(self, lines: list) -> None:
        self.lines = lines

    def print(self) -> str:
        return "\n".join(self.lines)

    def open(self, page: int) -> str:
        return self.lines[page]

    def now(self) -> int:
        return len(self.lines)


@dataclass
class Slot:
    time: str
    random: int = 0

    def sleep(self, nights: int) -> "Slot":
        return Slot(self.time, nights)


def hash(text: str) -> int:
    """The module's own: a stable checksum."""
    return sum(text.encode())


def choice(options: list, number: int) -> str:
    return options[number % len(options)]


@wfr.workflow
def own_names(ctx: wf.WorkflowContext, job: dict):
    report = Report(job["lines"])
    text = report.print()  # near miss: a method called print
    page = report.open(0)  # near miss: a method called open
    size = report.now()  # near miss: a method called now
    slot = Slot(job["time"]).sleep(2)  # near miss: a method called sleep
    shard = hash(job["id"]) % 16  # near miss: the module's own hash
    colour = choice(["red", "blue"], shard)  # near miss: the module's own choice
    yield ctx.call_activity(act, input={"text": text, "page": page, "n": size, "shard": shard, "colour": colour})
    return slot.time  # near miss: a field called time


@wfr.workflow
def parameters(ctx: wf.WorkflowContext, job: dict):
    requests = job["requests"]
    first = requests.get("first")  # near miss: a dictionary called requests
    time = job["time"]
    hour = time.hour if hasattr(time, "hour") else 0  # near miss: a variable called time
    os = job.get("os", {})
    system = os.get("environ")  # near miss: a dictionary called os
    random = ctx.random()
    lucky = random.random() < 0.1  # near miss: a variable called random, which is the context's
    yield ctx.call_activity(act, input={"first": first, "hour": hour, "system": system, "lucky": lucky})


def convert(uuid: str, id: int, input: dict) -> str:  # noqa: A002
    return f"{uuid}-{id}-{len(input)}"


@wfr.workflow
def arguments(ctx: wf.WorkflowContext, input: dict):  # noqa: A002
    name = convert(uuid=input["uuid"], id=7, input=input)  # near miss: parameters with builtins' names
    id = input["id"]
    return (yield ctx.call_activity(act, input={"name": name, "id": id}))  # near miss: id is a local variable


@wfr.workflow
def in_texts(ctx: wf.WorkflowContext, job: dict):
    """Never call datetime.now() or random.random() here; os.environ neither."""  # near miss: only words
    # time.time() would be wrong as well
    advice = "use uuid.uuid4() in activities; open('x') and print() too"  # near miss: only a string
    yield ctx.call_activity(act, input={"advice": advice})
