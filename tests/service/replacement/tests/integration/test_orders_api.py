"""Orders over HTTP, and the limits that their tables hold."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from sqlalchemy import delete, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from placeholder_service.models import Account, Base, Order, OrderLine

from tests.fixtures.accounts import AccountFactory
from tests.fixtures.client import ApiClient
from tests.fixtures.orders import OrderFactory, OrderLineFactory

pytestmark = pytest.mark.integration


async def test_an_order_is_taken_and_can_be_read(
    api_client: ApiClient,
    sample_account: Account,
) -> None:
    lines = [{"item": "Tea", "quantity": 2, "price": 350}, {"item": "Cup", "price": 900}]

    created = await api_client.post(
        "/orders", json={"account_id": str(sample_account.id), "lines": lines}
    )
    read = await api_client.get(f"/orders/{created.json()['id']}")

    assert created.status_code == 201
    assert [line["quantity"] for line in created.json()["lines"]] == [2, 1]
    assert read.json() == created.json()


async def test_an_update_changes_only_what_was_sent(
    api_client: ApiClient,
    sample_order: Order,
) -> None:
    path = f"/orders/{sample_order.id}"

    response = await api_client.patch(path, json={"status": "paid"})

    assert (response.json()["status"], response.json()["note"]) == ("paid", None)


async def test_a_field_that_cannot_be_empty_is_not_emptied(
    api_client: ApiClient,
    sample_order: Order,
) -> None:
    response = await api_client.patch(f"/orders/{sample_order.id}", json={"status": None})

    assert response.status_code == 422


async def test_accounts_and_orders_that_do_not_exist_are_not_found(api_client: ApiClient) -> None:
    data = {"account_id": str(uuid4()), "lines": [{"item": "Tea", "price": 1}]}

    created = await api_client.post("/orders", json=data)
    read = await api_client.get(f"/orders/{uuid4()}")

    assert (created.status_code, read.status_code) == (404, 404)


@pytest.mark.parametrize(
    ("make", "constraint"),
    [
        (lambda: AccountFactory.create(name=""), "ck_accounts_name_length"),
        (lambda: OrderFactory.create(status="lost"), "ck_orders_status"),
        (lambda: OrderLineFactory.create(quantity=0), "ck_order_lines_quantity_range"),
        (lambda: OrderLineFactory.create(price=-1), "ck_order_lines_price_not_negative"),
    ],
)
async def test_a_row_beyond_a_limit_is_refused(
    db_session: AsyncSession, make: Callable[[], Base], constraint: str
) -> None:
    make()

    with pytest.raises(DBAPIError, match=constraint):
        await db_session.flush()


async def test_an_account_takes_its_orders_with_it(
    db_session: AsyncSession,
    sample_order: Order,
) -> None:
    await db_session.execute(delete(Account))

    assert await db_session.scalar(select(func.count()).select_from(OrderLine)) == 0
