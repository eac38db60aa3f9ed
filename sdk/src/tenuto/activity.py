"""What activity functions are written with."""

from tenuto._worker.activity_context import WorkflowActivityContext

__all__ = ["WorkflowActivityContext"]
