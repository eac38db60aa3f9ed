"""The custom resource definitions: what an API server would say of them, as far as that can be known without one.

Rules in CEL are not evaluated here, only that they can be: that they name fields that exist, and are bounded.
"""

from __future__ import annotations

import re
from typing import Any, get_type_hints

import jsonschema
import msgspec
import pytest
import yaml

from architecture.tree import ROOT
from crd_schemas import DEFINITIONS, FOLDER, check, nodes, schema_of, strict, version_of
from tenuto_operator.model import conditions
from tenuto_operator.model.decoding import decode
from tenuto_operator.model.state_store import StateStore, read_state_store
from tenuto_operator.model.status import VersionStatus
from tenuto_operator.model.workflow import Workflow, read_workflow
from tenuto_operator.model.workflow_run import WorkflowRun, read_workflow_run
from tenuto_operator.model.workflow_schedule import WorkflowSchedule, read_workflow_schedule

EXAMPLES = [
    pytest.param(document, id=f"{path.stem}-{document['kind']}")
    for path in sorted((ROOT / "manifests/examples").glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
]
READERS = {
    "Workflow": read_workflow,
    "StateStore": read_state_store,
    "WorkflowRun": read_workflow_run,
    "WorkflowSchedule": read_workflow_schedule,
}
MODELS = {
    "Workflow": Workflow,
    "StateStore": StateStore,
    "WorkflowRun": WorkflowRun,
    "WorkflowSchedule": WorkflowSchedule,
}
EACH_KIND = pytest.mark.parametrize("kind", sorted(DEFINITIONS))


@EACH_KIND
def test_definitions_agree_with_themselves(kind: str) -> None:
    """Name, plural and file name of each definition fit, and it is stored and served in its one version."""
    definition = DEFINITIONS[kind]
    names = definition["spec"]["names"]
    assert definition["metadata"]["name"] == f"{names['plural']}.tenuto.dev"
    assert (FOLDER / f"tenuto.dev_{names['plural']}.yaml").exists()
    assert (names["listKind"], names["singular"]) == (f"{kind}List", kind.lower())
    assert (version_of(kind)["name"], version_of(kind)["served"], version_of(kind)["storage"]) == (
        "v1alpha1",
        True,
        True,
    )
    assert definition["spec"]["scope"] == "Namespaced"
    assert "status" in version_of(kind)["subresources"]


def test_short_names_are_unique() -> None:
    """Each kind has one short name, and no other kind has it."""
    short = {kind: found["spec"]["names"]["shortNames"] for kind, found in DEFINITIONS.items()}
    assert short == {"Workflow": ["wf"], "StateStore": ["wss"], "WorkflowRun": ["wfr"], "WorkflowSchedule": ["wfs"]}


def test_all_definitions_are_installed_together() -> None:
    """The kustomization names each definition."""
    listed = yaml.safe_load((FOLDER / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    assert sorted(listed) == sorted(path.name for path in FOLDER.glob("tenuto.dev_*.yaml"))


@EACH_KIND
def test_schemas_are_structural(kind: str) -> None:
    """Each field has a type or keeps what is unknown, and none declares both fields and a map."""
    jsonschema.Draft202012Validator.check_schema(strict(schema_of(kind)))
    for path, node in nodes(schema_of(kind)):
        assert "type" in node or node.get("x-kubernetes-preserve-unknown-fields"), path
        assert not ("properties" in node and "additionalProperties" in node), path
        assert set(node.get("required", ())) <= set(node.get("properties", {})), path
        assert "default" not in node or path not in {"", ".spec"}, path
        if node.get("type") == "array":
            assert "maxItems" in node, f"{path} has no bound, so rules over it have no cost limit"


@EACH_KIND
def test_fields_explain_themselves(kind: str) -> None:
    """`kubectl explain` has a sentence for each field of a spec that a user writes."""
    for path, node in nodes(schema_of(kind)):
        is_leaf_of_reference = path.rpartition(".")[2] in {
            "name",
            "key",
            "metadata",
            "spec",
            "secretKeyRef",
            "configMapKeyRef",
        }
        if path.startswith(".spec") and not path.endswith("[]") and not is_leaf_of_reference:
            assert "description" in node, path


@EACH_KIND
def test_defaults_fit_their_schema(kind: str) -> None:
    """Every default is one that its own schema accepts."""
    for path, node in nodes(schema_of(kind)):
        if "default" in node:
            jsonschema.validate(node["default"], strict(node), cls=jsonschema.Draft202012Validator)
        assert "default" not in node or not path.startswith(".status"), path


@EACH_KIND
def test_rules_speak_to_users(kind: str) -> None:
    """Each CEL rule has a sentence that says more than that something is invalid."""
    rules = [rule for _, node in nodes(schema_of(kind)) for rule in node.get("x-kubernetes-validations", ())]
    assert rules
    for rule in rules:
        assert len(rule["message"].split()) >= 5, rule
        assert "\n" not in rule["message"], rule


@EACH_KIND
def test_rules_name_fields_that_exist(kind: str) -> None:
    """What a rule reads of `self` or `oldSelf` is declared there with a type: CEL sees no other field."""
    for path, node in nodes(schema_of(kind)):
        for rule in node.get("x-kubernetes-validations", ()):
            for field in re.findall(r"\b(?:self|oldSelf)\.([a-zA-Z]+)\b(?!\()", rule["rule"]):
                known = node.get("properties", {})
                assert field in known, f"{path}: {rule['rule']}"
                assert "type" in known[field], f"{path}: {rule['rule']}"


@EACH_KIND
def test_strings_in_rules_are_bounded(kind: str) -> None:
    """A string that a rule works on has a length, without which the API server refuses the rule for its cost."""
    for path, node in nodes(schema_of(kind)):
        for rule in node.get("x-kubernetes-validations", ()):
            for field in re.findall(r"duration\(self\.([a-zA-Z]+)\)", rule["rule"]):
                assert "maxLength" in node["properties"][field], f"{path}: {rule['rule']}"


def resolve(kind: str, json_path: str) -> dict[str, Any]:
    """The schema of the field that a simple JSONPath names."""
    node: dict[str, Any] = schema_of(kind)
    plain = re.sub(r"\[\?\(@\.type==\"(\w+)\"\)\]", "[]", json_path)
    for part in plain.strip(".").replace("[]", ".[]").split("."):
        node = node["items"] if part == "[]" else node["properties"].get(part, {"type": "unknown"})
    return node


@EACH_KIND
def test_columns_show_fields_that_exist(kind: str) -> None:
    """Each printer column, and each field to select by, is declared in the schema with its type."""
    for column in version_of(kind)["additionalPrinterColumns"]:
        if column["jsonPath"].startswith(".metadata."):
            continue
        field = resolve(kind, column["jsonPath"])
        wanted = "string" if column["type"] == "date" else column["type"]
        assert field.get("type") == wanted, column
    for selectable in version_of(kind).get("selectableFields", ()):
        assert resolve(kind, selectable["jsonPath"])["type"] == "string", selectable


@EACH_KIND
def test_columns_select_known_conditions(kind: str) -> None:
    """A column of a condition names a type that the operator states of a Workflow, or that its own kind documents."""
    documented = schema_of(kind)["properties"]["status"]["properties"]["conditions"]["description"]
    for column in version_of(kind)["additionalPrinterColumns"]:
        for name in re.findall(r'@\.type=="(\w+)"', column["jsonPath"]):
            assert name in documented, column
            assert kind != "Workflow" or name in set(conditions.Type), column


def test_reasons_fit_the_schema() -> None:
    """Every type and reason of a condition is one that the API server accepts."""
    schema = schema_of("Workflow")["properties"]["status"]["properties"]["conditions"]["items"]["properties"]
    assert all(re.fullmatch(schema["reason"]["pattern"], reason.value) for reason in conditions.Reason)
    assert all(len(kind.value) <= schema["type"]["maxLength"] for kind in conditions.Type)


def test_scale_follows_the_spec() -> None:
    """`kubectl scale` finds what it reads and writes."""
    scale = version_of("Workflow")["subresources"]["scale"]
    types = [
        resolve("Workflow", scale[name])["type"]
        for name in ("specReplicasPath", "statusReplicasPath", "labelSelectorPath")
    ]
    assert types == ["integer", "integer", "string"]


def test_definitions_can_be_applied_by_clients() -> None:
    """No definition is too large for the annotation that `kubectl apply` keeps it in."""
    sizes = {path.name: path.stat().st_size for path in FOLDER.glob("*.yaml")}
    assert {name: size for name, size in sizes.items() if size > 200_000} == {}


def test_version_states_are_those_of_the_schema() -> None:
    """The states of a version in the schema are those that the operator reports, and each of its fields is declared."""
    versions = schema_of("Workflow")["properties"]["status"]["properties"]["versions"]["items"]["properties"]
    decoded = [decode(VersionStatus, {"id": "a", "state": state}) for state in versions["state"]["enum"]]
    assert len(decoded) == 8
    assert fields_of(VersionStatus) == set(versions)


def fields_of(model: Any) -> set[str]:
    """Wire names of a struct's fields."""
    return {field.encode_name for field in msgspec.structs.fields(model)}


@EACH_KIND
def test_models_take_the_defaults_of_the_schema(kind: str) -> None:
    """An object without defaults means to the operator what the API server makes of it."""
    specs: dict[str, dict[str, Any]] = {
        "Workflow": {
            "stateStoreRef": {"name": "main"},
            "template": {"spec": {"containers": [{"name": "app", "image": "app"}]}},
            "rollout": {"strategy": "AllAtOnce", "gate": {"replay": {}}},
            "autoscaling": {"minReplicas": 1, "maxReplicas": 2},
        },
        "StateStore": {"redis": {"addresses": ["redis:6379"]}},
        "WorkflowRun": {"workflowRef": {"name": "orders"}, "workflow": "ship"},
        "WorkflowSchedule": {"workflowRef": {"name": "orders"}, "workflow": "ship", "cron": "0 2 * * *"},
    }
    least = specs[kind]
    filled = with_defaults(schema_of(kind)["properties"]["spec"], least)
    assert filled != least
    model: Any = MODELS[kind]
    assert decode(model, {"metadata": {"name": "a"}, "spec": least}) == decode(
        model, {"metadata": {"name": "a"}, "spec": filled}
    )


def with_defaults(schema: dict[str, Any], value: Any) -> Any:
    """A value as the API server would store it."""
    if not isinstance(value, dict):
        return value
    made = dict(value)
    for name, inner in schema.get("properties", {}).items():
        if name not in made and "default" in inner:
            made[name] = inner["default"]
        if name in made:
            made[name] = with_defaults(inner, made[name])
    return made


@EACH_KIND
def test_models_know_every_field(kind: str) -> None:
    """Each field of a spec and status is read by the operator: none is accepted and ignored."""
    model: Any = MODELS[kind]
    for part in ("spec", "status"):
        struct = get_type_hints(model)[part]
        assert fields_of(struct) == set(schema_of(kind)["properties"][part]["properties"]), part


@pytest.mark.parametrize("document", EXAMPLES)
def test_examples_are_valid(document: dict[str, Any]) -> None:
    """Each example passes its schema, and the operator reads it."""
    if document["kind"] not in DEFINITIONS:
        return
    check(document)
    READERS[document["kind"]](document)


def test_there_is_an_example_of_each_kind() -> None:
    """Each kind has an example."""
    assert {each.values[0]["kind"] for each in EXAMPLES if isinstance(each.values[0], dict)} >= set(DEFINITIONS)


BAD = [
    ("Workflow", {"template": {"spec": {}}}, "stateStoreRef"),
    ("Workflow", {"stateStoreRef": {"name": "Main"}}, "does not match"),
    ("Workflow", {"stateStoreRef": {"name": "main"}, "shards": 0}, "minimum"),
    ("Workflow", {"stateStoreRef": {"name": "main"}, "engine": {"leaseDuration": "10"}}, "does not match"),
    ("Workflow", {"stateStoreRef": {"name": "main"}, "engine": {"leaseTime": "10s"}}, "leaseTime"),
    ("Workflow", {"stateStoreRef": {"name": "main"}, "rollout": {"strategy": "Canary"}}, "Canary"),
    ("Workflow", {"stateStoreRef": {"name": "main"}, "autoscaling": {"minReplicas": 0, "maxReplicas": 1}}, "minimum"),
    ("Workflow", {"stateStoreRef": {"name": "main"}, "version": "1.4"}, "does not match"),
    ("StateStore", {"redis": {"addresses": []}}, "non-empty"),
    ("StateStore", {"redis": {"addresses": ["redis://host:1"]}}, "does not match"),
    ("StateStore", {"redis": {"addresses": ["a:1"], "auth": {"password": "secret"}}}, "passwordSecretRef"),
    ("WorkflowRun", {"workflowRef": {"name": "a"}}, "workflow"),
    ("WorkflowRun", {"workflowRef": {"name": "a"}, "workflow": "w", "desiredState": "Paused"}, "Paused"),
    ("WorkflowSchedule", {"workflowRef": {"name": "a"}, "workflow": "w"}, "cron"),
]


@pytest.mark.parametrize(("kind", "spec", "named"), BAD)
def test_schemas_refuse(kind: str, spec: dict[str, Any], named: str) -> None:
    """A spec that breaks its schema is refused, and the refusal names what is wrong."""
    with pytest.raises(jsonschema.ValidationError) as refused:
        check({"apiVersion": "tenuto.dev/v1alpha1", "kind": kind, "metadata": {"name": "a"}, "spec": spec})
    assert named in str(refused.value)


def test_no_definition_is_left_out() -> None:
    """Every YAML file in the folder is a definition or the kustomization."""
    others = set(FOLDER.iterdir()) - set(FOLDER.glob("tenuto.dev_*.yaml"))
    assert {path.name for path in others} == {"kustomization.yaml"}
