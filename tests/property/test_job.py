"""The job's state machine, against engines that do everything that engines may do."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from bifrost.compute.events import (
    Began,
    Cancelled,
    Capacity,
    Died,
    Lost,
    Pull,
    Pulled,
    Recall,
    Returned,
    Said,
    Send,
    Suspended,
    Tell,
    Threw,
)
from bifrost.compute.job import MOST_SLICES, JobState
from bifrost.compute.policy import Policy

ERROR = {"name": "Error", "message": "no", "stack": "", "code": "EUNCAUGHT"}


class World:
    """An engine and a client made of chance: what a job sends is done, lost, or killed."""

    def __init__(self, data, total, policy, known):
        self.draw = lambda strategy: data.draw(strategy)
        self.total = total
        self.job = JobState(policy, total if known else None)
        self.pulled = 0
        self.chunks = {}  # under way: number -> [indices, answered]
        self.gone = []  # answers of chunks that are not under way any more
        self.told = []
        self.sent = Counter()
        self.workers = 0

    def handle(self, event):
        pull = 0
        if isinstance(event, Capacity):
            self.workers = event.workers
        for instruction in self.job.handle(event):
            if isinstance(instruction, Send):
                assert instruction.chunk not in self.chunks
                assert 1 <= len(instruction.indices) <= MOST_SLICES
                self.chunks[instruction.chunk] = [instruction.indices, 0]
                self.sent.update(instruction.indices)
            elif isinstance(instruction, Recall):
                indices, answered = self.chunks.pop(instruction.chunk)
                if answered < len(indices):
                    self.gone.append(Returned(instruction.chunk, answered, 0.1, b""))
            elif isinstance(instruction, Pull):
                assert instruction.count > 0
                assert not pull
                pull = instruction.count
            else:
                assert isinstance(instruction, Tell)
                self.told.append(instruction)
        if pull:
            most = min(pull, self.total - self.pulled)
            count = self.draw(st.one_of(st.just(most), st.integers(min(1, most), most)))
            self.pulled += count
            self.handle(Pulled(count, self.pulled == self.total))

    def answer(self, may_fail):
        number = self.draw(st.sampled_from(sorted(self.chunks)))
        _, answered = self.chunks[number]
        kinds = ["return"] * 4 + (["throw", "die", "lose", "say", "late", "twice"] * may_fail)
        kind = self.draw(st.sampled_from(kinds))
        if kind == "return":
            self.step(number)
            self.handle(Returned(number, answered, self.draw(st.sampled_from([1e-4, 0.3])), b"r"))
        elif kind == "throw":
            self.step(number)
            self.handle(Threw(number, answered, ERROR))
        elif kind == "die":
            del self.chunks[number]
            self.handle(Died(number, answered, "EDIED", "it died"))
        elif kind == "lose":
            del self.chunks[number]
            self.gone.append(Returned(number, answered, 0.1, b""))
            self.handle(Lost(number, "away"))
        elif kind == "say":
            self.handle(Said(number, answered, "console", ("log", "hello", 1)))
        elif kind == "late" and self.gone:
            self.handle(self.draw(st.sampled_from(self.gone)))
        elif kind == "twice" and answered:
            self.handle(Returned(number, answered - 1, 0.1, b""))
        assert all(at < len(indices) for indices, at in self.chunks.values())

    def step(self, number):
        self.chunks[number][1] += 1
        if self.chunks[number][1] == len(self.chunks[number][0]):
            del self.chunks[number]

    def names(self, name):
        return [told for told in self.told if told.name == name]

    def check(self):
        results = [told.details[0] for told in self.names("result")]
        failed = [told.details[0] for told in self.names("failed")]
        assert len(set(results + failed)) == len(results + failed), "delivered twice"
        assert not {*results, *failed} - {*range(self.pulled)}
        if self.job.state == "running" and self.workers and self.pulled > self.job.computed:
            assert self.chunks, "nobody works, and there is work"


@settings(max_examples=300, deadline=None)
@given(
    st.data(),
    st.integers(0, 40),
    st.integers(1, 4),
    st.sampled_from(["raise", "collect", "cancel"]),
    st.booleans(),
)
def test_whatever_happens_each_slice_is_delivered_once(data, total, workers, on_error, known):
    policy = Policy(retries=data.draw(st.integers(0, 3)), on_error=on_error)
    world = World(data, total, policy, known)
    world.handle(Began())
    world.handle(Capacity(workers))
    for _ in range(data.draw(st.integers(0, 60))):
        what = data.draw(st.integers(0, 20))
        if what == 0:
            world.handle(Capacity(data.draw(st.integers(0, 4))))
        elif what == 1:
            world.handle(Suspended())
            assert not world.chunks or world.job.state != "suspended"
            if data.draw(st.booleans()) and world.job.state == "suspended":
                world.handle(Began())
        elif what == 2 and data.draw(st.integers(0, 3)) == 0:
            world.handle(Cancelled("enough"))
        elif world.chunks:
            world.answer(may_fail=True)
        world.check()
    # From here on nothing fails: the job comes to its end.
    if world.job.state == "suspended":
        world.handle(Began())
    if world.job.state == "running":
        world.handle(Capacity(workers))
    for _ in range(100_000):
        if world.job.is_over:
            break
        if world.chunks:
            world.answer(may_fail=False)
        else:
            world.handle(Capacity(workers))
    world.check()
    assert not world.chunks
    if world.job.state == "complete":
        results = [told.details[0] for told in world.names("result")]
        assert sorted([*results, *world.job.errors]) == list(range(total))
        assert len(world.names("complete")) == 1
        *_, last = world.names("status")
        assert last.details[:3] == (total, total, total)
    else:
        assert world.job.state == "cancelled"
        assert len(world.names("cancel")) == 1
    # A slice is charged for its own deaths only, and tried as often as the policy says.
    for index in world.job.errors:
        assert sum(told.details[0] == index for told in world.names("error")) <= policy.retries + 2


@given(st.integers(1, 5000), st.floats(1e-7, 10), st.integers(1, 8))
def test_the_window_is_bounded(total, seconds, workers):
    job = JobState(Policy(), total)
    under_way = {}
    pulled = most = 0

    def handle(event):
        nonlocal pulled, most
        for instruction in job.handle(event):
            if isinstance(instruction, Send):
                under_way[instruction.chunk] = len(instruction.indices)
            elif isinstance(instruction, Pull):
                count = min(instruction.count, total - pulled)
                pulled += count
                handle(Pulled(count, pulled == total))

    handle(Began())
    handle(Capacity(workers))
    while not job.is_over:
        assert len(under_way) <= workers * job.policy.window
        most = max(most, pulled - job.computed)
        number, size = under_way.popitem()
        for position in range(size):
            handle(Returned(number, position, seconds, b""))
    assert job.computed == total
    assert most <= workers * job.policy.window * MOST_SLICES * 2


def test_the_order_of_events_is_that_of_dcp():
    job = JobState(Policy(), 2)
    told = []

    def handle(event):
        for instruction in job.handle(event):
            if isinstance(instruction, Tell):
                told.append((instruction.name, *instruction.details[:3]))
            elif isinstance(instruction, Pull):
                handle(Pulled(2, True))

    handle(Began())
    handle(Capacity(1))
    handle(Returned(0, 0, 0.1, b""))
    handle(Returned(1, 0, 0.1, b""))
    assert [item for item in told if item[0] not in ("readystatechange", "workers")] == [
        ("accepted",),
        ("status", 2, 0, 0),
        ("status", 2, 1, 0),
        ("status", 2, 2, 0),
        ("result", 0, 0.1, b""),
        ("status", 2, 2, 1),
        ("result", 1, 0.1, b""),
        ("status", 2, 2, 2),
        ("complete",),
    ]
