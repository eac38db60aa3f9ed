"""Registers everything and serves."""

import os

import tenuto as wf

from shop.activities import book_order, notify
from shop.workflows import audit_workflow, order_workflow

runtime = wf.WorkflowRuntime(engine=os.environ.get("TENUTO_ENGINE"))
runtime.register_workflow(order_workflow)
runtime.register_workflow(audit_workflow, name="audit")
runtime.register_activity(book_order)
runtime.register_activity(notify)

if __name__ == "__main__":
    runtime.run()
