"""The Kubernetes operator of Tenuto: what will watch the custom resources and inject the engine into app pods.

Nothing on the data path depends on it: workflows go on while it is down. What is here is the process that kopf loads
and its liveness probe; it declares no custom resource, so it changes nothing in a cluster.
"""
