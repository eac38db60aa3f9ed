// An application of Microsoft's Durable Task SDK for JavaScript, unmodified.
//
//     node durabletask.js HOST:PORT
//
// Prints one JSON object a line: {"scenario": ..., "value": ...} or {"scenario": ..., "error": ...}.
const { randomUUID } = require("node:crypto");
const sdk = require("@microsoft/durabletask-js");

const address = process.argv[2];
const WAIT = 30;
const failures = {};

const double = async (_, number) => number * 2;
const failTwice = async (_, key) => {
  failures[key] = (failures[key] ?? 0) + 1;
  if (failures[key] < 3) throw new Error(`failure ${failures[key]}`);
  return failures[key];
};

const chain = async function* chain(ctx, number) {
  for (let i = 0; i < 3; i++) number = yield ctx.callActivity(double, number);
  return number;
};
const fanOut = async function* fanOut(ctx, count) {
  const tasks = [];
  for (let i = 0; i < count; i++) tasks.push(ctx.callActivity(double, i));
  const results = yield sdk.whenAll(tasks);
  return results.reduce((a, b) => a + b, 0);
};
const race = async function* race(ctx) {
  const event = ctx.waitForExternalEvent("never");
  const timer = ctx.createTimer(0.05);
  const winner = yield sdk.whenAny([event, timer]);
  return winner === timer ? "timer" : "event";
};
const parent = async function* parent(ctx, number) {
  return yield ctx.callSubOrchestrator(chain, number);
};
const retried = async function* retried(ctx, key) {
  const retry = new sdk.RetryPolicy({ maxNumberOfAttempts: 5, firstRetryIntervalInMilliseconds: 10 });
  return yield ctx.callActivity(failTwice, key, { retry });
};
const waits = async function* waits(ctx) {
  ctx.setCustomStatus("waiting");
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
const sends = async function* sends(ctx, target) {
  ctx.sendEvent(target, "go", 1);
  yield ctx.createTimer(0.01);
  ctx.sendEvent(target, "go", 2);
  yield ctx.createTimer(0.01);
  return "sent";
};

async function main() {
  const logger = new sdk.NoOpLogger();
  const client = new sdk.TaskHubGrpcClient({ hostAddress: address, logger });
  const worker = new sdk.TaskHubGrpcWorker({ hostAddress: address, logger });
  for (const one of [chain, fanOut, race, parent, retried, waits, countsDown, fails, sends]) worker.addOrchestrator(one);
  for (const one of [double, failTwice]) worker.addActivity(one);
  await worker.start();

  const finish = async (orchestrator, input) => {
    const id = await client.scheduleNewOrchestration(orchestrator, input);
    return client.waitForOrchestrationCompletion(id, true, WAIT);
  };
  const result = async (orchestrator, input) => {
    const state = await finish(orchestrator, input);
    const status = sdk.OrchestrationStatus[state.runtimeStatus];
    return [status, state.serializedOutput ? JSON.parse(state.serializedOutput) : null];
  };
  const started = async (orchestrator, input) => {
    const id = await client.scheduleNewOrchestration(orchestrator, input);
    await client.waitForOrchestrationStart(id, false, WAIT);
    return id;
  };
  const scenarios = {
    chain: () => result(chain, 1),
    fan_out: () => result(fanOut, 50),
    race: () => result(race),
    child: () => result(parent, 5),
    retried: () => result(retried, randomUUID()),
    continue_as_new: () => result(countsDown, 3),
    fails: async () => {
      const state = await finish(fails);
      return [sdk.OrchestrationStatus[state.runtimeStatus], state.failureDetails.message];
    },
    events: async () => {
      const id = await started(waits);
      for (const number of [1, 2]) await client.raiseOrchestrationEvent(id, "GO", number);
      const state = await client.waitForOrchestrationCompletion(id, true, WAIT);
      return JSON.parse(state.serializedOutput);
    },
    suspend_and_resume: async () => {
      const id = await started(waits);
      await client.suspendOrchestration(id);
      const paused = (await client.getOrchestrationState(id)).runtimeStatus;
      await client.resumeOrchestration(id);
      for (const number of [1, 2]) await client.raiseOrchestrationEvent(id, "go", number);
      const state = await client.waitForOrchestrationCompletion(id, true, WAIT);
      return [sdk.OrchestrationStatus[paused], JSON.parse(state.serializedOutput)];
    },
    sent: async () => {
      const id = await started(waits);
      await finish(sends, id);
      return JSON.parse((await client.waitForOrchestrationCompletion(id, true, WAIT)).serializedOutput);
    },
    terminate: async () => {
      const id = await started(waits);
      await client.terminateOrchestration(id, "enough");
      const state = await client.waitForOrchestrationCompletion(id, true, WAIT);
      return [sdk.OrchestrationStatus[state.runtimeStatus], JSON.parse(state.serializedOutput)];
    },
    purge: async () => {
      const state = await finish(chain, 1);
      const purged = await client.purgeOrchestration(state.instanceId);
      return [purged.deletedInstanceCount, (await client.getOrchestrationState(state.instanceId)) ?? null];
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
