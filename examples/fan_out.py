"""Fan-out and fan-in: many activities at once, then one step over all their results.

The calls are recorded in one commit and run wherever workers have free slots; those that are done when something
crashes stay done. `when_all` gives the results in the order of the calls, whatever order they finished in.
"""

from __future__ import annotations

from collections import Counter

import tenuto as wf

wfr = wf.WorkflowRuntime()


@wfr.workflow
async def count_words(ctx: wf.WorkflowContext, pages: list[str]) -> dict[str, int]:
    """Count the words of all pages, each page on its own."""
    counts = await wf.when_all([ctx.call_activity(count_page, input=page) for page in pages])
    return await ctx.call_activity(merge, input=counts)


@wfr.activity
def count_page(ctx: wf.WorkflowActivityContext, page: str) -> dict[str, int]:
    """Count the words of one page."""
    return dict(Counter(page.lower().split()))


@wfr.activity
def merge(ctx: wf.WorkflowActivityContext, counts: list[dict[str, int]]) -> dict[str, int]:
    """Add the counts up, most frequent word first."""
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return dict(total.most_common())


def main() -> None:
    """Count the words of a hundred pages."""
    pages = [f"the tone is held for its full value on page {number}" for number in range(100)]
    with wfr, wf.WorkflowClient() as client:
        instance_id = client.schedule_new_workflow(count_words, input=pages)
        words = client.wait_for_workflow_completion(instance_id).result()
    print(f"'tone' was found {words['tone']} times, {len(words)} different words in all")


if __name__ == "__main__":
    main()
