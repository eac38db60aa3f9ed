"""The worker's program."""

import logging
import os

import tenuto as wf

from store.tasks import Mailer, pay
from store.workflows import checkout

runtime = wf.WorkflowRuntime(engine=os.environ["TENUTO_ENGINE"])  # near miss: the program reads its environment
runtime.register_workflow(checkout)
runtime.register_activity(pay)
runtime.register_activity(Mailer.send)

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    logging.info("serving, process %d", os.getpid())  # near miss: the program logs
    runtime.run()
