"""A Celery application with one task, which reads a picture: run it with celery -A celery_app worker."""

import os

from celery import Celery

from captchahub import Hub, Image, ImageToText

SECONDS = 60.0

# The broker comes from the variable CELERY_BROKER_URL, and the store of results from CELERY_RESULT_BACKEND.
app = Celery("celery_app")
app.conf.update(
    task_acks_late=True,  # a message is acknowledged after its task has ended
    task_reject_on_worker_lost=True,  # and delivered again if the process of the task was killed
    task_soft_time_limit=SECONDS + 10,  # later than the solve, which ends by itself
    worker_prefetch_multiplier=1,  # a process reserves no task that it cannot start
)

# Each process of the prefork pool has its own copy. The journal in a file is common to all.
hub = Hub.from_yaml(os.environ.get("CAPTCHAHUB_CONFIG", "config.yaml"))


@app.task
def read_picture(picture: bytes) -> str:
    """Return the text in a picture."""
    return hub.solve(ImageToText(Image.from_bytes(picture)), timeout=SECONDS).solution.text
