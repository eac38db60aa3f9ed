import random
from datetime import datetime


def broken_workflow(ctx, input):
    # DON'T DO THIS: Non-deterministic decision
    if random.random() > 0.5:
        result = yield ctx.call_activity(path_a, input=input)
    else:
        result = yield ctx.call_activity(path_b, input=input)
    # DON'T DO THIS: Non-deterministic timestamp
    timestamp = datetime.utcnow().isoformat()
    return {"result": result, "processed_at": timestamp}


def correct_workflow(ctx, input):
    # DO: Use context for current time
    timestamp = ctx.current_utc_datetime
    # DO: Make decisions based on input (deterministic)
    if input.get("priority") == "high":
        result = yield ctx.call_activity(path_a, input=input)
    else:
        result = yield ctx.call_activity(path_b, input=input)
    # DO: If you need randomness, generate it in an activity
    if input.get("needs_random_value"):
        random_value = yield ctx.call_activity(generate_random, input={})
    return {"result": result, "processed_at": timestamp.isoformat()}


def validate_task(ctx, task: dict) -> dict:
    """Activities CAN be non-deterministic - they're not replayed."""
    # Safe: Call external service
    response = httpx.post("https://validation-service/api/validate", json=task)
    # Safe: Use current time (result is recorded)
    validated_at = datetime.utcnow().isoformat()
    return {"valid": response.json()["is_valid"], "validated_at": validated_at}
