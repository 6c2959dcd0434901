"""What holds of labels in an SQLite file holds of labels in PostgreSQL: the same tests."""

import inspect

import pytest

from prefopt_core.labels.store import LabelStore
from tests.core.labels import test_account, test_account_money, test_desk

pytestmark = pytest.mark.slow


def of_a_file(test):
    return any(said in inspect.getsource(test) for said in ("kept.path", "kept.root"))


for module in (test_account, test_account_money, test_desk):
    for name, test in vars(module).items():
        takes = name.startswith("test_") and "kept" in inspect.signature(test).parameters
        if takes and not of_a_file(test):
            globals()[name] = test
del test


@pytest.fixture
def kept(postgres):
    return LabelStore(postgres.database())
