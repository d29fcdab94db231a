"""A process's name says where it runs: under this kernel, on this machine before, elsewhere, or nothing."""

import pytest

from app.core.owner_names import Machine, Origin

HERE = Machine(boot="a" * 12, machine="b" * 12)
NAMELESS = Machine(boot="unknown", machine="unknown")


@pytest.mark.parametrize(
    ("other", "origin"),
    [
        (HERE, Origin.HERE),
        (Machine(boot=HERE.boot, machine="c" * 12), Origin.HERE),  # another container of this kernel
        (Machine(boot=HERE.boot, machine="unknown"), Origin.HERE),
        (Machine(boot="c" * 12, machine=HERE.machine), Origin.EARLIER_BOOT),
        (Machine(boot="c" * 12, machine="c" * 12), Origin.ELSEWHERE),
        (Machine(boot="c" * 12, machine="unknown"), Origin.ELSEWHERE),
        (NAMELESS, Origin.ELSEWHERE),
    ],
)
def test_a_name_tells_where_its_process_runs(other: Machine, origin: Origin) -> None:
    assert HERE.origin(other.new_owner()) is origin


def test_machines_that_know_nothing_of_themselves_claim_nothing_of_others() -> None:
    without_machine = Machine(boot="a" * 12, machine="unknown")
    assert NAMELESS.origin(NAMELESS.new_owner()) is Origin.ELSEWHERE
    assert without_machine.origin(Machine(boot="c" * 12, machine="unknown").new_owner()) is Origin.ELSEWHERE


@pytest.mark.parametrize("name", ["d" * 32, "", "a-b-c", f"{'a' * 12}-{'b' * 12}-{'c' * 31}", "lost+found"])
def test_other_names_tell_nothing(name: str) -> None:
    assert HERE.origin(name) is Origin.UNNAMED


def test_this_machine_is_the_same_each_time_and_its_names_fit_the_journal() -> None:
    assert Machine.this() == Machine.this()
    assert Machine.this().boot != "unknown"
    first, second = Machine.this().new_owner(), Machine.this().new_owner()
    assert first != second
    assert len(first) <= 64
    assert Machine.this().origin(first) is Origin.HERE
