def problematic_workflow(ctx, order: dict):
    # Get current timestamp
    order_time = datetime.now()
    # Call external service directly
    pricing = httpx.get(f"https://api/pricing/{order['item']}").json()
    # Make random routing decision
    import random
    if random.random() > 0.5:
        warehouse = "east"
    else:
        warehouse = "west"
    # Read configuration
    config = json.load(open("config.json"))
    result = yield ctx.call_activity(process_order, input={
        "order": order,
        "pricing": pricing,
        "warehouse": warehouse,
        "config": config
    })
    return {"order_id": order["id"], "processed_at": order_time.isoformat()}
