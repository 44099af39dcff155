"""Helpers that several tests share."""

import pytest

pytest.register_assert_rewrite("tests.support.sweeping", "tests.support.waiting")
