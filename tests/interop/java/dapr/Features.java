import com.fasterxml.jackson.databind.ObjectMapper;
import io.dapr.config.Properties;
import io.dapr.durabletask.Task;
import io.dapr.workflows.Workflow;
import io.dapr.workflows.WorkflowActivity;
import io.dapr.workflows.WorkflowActivityContext;
import io.dapr.workflows.WorkflowStub;
import io.dapr.workflows.WorkflowTaskOptions;
import io.dapr.workflows.WorkflowTaskRetryPolicy;
import io.dapr.workflows.client.DaprWorkflowClient;
import io.dapr.workflows.client.WorkflowInstanceStatus;
import io.dapr.workflows.runtime.WorkflowRuntimeBuilder;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;

/**
 * An application of Dapr's workflow SDK for Java, unmodified.
 *
 * <pre>java --class-path "LIBRARIES/*" Features.java HOST PORT</pre>
 *
 * Prints one JSON object a line: {"scenario": ..., "value": ...} or {"scenario": ..., "error": ...}.
 */
public class Features {
  static final Duration WAIT = Duration.ofSeconds(30);
  static final Map<String, Integer> FAILURES = new ConcurrentHashMap<>();

  public static class Twice implements WorkflowActivity {
    @Override
    public Object run(WorkflowActivityContext ctx) {
      return ctx.getInput(Integer.class) * 2;
    }
  }

  public static class FailTwice implements WorkflowActivity {
    @Override
    public Object run(WorkflowActivityContext ctx) {
      int count = FAILURES.merge(ctx.getInput(String.class), 1, Integer::sum);
      if (count < 3) {
        throw new IllegalStateException("failure " + count);
      }
      return count;
    }
  }

  public static class Chain implements Workflow {
    @Override
    public WorkflowStub create() {
      return ctx -> {
        int number = ctx.getInput(Integer.class);
        for (int i = 0; i < 3; i++) {
          number = ctx.callActivity(Twice.class.getCanonicalName(), number, Integer.class).await();
        }
        ctx.complete(number);
      };
    }
  }

  public static class FanOut implements Workflow {
    @Override
    public WorkflowStub create() {
      return ctx -> {
        List<Task<Integer>> tasks = new ArrayList<>();
        for (int i = 0; i < ctx.getInput(Integer.class); i++) {
          tasks.add(ctx.callActivity(Twice.class.getCanonicalName(), i, Integer.class));
        }
        ctx.complete(ctx.allOf(tasks).await().stream().mapToInt(Integer::intValue).sum());
      };
    }
  }

  public static class Parent implements Workflow {
    @Override
    public WorkflowStub create() {
      return ctx -> {
        ctx.complete(ctx.callChildWorkflow(Chain.class.getCanonicalName(), ctx.getInput(Integer.class), Integer.class).await());
      };
    }
  }

  public static class Retried implements Workflow {
    @Override
    public WorkflowStub create() {
      return ctx -> {
        WorkflowTaskRetryPolicy policy =
            WorkflowTaskRetryPolicy.newBuilder()
                .setFirstRetryInterval(Duration.ofMillis(10))
                .setMaxNumberOfAttempts(5)
                .build();
        String key = ctx.getInput(String.class);
        WorkflowTaskOptions options = new WorkflowTaskOptions(policy);
        ctx.complete(ctx.callActivity(FailTwice.class.getCanonicalName(), key, options, Integer.class).await());
      };
    }
  }

  public static class Waits implements Workflow {
    @Override
    public WorkflowStub create() {
      return ctx -> {
        int first = ctx.waitForExternalEvent("go", Integer.class).await();
        int second = ctx.waitForExternalEvent("go", Integer.class).await();
        ctx.complete(List.of(first, second));
      };
    }
  }

  public static class CountsDown implements Workflow {
    @Override
    public WorkflowStub create() {
      return ctx -> {
        ctx.createTimer(Duration.ofMillis(10)).await();
        int left = ctx.getInput(Integer.class);
        if (left > 0) {
          ctx.continueAsNew(left - 1);
        } else {
          ctx.complete("end");
        }
      };
    }
  }

  public static class Fails implements Workflow {
    @Override
    public WorkflowStub create() {
      return ctx -> {
        throw new IllegalStateException("boom");
      };
    }
  }

  static DaprWorkflowClient client;

  static WorkflowInstanceStatus finish(Class<? extends Workflow> workflow, Object input) throws Exception {
    return client.waitForInstanceCompletion(client.scheduleNewWorkflow(workflow, input), WAIT, true);
  }

  static List<Object> result(Class<? extends Workflow> workflow, Object input) throws Exception {
    WorkflowInstanceStatus state = finish(workflow, input);
    return List.of(state.getRuntimeStatus().name(), state.readOutputAs(Object.class));
  }

  static String started(Class<? extends Workflow> workflow) throws Exception {
    String id = client.scheduleNewWorkflow(workflow);
    client.waitForInstanceStart(id, WAIT, false);
    return id;
  }

  static Object raiseTwice(String id) throws Exception {
    client.raiseEvent(id, "go", 1);
    client.raiseEvent(id, "go", 2);
    return client.waitForInstanceCompletion(id, WAIT, true).readOutputAs(Object.class);
  }

  static Map<String, Callable<Object>> scenarios() {
    Map<String, Callable<Object>> all = new LinkedHashMap<>();
    all.put("chain", () -> result(Chain.class, 1));
    all.put("fan_out", () -> result(FanOut.class, 50));
    all.put("child", () -> result(Parent.class, 5));
    all.put("retried", () -> result(Retried.class, UUID.randomUUID().toString()));
    all.put("continue_as_new", () -> result(CountsDown.class, 3));
    all.put(
        "fails",
        () -> {
          WorkflowInstanceStatus state = finish(Fails.class, null);
          return List.of(state.getRuntimeStatus().name(), state.getFailureDetails().getErrorMessage());
        });
    all.put("events", () -> raiseTwice(started(Waits.class)));
    all.put(
        "suspend_and_resume",
        () -> {
          String id = started(Waits.class);
          client.suspendWorkflow(id, "a pause");
          String paused = client.getInstanceState(id, false).getRuntimeStatus().name();
          client.resumeWorkflow(id, "on");
          return List.of(paused, raiseTwice(id));
        });
    all.put(
        "terminate",
        () -> {
          String id = started(Waits.class);
          client.terminateWorkflow(id, "enough");
          WorkflowInstanceStatus state = client.waitForInstanceCompletion(id, WAIT, true);
          return List.of(state.getRuntimeStatus().name(), state.readOutputAs(String.class));
        });
    all.put("purge", () -> client.purgeInstance(finish(Chain.class, 1).getInstanceId()));
    return all;
  }

  public static void main(String[] arguments) throws Exception {
    Properties properties =
        new Properties(Map.of(Properties.SIDECAR_IP.getName(), arguments[0], Properties.GRPC_PORT.getName(), arguments[1]));
    WorkflowRuntimeBuilder builder = new WorkflowRuntimeBuilder(properties);
    for (Class<? extends Workflow> one :
        List.of(
            Chain.class, FanOut.class, Parent.class, Retried.class, Waits.class, CountsDown.class, Fails.class)) {
      builder.registerWorkflow(one);
    }
    builder.registerActivity(Twice.class).registerActivity(FailTwice.class);
    builder.build().start(false);
    client = new DaprWorkflowClient(properties);
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
