import com.fasterxml.jackson.databind.ObjectMapper;
import com.microsoft.durabletask.DurableTaskClient;
import com.microsoft.durabletask.DurableTaskGrpcClientBuilder;
import com.microsoft.durabletask.DurableTaskGrpcWorkerBuilder;
import com.microsoft.durabletask.NewOrchestrationInstanceOptions;
import com.microsoft.durabletask.OrchestrationMetadata;
import com.microsoft.durabletask.RetryPolicy;
import com.microsoft.durabletask.Task;
import com.microsoft.durabletask.TaskActivity;
import com.microsoft.durabletask.TaskActivityFactory;
import com.microsoft.durabletask.TaskFailedException;
import com.microsoft.durabletask.TaskOptions;
import com.microsoft.durabletask.TaskOrchestration;
import com.microsoft.durabletask.TaskOrchestrationFactory;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;

/**
 * An application of Microsoft's Durable Task SDK for Java, unmodified.
 *
 * <pre>java --class-path "LIBRARIES/*" Features.java HOST PORT</pre>
 *
 * Prints one JSON object a line: {"scenario": ..., "value": ...} or {"scenario": ..., "error": ...}.
 */
public class Features {
  static final Duration WAIT = Duration.ofSeconds(30);
  static final Map<String, Integer> FAILURES = new ConcurrentHashMap<>();

  static DurableTaskGrpcWorkerBuilder worker;
  static DurableTaskClient client;

  static void orchestration(String name, TaskOrchestration code) {
    worker.addOrchestration(
        new TaskOrchestrationFactory() {
          @Override
          public String getName() {
            return name;
          }

          @Override
          public TaskOrchestration create() {
            return code;
          }
        });
  }

  static void activity(String name, TaskActivity code) {
    worker.addActivity(
        new TaskActivityFactory() {
          @Override
          public String getName() {
            return name;
          }

          @Override
          public TaskActivity create() {
            return code;
          }
        });
  }

  static void register() {
    activity("twice", ctx -> ctx.getInput(Integer.class) * 2);
    activity(
        "fail_twice",
        ctx -> {
          int count = FAILURES.merge(ctx.getInput(String.class), 1, Integer::sum);
          if (count < 3) {
            throw new IllegalStateException("failure " + count);
          }
          return count;
        });
    activity(
        "always_fails",
        ctx -> {
          throw new IllegalStateException("it never works");
        });
    orchestration(
        "chain",
        ctx -> {
          int number = ctx.getInput(Integer.class);
          for (int i = 0; i < 3; i++) {
            number = ctx.callActivity("twice", number, Integer.class).await();
          }
          ctx.complete(number);
        });
    orchestration(
        "fan_out",
        ctx -> {
          List<Task<Integer>> tasks = new ArrayList<>();
          for (int i = 0; i < ctx.getInput(Integer.class); i++) {
            tasks.add(ctx.callActivity("twice", i, Integer.class));
          }
          ctx.complete(ctx.allOf(tasks).await().stream().mapToInt(Integer::intValue).sum());
        });
    orchestration(
        "race",
        ctx -> {
          Task<Void> event = ctx.waitForExternalEvent("never");
          Task<Void> timer = ctx.createTimer(Duration.ofMillis(50));
          ctx.complete(ctx.anyOf(event, timer).await() == timer ? "timer" : "event");
        });
    orchestration(
        "parent", ctx -> ctx.complete(ctx.callSubOrchestrator("chain", ctx.getInput(Integer.class), Integer.class).await()));
    orchestration(
        "retried",
        ctx -> {
          TaskOptions options = new TaskOptions(new RetryPolicy(5, Duration.ofMillis(10)));
          ctx.complete(ctx.callActivity("fail_twice", ctx.getInput(String.class), options, Integer.class).await());
        });
    orchestration(
        "caught",
        ctx -> {
          try {
            ctx.callActivity("always_fails").await();
          } catch (TaskFailedException failed) {
            ctx.complete("gave up: " + failed.getErrorDetails().getErrorMessage());
          }
        });
    orchestration(
        "waits",
        ctx -> {
          ctx.setCustomStatus("waiting");
          int first = ctx.waitForExternalEvent("go", Integer.class).await();
          int second = ctx.waitForExternalEvent("go", Integer.class).await();
          ctx.clearCustomStatus();
          ctx.complete(List.of(first, second));
        });
    orchestration(
        "sends",
        ctx -> {
          String target = ctx.getInput(String.class);
          ctx.sendEvent(target, "go", 1);
          ctx.sendEvent(target, "go", 2);
          ctx.createTimer(Duration.ofMillis(10)).await();
          ctx.complete("sent");
        });
    orchestration(
        "counts_down",
        ctx -> {
          ctx.createTimer(Duration.ofMillis(10)).await();
          int left = ctx.getInput(Integer.class);
          if (left > 0) {
            ctx.continueAsNew(left - 1);
          } else {
            ctx.complete("end");
          }
        });
    orchestration(
        "fails",
        ctx -> {
          throw new IllegalStateException("boom");
        });
  }

