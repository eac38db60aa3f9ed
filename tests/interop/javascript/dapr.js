// An application of Dapr's SDK for JavaScript, unmodified: its workflow half.
//
//     node dapr.js HOST PORT
//
// Prints one JSON object a line: {"scenario": ..., "value": ...} or {"scenario": ..., "error": ...}.
const { randomUUID } = require("node:crypto");
const { DaprWorkflowClient, WorkflowRuntime, WorkflowRuntimeStatus } = require("@dapr/dapr");

const [daprHost, daprPort] = process.argv.slice(2);
const WAIT = 30;

const double = async (_, number) => number * 2;
const alwaysFails = async () => {
  throw new Error("it never works");
};

const chain = async function* chain(ctx, number) {
  for (let i = 0; i < 3; i++) number = yield ctx.callActivity(double, number);
  return number;
};
const fanOut = async function* fanOut(ctx, count) {
  const tasks = [];
  for (let i = 0; i < count; i++) tasks.push(ctx.callActivity(double, i));
  const results = yield ctx.whenAll(tasks);
  return results.reduce((a, b) => a + b, 0);
};
const race = async function* race(ctx) {
  const event = ctx.waitForExternalEvent("never");
  const timer = ctx.createTimer(0.05);
  const winner = yield ctx.whenAny([event, timer]);
  return winner === timer ? "timer" : "event";
};
const parent = async function* parent(ctx, number) {
  return yield ctx.callChildWorkflow(chain, number);
};
// This SDK has no retry policy: users write the loop.
const caught = async function* caught(ctx) {
  for (let attempt = 1; attempt < 3; attempt++) {
    try {
      yield ctx.callActivity(alwaysFails);
    } catch (error) {
      yield ctx.createTimer(0.01);
    }
  }
  return "gave up";
};
const waits = async function* waits(ctx) {
  const first = yield ctx.waitForExternalEvent("go");
  const second = yield ctx.waitForExternalEvent("go");
  return [first, second];
};
const countsDown = async function* countsDown(ctx, left) {
  yield ctx.createTimer(0.01);
  if (left > 0) {
    ctx.continueAsNew(left - 1, true);
    return;
  }
  return "end";
};
const fails = async function* fails() {
  throw new Error("boom");
};

async function main() {
  const options = { daprHost, daprPort };
  const client = new DaprWorkflowClient(options);
  const runtime = new WorkflowRuntime(options);
  for (const one of [chain, fanOut, race, parent, caught, waits, countsDown, fails]) runtime.registerWorkflow(one);
  for (const one of [double, alwaysFails]) runtime.registerActivity(one);
  await runtime.start();

  const finish = async (workflow, input) => {
    const id = await client.scheduleNewWorkflow(workflow, input, randomUUID());
    return client.waitForWorkflowCompletion(id, true, WAIT);
  };
  const status = (state) => WorkflowRuntimeStatus[state.runtimeStatus];
  const result = async (workflow, input) => {
    const state = await finish(workflow, input);
    return [status(state), state.serializedOutput ? JSON.parse(state.serializedOutput) : null];
  };
  const started = async (workflow, input) => {
    const id = await client.scheduleNewWorkflow(workflow, input, randomUUID());
    await client.waitForWorkflowStart(id, false, WAIT);
    return id;
  };
  const scenarios = {
    chain: () => result(chain, 1),
    fan_out: () => result(fanOut, 50),
    race: () => result(race),
    child: () => result(parent, 5),
    caught: () => result(caught),
    continue_as_new: () => result(countsDown, 3),
    fails: async () => {
      const state = await finish(fails);
      return [status(state), state.workflowFailureDetails.getErrorMessage()];
    },
    events: async () => {
      const id = await started(waits);
      for (const number of [1, 2]) await client.raiseEvent(id, "go", number);
      return JSON.parse((await client.waitForWorkflowCompletion(id, true, WAIT)).serializedOutput);
    },
    suspend_and_resume: async () => {
      const id = await started(waits);
      await client.suspendWorkflow(id);
      const paused = status(await client.getWorkflowState(id, false));
      await client.resumeWorkflow(id);
      for (const number of [1, 2]) await client.raiseEvent(id, "go", number);
      const state = await client.waitForWorkflowCompletion(id, true, WAIT);
      return [paused, JSON.parse(state.serializedOutput)];
    },
    terminate: async () => {
      const id = await started(waits);
      await client.terminateWorkflow(id, "enough");
      const state = await client.waitForWorkflowCompletion(id, true, WAIT);
      return [status(state), JSON.parse(state.serializedOutput)];
    },
    purge: async () => {
      const id = await client.scheduleNewWorkflow(chain, 1, randomUUID());
      await client.waitForWorkflowCompletion(id, true, WAIT);
      return [await client.purgeWorkflow(id), (await client.getWorkflowState(id, true)) ?? null];
    },
  };
  for (const [scenario, run] of Object.entries(scenarios)) {
    try {
      console.log(JSON.stringify({ scenario, value: await run() }));
    } catch (error) {
      console.log(JSON.stringify({ scenario, error: String(error.stack) }));
    }
  }
  process.exit(0);
}

main();
