"""The Helm chart: Helm's own code renders it, Kubernetes' own schemas judge what comes out."""

import json
import re

import helm_python as helm
import kubernetes_validate
import pytest
import yaml
from conftest import BINARY, CHART, drain_s, known_settings, runs, seconds

KUBERNETES = ["1.25", "1.31", "1.37"]
EMBEDDED = {"existingSecret": "posthaste"}
NODES = EMBEDDED | {"store": "postgresql"}
DATABASE = [{"ipBlock": {"cidr": "10.1.2.3/32"}}]
EVERYTHING = {
    "replicas": 3,
    "publicUrl": "https://hooks.example.com",
    "trustedProxies": ["10.0.0.0/8"],
    "allowTargets": ["hooks.internal"],
    "requestTimeoutSeconds": 60,
    "leaveNoticeSeconds": 60,
    "settings": {"POSTHASTE_RETENTION": "30d", "POSTHASTE_TOKEN_RATE": 100},
    "secretKeys": {"jwtSecret": "jwt-secret"},
    "image": {"digest": "sha256:" + "0" * 64},
    "imagePullSecrets": [{"name": "registry"}],
    "ingress": {"enabled": True, "host": "a.example", "tlsSecret": "tls", "className": "x", "annotations": {"a": "b"}},
    "autoscaling": {"enabled": True},
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "networkPolicy": {
        "enabled": True,
        "database": DATABASE,
        "ingressFrom": [{"namespaceSelector": {}}],
        "extraEgress": [{"to": DATABASE}],
    },
    "podLabels": {"a": "b"},
    "podAnnotations": {"a": "b"},
    "nodeSelector": {"a": "b"},
    "tolerations": [{"operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "high",
}
APART = {"rolesApart": {"enabled": True, "replicas": {"api": 2, "inbound": 3, "deliver": 4}}}
OF_NODES = ("replicas", "autoscaling")
KINDS = {
    "embedded": EMBEDDED,
    "embedded, with all that it can have": EMBEDDED | {k: v for k, v in EVERYTHING.items() if k not in OF_NODES},
    "nodes": NODES,
    "nodes, with all that they can have": NODES | EVERYTHING,
    "roles apart": NODES | APART,
    "roles apart, with all that they can have": NODES | APART | EVERYTHING,
}


@pytest.fixture(scope="session")
def chart():
    with helm.Chart.load(CHART) as chart:
        yield chart


def render(chart, values):
    """Everything that Helm would send to a cluster."""
    files = chart.render(values, name="demo", namespace="prod", is_install=True)
    texts = [text for name, text in files.items() if name.endswith(".yaml")]
    return [thing for text in texts for thing in yaml.safe_load_all(text) if thing]


@pytest.fixture(params=KINDS)
def things(chart, request):
    return render(chart, KINDS[request.param])


def of_kind(things, *kinds):
    return [thing for thing in things if thing["kind"] in kinds]


def pods(things):
    """Each workload's name with the pods it makes."""
    workloads = of_kind(things, "Deployment", "StatefulSet", "Job")
    return {thing["metadata"]["name"]: thing["spec"]["template"] for thing in workloads}


def serving(things):
    return {name: pod for name, pod in pods(things).items() if not name.endswith("-migrate")}


def environment(container):
    return {variable["name"]: variable["value"] for variable in container["env"]}


@pytest.mark.parametrize("values", KINDS.values(), ids=KINDS)
def test_helm_s_linter_finds_no_mistake(values):
    report = helm.lint(CHART, values, strict=True)
    assert report["errors"] == []
    # An icon is recommended; nothing else is said.
    assert [m["error"] for m in report["messages"] if "icon" not in m["error"]] == []


@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_knows_every_field(things, version):
    for thing in things:
        if thing["kind"] == "ServiceMonitor":
            continue  # is the Prometheus operator's, whose schema is not Kubernetes'
        kubernetes_validate.validate(thing, version, strict=True)


def test_no_pod_may_do_more_than_it_must(things):
    for name, pod in pods(things).items():
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False, name
        security = spec["securityContext"]
        assert security["runAsNonRoot"] and security["runAsUser"] == 65532, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in spec["containers"]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"], name
            assert security["capabilities"] == {"drop": ["ALL"]}, name
            assert container["resources"]["limits"]["memory"], name


def test_a_pod_has_the_time_that_a_drain_takes(things):
    for name, pod in serving(things).items():
        settings = environment(pod["spec"]["containers"][0])
        drain = drain_s() + seconds(settings["POSTHASTE_LEAVE_NOTICE"]) + seconds(settings["POSTHASTE_REQUEST_TIMEOUT"])
        assert pod["spec"]["terminationGracePeriodSeconds"] > drain, name


def test_a_pod_that_leaves_is_looked_away_from_before_its_listener_closes(things):
    for name, pod in serving(things).items():
        (container,) = pod["spec"]["containers"]
        probe = container["readinessProbe"]
        notice = seconds(environment(container)["POSTHASTE_LEAVE_NOTICE"])
        assert notice > probe["periodSeconds"] * probe["failureThreshold"], name
        paths = [container[probe]["httpGet"]["path"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")]
        assert paths == ["/livez", "/readyz", "/livez"]


def test_every_setting_is_one_of_the_product_s_and_no_secret_is_among_them(things):
    known = known_settings()
    for name, pod in pods(things).items():
        for setting in environment(pod["spec"]["containers"][0]):
            assert setting.removesuffix("_FILE") in known, f"{name}: {setting}"
            is_secret = known[setting.removesuffix("_FILE")] == "(unset)" and re.search("SECRET|DATABASE_URL", setting)
            assert not is_secret or setting.endswith("_FILE"), f"{name}: {setting}"


def test_every_argument_is_one_of_the_product_s(things):
    for name, pod in pods(things).items():
        command, *arguments = pod["spec"]["containers"][0]["args"]
        helped = runs(BINARY, command, "--help")
        for argument in arguments:
            assert not argument.startswith("--") or argument in helped, f"{name}: {argument}"


def test_selectors_find_the_pods_that_they_are_for(things):
    made = {name: pod["metadata"]["labels"] for name, pod in serving(things).items()}
    for thing in of_kind(things, "Service", "PodDisruptionBudget", "NetworkPolicy", "Deployment", "StatefulSet"):
        kind, name, spec = thing["kind"], thing["metadata"]["name"], thing["spec"]
        selector = spec.get("podSelector") or spec["selector"]
        wanted = selector.get("matchLabels", selector)
        found = [pod for pod, labels in made.items() if wanted.items() <= labels.items()]
        if kind == "NetworkPolicy" or name.endswith("-pods"):
            assert found == list(made), f"{kind} {name}"
        elif name in made:
            assert found == [name], f"{kind} {name}"
        else:
            # The release's own name leads to the API, where roles are apart.
            assert (kind, found) == ("Service", [f"{name}-api"])


def test_a_setting_that_the_chart_has_words_for_is_refused_among_the_others(chart):
    (pod,) = serving(render(chart, NODES | EVERYTHING)).values()
    taken = set(environment(pod["spec"]["containers"][0]))
    for name in {*taken, "POSTHASTE_ROLE"} - set(EVERYTHING["settings"]):
        with pytest.raises(helm.HelmError) as refused:
            render(chart, NODES | {"settings": {name: "x"}})
        assert f"settings names {name}, which the chart sets itself" in str(refused.value)


def test_the_ingress_leads_to_the_api_and_the_doors_and_to_nothing_else(chart):
    (ingress,) = of_kind(render(chart, NODES | EVERYTHING | APART), "Ingress")
    (rule,) = ingress["spec"]["rules"]
    leads = {path["path"]: path["backend"]["service"]["name"] for path in rule["http"]["paths"]}
    assert leads.pop("/in") == "demo-posthaste-inbound"
    assert set(leads.values()) == {"demo-posthaste"}
    for path in json.loads(runs(BINARY, "openapi"))["paths"]:
        assert any(path == lead or path.startswith(f"{lead}/") for lead in [*leads, "/in"]), path
    assert not {"/", "/metrics", "/readyz", "/livez"} & set(leads)


def test_a_migration_runs_before_the_first_pod_of_a_version(chart):
    (job,) = of_kind(render(chart, NODES), "Job")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    (node,) = serving(render(chart, NODES)).values()
    migrating, serves = job["spec"]["template"]["spec"]["containers"][0], node["spec"]["containers"][0]
    assert migrating["image"] == serves["image"]
    # Nothing that Helm makes after its hooks.
    assert {volume["secret"]["secretName"] for volume in job["spec"]["template"]["spec"]["volumes"]} == {"posthaste"}
    assert not of_kind(render(chart, EMBEDDED), "Job")


def test_numbers_of_pods_are_those_that_were_asked_for(chart):
    def replicas(values):
        workloads = of_kind(render(chart, values), "Deployment", "StatefulSet")
        return {thing["metadata"]["name"]: thing["spec"].get("replicas") for thing in workloads}

    assert replicas(EMBEDDED) == {"demo-posthaste": 1}
    assert replicas(EMBEDDED | {"replicas": 0}) == {"demo-posthaste": 0}
    assert replicas(NODES) == {"demo-posthaste": 2}
    assert replicas(NODES | {"replicas": 5}) == {"demo-posthaste": 5}
    assert replicas(NODES | {"replicas": 0}) == {"demo-posthaste": 0}
    apart = {f"demo-posthaste-{role}": count for role, count in APART["rolesApart"]["replicas"].items()}
    assert replicas(NODES | APART) == apart
    assert set(replicas(NODES | {"autoscaling": {"enabled": True}}).values()) == {None}


@pytest.mark.parametrize(
    "values, words",
    [
        ({}, "existingSecret is empty: name a Secret with the key main-secret ("),
        ({"store": "postgresql"}, "the key main-secret and the key database-url ("),
        (EMBEDDED | {"replicas": 2}, "replicas is 2 and store is embedded"),
        (EMBEDDED | {"autoscaling": {"enabled": True}}, "autoscaling.enabled is true and store is embedded"),
        (EMBEDDED | APART, "rolesApart.enabled is true and store is embedded"),
        (NODES | {"networkPolicy": {"enabled": True}}, "networkPolicy.database is empty"),
        (NODES | {"autoscaling": {"enabled": True, "minReplicas": 9}}, "autoscaling.maxReplicas is less"),
        (NODES | {"settings": {"POSTHASTE_MAIN_SECRET": "x"}}, "settings names POSTHASTE_MAIN_SECRET"),
        (NODES | {"settings": {"RUST_LOG": "x"}}, "RUST_LOG"),
        (NODES | {"ingress": {"enabled": True}}, "/ingress/host"),
        (NODES | {"replicaCount": 3}, "replicaCount"),
        (NODES | {"image": {"digest": "latest"}}, "/image/digest"),
        (NODES | {"publicUrl": "hooks.example.com"}, "/publicUrl"),
        ({"store": "mysql"}, "/store"),
    ],
)
def test_what_cannot_work_is_refused_in_one_sentence(chart, values, words):
    with pytest.raises(helm.HelmError) as refused:
        render(chart, values)
    assert words in str(refused.value)


def test_the_chart_is_of_the_product_s_version(chart, version):
    assert chart.metadata["version"] == chart.metadata["appVersion"] == version


def test_the_notes_name_commands_that_exist(chart):
    files = chart.render(NODES, name="demo", namespace="prod", is_install=True)
    (notes,) = (text for name, text in files.items() if name.endswith("NOTES.txt"))
    assert "exec deployment/demo-posthaste -- posthaste token create" in notes
    assert "create" in runs(BINARY, "token", "--help")
