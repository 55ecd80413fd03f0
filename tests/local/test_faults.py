"""Faults are drawn from a seed, site by site."""

from dataclasses import replace

from local.engine.faults import Call, Faults
from local.engine.settings import FaultSettings

SOME = FaultSettings(
    seed=5, lose=0.2, duplicate=0.2, delay=0.2, throttle=0.1, lost_response=0.1, kill=0.2, delay_seconds=2
)


def call(number: int, request: str = "request", operation: str = "PutItem") -> Call:
    return Call("LaunchTrainingFunction", request, "dynamodb", operation, f"{request}-{operation}-{number}")


def met(settings: FaultSettings) -> list[object]:
    faults = Faults()
    faults.switch(settings)
    return [each for number in range(100) for each in (faults.deliveries("a-rule"), faults.of_call(call(number)))]


def test_a_seed_chooses_the_same_again_and_another_one_differently() -> None:
    assert met(SOME) == met(SOME)
    assert met(SOME) != met(replace(SOME, seed=6))


def test_every_fault_is_met_and_nothing_goes_wrong_unasked() -> None:
    found = met(SOME)
    calls = {each for each in found if not isinstance(each, list)}
    deliveries = [each for each in found if isinstance(each, list)]
    assert calls == {None, "throttle", "kill-before", "kill-after", "lost-response"}
    assert {len(each) for each in deliveries} == {0, 1, 2}
    assert 0 < max(delay for each in deliveries for delay in each) <= SOME.delay_seconds
    assert met(FaultSettings()) == [[0.0], None] * 100


def test_a_call_that_is_throttled_is_so_in_all_its_tries() -> None:
    faults = Faults()
    faults.switch(FaultSettings(throttle=0.5))
    for number in range(20):
        assert len({faults.of_call(call(number)) for _ in range(4)}) == 1


def test_functions_die_once_at_each_call_and_not_while_an_event_is_tried_again() -> None:
    faults = Faults()
    faults.switch(FaultSettings(kill_each_call=99))
    deaths = [
        [faults.of_call(call(0, request, operation)) for operation in ("GetItem", "PutItem", "PutItem", "PutItem")]
        for request in ("a", "a", "b", "c", "d", "e", "f", "g")
    ]
    assert deaths[0][0] == "kill-before"
    assert deaths[1] == [None] * 4, "the event is tried again"
    assert [fault for invocation in deaths for fault in invocation if fault] == ["kill-before", "kill-after"] * 3
    assert deaths[-1] == [None] * 4


def test_a_function_dies_no_more_often_than_is_said_until_it_is_said_again() -> None:
    faults = Faults()
    for first in (0, 10):
        faults.switch(FaultSettings(kill_each_call=2))
        deaths = [faults.of_call(call(0, f"{first + number}", f"Get{first + number}")) for number in range(5)]
        assert deaths == ["kill-before"] * 2 + [None] * 3
