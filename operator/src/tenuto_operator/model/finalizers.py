"""Finalizers, of which there are few: whatever owner references clean up needs none.

A finalizer blocks the deletion of its namespace while no operator runs. So only a WorkflowRun with `onDelete:
Terminate` carries one, and the operator takes it off when the namespace is going, terminated or not.
"""

from __future__ import annotations

TERMINATE = "tenuto.dev/terminate"
