"""A job is created for any task in every dialect."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from captchahub_createtask import CreateTaskProvider
from captchahub_createtask.dialects import DIALECTS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from captchahub import Image, ImageToText
from captchahub.provider import Request

# Slow data generation on a busy machine is no fault of what is tested.
fuzzed = settings(
    max_examples=int(os.environ.get("CAPTCHAHUB_FUZZ_EXAMPLES", "100")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)

lengths = st.none() | st.integers(3, 10**6)
tasks = st.fixed_dictionaries(
    {
        "length": lengths,
        "charset": st.none() | st.text(min_size=1, max_size=80).filter(str.strip),
        "case_sensitive": st.none() | st.booleans(),
        "phrase": st.none() | st.booleans(),
        "language": st.none() | st.sampled_from(["en", "ru", "zh-Hans", "kk-KZ"]),
        "hint": st.none() | st.text(min_size=1, max_size=20).filter(str.strip),
    }
)


@fuzzed
@given(options=tasks, dialect=st.sampled_from(list(DIALECTS)))
def test_a_job_is_created_for_any_task_in_every_dialect_and_only_given_options_are_sent(
    configure: Callable[..., CreateTaskProvider], picture: Image, options: dict[str, Any], dialect: str
) -> None:
    task = ImageToText(picture, **options)
    provider = configure(dialect)
    request = provider.create_job(task)
    assert isinstance(request, Request)
    assert json.loads(request.body)["task"][DIALECTS[dialect].image_field] == picture.base64  # type: ignore[index]  # pyright: ignore[reportArgumentType] - one of its keys
    assert set(provider.sent_options(task)) <= set(task.options)
