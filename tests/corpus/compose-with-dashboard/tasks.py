from celery import Celery

tasks = Celery("tasks", broker="memory://")
