"""What each role may do."""

import pytest

from domain.shared.actor import PERMISSIONS, Permission, Role
from tests.builders import a_user, an_actor

ALLOWED = {
    Role.USER: set[Permission](),
    Role.MODERATOR: {Permission.DELETE_ANY_POST, Permission.SUSPEND_USERS},
    Role.ADMIN: set(Permission),
}


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("permission", Permission)
def test_a_role_may_what_the_table_says(role: Role, permission: Permission) -> None:
    assert an_actor(a_user(role=role)).may(permission) is (permission in ALLOWED[role])


def test_every_role_is_in_the_table() -> None:
    assert set(PERMISSIONS) == set(Role)
