"""Factories make valid objects, without a database where none is asked for."""

import pytest

from placeholder_service.domain import TaskPriority, TaskStatus

from tests.fixtures.tasks import TaskCreateFactory, TaskFactory
from tests.fixtures.thoughts import ThoughtCreateFactory
from tests.fixtures.users import UserFactory

pytestmark = pytest.mark.unit


def test_build_makes_rows_no_session_knows_of() -> None:
    users = UserFactory.build_batch(3)
    task = TaskFactory.build(done=True, urgent=True, from_thought=True)

    assert len({user.email for user in users}) == 3
    assert (task.status, task.priority) == (TaskStatus.DONE, TaskPriority.URGENT)
    assert task.completed_at is not None
    assert task.thought.user is task.user


def test_inputs_come_in_batches_and_variations() -> None:
    thoughts = ThoughtCreateFactory.build_batch(2, tagged=True)
    task = TaskCreateFactory.build(urgent=True)

    assert [thought.tags for thought in thoughts] == [["idea", "later"]] * 2
    assert task.priority is TaskPriority.URGENT