  static OrchestrationMetadata finish(String name, Object input) throws Exception {
    return client.waitForInstanceCompletion(client.scheduleNewOrchestrationInstance(name, input), WAIT, true);
  }

  static List<Object> result(String name, Object input) throws Exception {
    OrchestrationMetadata state = finish(name, input);
    return List.of(state.getRuntimeStatus().name(), state.readOutputAs(Object.class));
  }

  static String started(String name) throws Exception {
    String id = client.scheduleNewOrchestrationInstance(name);
    client.waitForInstanceStart(id, WAIT);
    return id;
  }

  static Object raiseTwice(String id) throws Exception {
    client.raiseEvent(id, "go", 1);
    client.raiseEvent(id, "go", 2);
    return client.waitForInstanceCompletion(id, WAIT, true).readOutputAs(Object.class);
  }

  static Map<String, Callable<Object>> scenarios() {
    Map<String, Callable<Object>> all = new LinkedHashMap<>();
    all.put("chain", () -> result("chain", 1));
    all.put("fan_out", () -> result("fan_out", 50));
    all.put("race", () -> result("race", null));
    all.put("child", () -> result("parent", 5));
    all.put("retried", () -> result("retried", UUID.randomUUID().toString()));
    all.put("caught", () -> result("caught", null));
    all.put("continue_as_new", () -> result("counts_down", 3));
    all.put(
        "fails",
        () -> {
          OrchestrationMetadata state = finish("fails", null);
          return List.of(state.getRuntimeStatus().name(), state.getFailureDetails().getErrorMessage());
        });
    all.put("events", () -> raiseTwice(started("waits")));
    all.put(
        "custom_status",
        () -> {
          String id = started("waits");
          String waiting = client.getInstanceMetadata(id, true).readCustomStatusAs(String.class);
          raiseTwice(id);
          return List.of(waiting, client.getInstanceMetadata(id, true).isCustomStatusFetched());
        });
    all.put(
        "sent",
        () -> {
          String id = started("waits");
          finish("sends", id);
          return client.waitForInstanceCompletion(id, WAIT, true).readOutputAs(Object.class);
        });
    all.put(
        "suspend_and_resume",
        () -> {
          String id = started("waits");
          client.suspendInstance(id, "a pause");
          String paused = client.getInstanceMetadata(id, false).getRuntimeStatus().name();
          client.resumeInstance(id, "on");
          return List.of(paused, raiseTwice(id));
        });
    all.put(
        "terminate",
        () -> {
          String id = started("waits");
          client.terminate(id, "enough");
          OrchestrationMetadata state = client.waitForInstanceCompletion(id, WAIT, true);
          return List.of(state.getRuntimeStatus().name(), state.readOutputAs(String.class));
        });
    all.put(
        "scheduled",
        () -> {
          Instant start = Instant.now().plusMillis(600);
          NewOrchestrationInstanceOptions options =
              new NewOrchestrationInstanceOptions().setInput(1).setStartTime(start);
          String id = client.scheduleNewOrchestrationInstance("chain", options);
          String before = client.getInstanceMetadata(id, false).getRuntimeStatus().name();
          client.waitForInstanceCompletion(id, WAIT, false);
          return List.of(before, !Instant.now().isBefore(start));
        });
    all.put(
        "restart",
        () -> {
          String id = finish("chain", 1).getInstanceId();
          String again = client.restartInstance(id, true);
          Object output = client.waitForInstanceCompletion(again, WAIT, true).readOutputAs(Object.class);
          return List.of(!again.equals(id), output);
        });
    all.put(
        "purge",
        () -> {
          String id = finish("chain", 1).getInstanceId();
          int purged = client.purgeInstance(id).getDeletedInstanceCount();
          return List.of(purged, client.getInstanceMetadata(id, false).isInstanceFound());
        });
    return all;
  }

  public static void main(String[] arguments) throws Exception {
    ManagedChannel channel =
        ManagedChannelBuilder.forAddress(arguments[0], Integer.parseInt(arguments[1])).usePlaintext().build();
    worker = new DurableTaskGrpcWorkerBuilder().grpcChannel(channel);
    register();
    worker.build().start();
    client = new DurableTaskGrpcClientBuilder().grpcChannel(channel).build();
    ObjectMapper json = new ObjectMapper();
    for (Map.Entry<String, Callable<Object>> one : scenarios().entrySet()) {
      Map<String, Object> line = new LinkedHashMap<>();
      line.put("scenario", one.getKey());
      try {
        line.put("value", one.getValue().call());
      } catch (Exception error) {
        StringWriter trace = new StringWriter();
        error.printStackTrace(new PrintWriter(trace));
        line.put("error", trace.toString());
      }
      System.out.println(json.writeValueAsString(line));
    }
    System.exit(0);
  }
}
